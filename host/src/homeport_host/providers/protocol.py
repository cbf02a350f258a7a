"""The one form of a model call: what every provider takes and gives."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from homeport_shared.errors import ErrorCode, HomeportError

Role = Literal["system", "user", "assistant", "tool"]
Finish = Literal["stop", "tool_calls", "length"]
Capability = Literal["completion", "tools", "thinking", "vision", "embedding"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model wants called.

    Attributes:
        id: Unique within the answer; made by us where the provider gave none or gave one twice.
        name: As the model wrote it; it may not exist.
        arguments: The parsed object; None where `raw` is no JSON object.
        raw: The arguments as they came.
    """

    id: str
    name: str
    arguments: dict[str, Any] | None
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    Attributes:
        calls: Of an assistant message: the tools it asked for.
        call_id: Of a tool message: the call it answers.
        tool: Of a tool message: the tool's name.
    """

    role: Role
    content: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    tool: str = ""
    thinking: str = ""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as it is offered to a model."""

    name: str
    description: str
    input_schema: dict[str, Any]


CALL_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One call of a model.

    Attributes:
        model: The provider's own name of the model, without our `provider/` prefix.
        num_ctx: Context window to ask for, tokens; 0 = the provider's default for this model.
        max_tokens: Most tokens to generate; 0 = the provider's default.
        schema: JSON Schema that the answer must satisfy; None = free text.
        think: None = as the model does by default.
        seconds: Time-out for the whole call.
        key: Idempotency key for the record of the call, such as `run:step`.
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    num_ctx: int = 0
    max_tokens: int = 0
    temperature: float | None = None
    schema: dict[str, Any] | None = None
    think: bool | None = None
    seconds: float = CALL_SECONDS
    key: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a call cost: tokens, and US dollars where the provider says so."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """A complete answer. There is none for a stream that broke off.

    Attributes:
        parsed: The validated object where a schema was asked for.
        provider: Which provider answered, such as `ollama`.
        model: The exact model that answered, as the provider reports it.
        attempts: What was tried before and why it failed, for people.
    """

    text: str
    finish: Finish
    calls: tuple[ToolCall, ...] = ()
    thinking: str = ""
    parsed: Any = None
    usage: Usage = field(default_factory=Usage)
    provider: str = ""
    model: str = ""
    attempts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More of the answer's text, or of the model's thinking."""

    text: str
    thinking: bool = False


@dataclass(frozen=True, slots=True)
class Restarted:
    """All deltas so far are void: that attempt failed, and another one begins. Only `Models` sends it.

    Attributes:
        reason: What failed and what is tried now, for people.
    """

    reason: str


ModelEvent = TextDelta | Restarted | ModelAnswer  # any number of the first two, then exactly one answer

ProviderFault = Literal[
    "unreachable", "unknown_model", "refused_key", "no_key", "no_credit", "rate_limited", "timeout", "broken_stream",
    "context_overflow", "unsupported", "bad_request", "server_error", "forbidden_by_mode", "invalid_answer",
]  # fmt: skip


class ProviderError(HomeportError):
    """A model call that failed.

    Args:
        fault: What went wrong, for the decision to retry or to fall back.
        retry_after: Seconds the provider asked to wait; None where it did not.
        answer: Of `invalid_answer`: what came. It cannot be used, but it is paid for.
    """

    def __init__(
        self,
        fault: ProviderFault,
        message: str,
        hint: str = "",
        *,
        code: ErrorCode = "unavailable",
        retry_after: float | None = None,
        answer: ModelAnswer | None = None,
    ) -> None:
        super().__init__(code, message, hint)
        self.fault: ProviderFault = fault
        self.retry_after = retry_after
        self.answer = answer


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that a provider offers.

    Attributes:
        name: With our prefix, such as `ollama/qwen3:8b`.
        context_length: The most tokens it takes; 0 = not known.
        size_bytes: On disk, for local models; 0 = not known.
        gpu_bytes: In the memory of graphics processors now; 0 = none, or not known.
        usd_per_million: Prices of prompt and completion tokens; None = free or not known.
    """

    name: str
    context_length: int = 0
    capabilities: frozenset[Capability] = frozenset()
    size_bytes: int = 0
    usd_per_million: tuple[float, float] | None = None
    gpu_bytes: int = 0


@dataclass(frozen=True, slots=True)
class UsageOwner:
    """Whom a model call is counted for. Empty = nobody of that kind."""

    session: str = ""
    agent: str = ""
    run: str = ""
    user: str = ""
    tenant: str = ""


class Provider(Protocol):
    """Where models run."""

    @property
    def name(self) -> str:
        """The prefix of its models' names."""
        ...

    @property
    def cloud(self) -> bool:
        """What is sent there leaves this machine or network."""
        ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        """Yield deltas, then the answer; closing the generator stops the model.

        Raises:
            ProviderError: When there is no complete answer, whatever was yielded before.
        """
        ...

    async def models(self) -> list[ModelInfo]:
        """List the models that can be used now.

        Raises:
            ProviderError: When the provider cannot be asked.
        """
        ...

    async def describe(self, model: str) -> ModelInfo:
        """Tell what one model can do.

        Raises:
            ProviderError: `unknown_model` when there is no such model.
        """
        ...

    async def check(self) -> str:
        """Make a real test call and return what the provider says of itself or of the key.

        Raises:
            ProviderError: Why it does not work.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...
