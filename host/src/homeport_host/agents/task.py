"""What a run is asked to do, as it is recorded when it starts: nothing in it changes afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from homeport_host.agents.definition import Agent
from homeport_host.agents.limits import Limits
from homeport_host.agents.runs import Origin, Run, TaskType
from homeport_host.providers.protocol import Message, ModelAnswer, ToolCall, Usage

RunKind = Literal["chat", "ask", "job"]
LONGEST_TITLE = 80


class Said(BaseModel):
    """An earlier message of the conversation."""

    role: Literal["user", "assistant"]
    content: str


class Task(BaseModel):
    """The parameters of a run.

    Attributes:
        context: What is put before the prompt, such as a list of attachments.
        tools: Patterns that narrow the agent's tools further.
        yes: Tools whose questions are answered beforehand.
        interactive: A person waits and can be asked for approval.
        sources: Whose words are in it (runs, clients): what they have read counts as read by this run.
        today: The date when it was started, so that a replay says the same.
        title: What people see; empty = the beginning of the prompt.
        origin: Who began it.
        priority: 0 low, 1 normal, 2 high, 3 critical: which of the runs that wait for room begins first.
        parent: The run that started it, or that it repeats.
        after: Runs that must be completed before it begins.
        tags: What people find it by.
        type: What people sort it under; None = as its kind says.
        review: A person accepts the answer, or sends it back with a remark, before the run is completed.
        hold: It does not begin before somebody resumes it.
        step: The step of the parent run that it does, where agents of that run write to each other.
        to: The steps that it may write to.
    """

    model_config = ConfigDict(frozen=True)

    prompt: str
    agent: Agent
    model: str
    kind: RunKind = "ask"
    history: list[Said] = Field(default_factory=list[Said])
    context: str = ""
    instructions: str = ""
    tools: tuple[str, ...] = ()
    yes: tuple[str, ...] = ()
    limits: Limits = Limits()
    num_ctx: int = 0
    interactive: bool = True
    session_id: str = ""
    message_id: str = ""
    sources: list[str] = Field(default_factory=list[str])
    actor: str = ""
    owner: str = ""
    tenant: str = ""
    today: str = ""
    title: str = ""
    origin: Origin = "user"
    priority: int = 1
    parent: str = ""
    after: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    type: TaskType | None = None
    review: bool = False
    hold: bool = False
    step: str = ""
    to: tuple[str, ...] = ()


class Options(TypedDict, total=False):
    """What a run may be given besides its prompt.

    Attributes:
        agent: The agent's name; empty = the built-in assistant.
        model: Empty = the agent's, or else the default model.
        kind: Where it comes from, which decides what it may do unasked.
        history: The conversation before.
        context: Put before the prompt.
        instructions: Added to the agent's.
        tools: Patterns that narrow the agent's tools further.
        yes: Tools whose questions are answered beforehand.
        limits: Replace single limits of the agent.
        num_ctx: Context window in tokens; 0 = the agent's.
        interactive: A person waits and can approve calls.
        sources: The runs whose answers are in the history.
        session_id: The chat it belongs to.
        message_id: The message that its text belongs to.
        idempotency_key: The same key starts one run only, also after a restart.
        title: What people see; empty = the beginning of the prompt.
        origin: What began it; none = as the caller's identity says.
        priority: 0 to 3; higher begins first.
        after: Runs that must be completed before it begins.
        tags: What people find it by.
        type: What people sort it under.
        review: A person accepts the answer before the run is completed.
        hold: It does not begin before somebody resumes it.
        step: The step of the parent run that it does.
        to: The steps that it may write to.
    """

    agent: str
    model: str
    kind: RunKind
    history: list[Said]
    context: str
    instructions: str
    tools: tuple[str, ...]
    yes: tuple[str, ...]
    limits: dict[str, Any]
    num_ctx: int
    interactive: bool
    sources: list[str]
    session_id: str
    message_id: str
    idempotency_key: str
    title: str
    origin: Origin
    priority: int
    after: tuple[str, ...]
    tags: tuple[str, ...]
    type: TaskType
    review: bool
    hold: bool
    step: str
    to: tuple[str, ...]


def row_of(run: str, task: Task, created: str) -> Run:
    """Return a run that has not begun, as it is stored."""
    return Run(
        run,
        task.kind,
        task.agent.name,
        task.model,
        task.prompt,
        task.session_id,
        "paused" if task.hold else "queued",
        created,
        owner=task.owner,
        title=task.title or task.prompt.strip().partition("\n")[0][:LONGEST_TITLE],
        origin=task.origin,
        priority=task.priority,
        parent=task.parent,
        after=list(task.after),
        tags=list(task.tags),
        type=task.type or ("chat" if task.session_id else "automation" if task.kind == "job" else "agent"),
    )


@dataclass(frozen=True, slots=True)
class Turn:
    """One recorded answer of the model and how many seconds it took."""

    answer: ModelAnswer
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Return it as the engine records it."""
        answer = self.answer
        return {
            "text": answer.text,
            "finish": answer.finish,
            "calls": [
                {"id": call.id, "name": call.name, "arguments": call.arguments, "raw": call.raw}
                for call in answer.calls
            ],
            "thinking": answer.thinking,
            "usage": [answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.usd],
            "provider": answer.provider,
            "model": answer.model,
            "attempts": list(answer.attempts),
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Turn:
        """Read what `as_json` made."""
        answer = ModelAnswer(
            text=data["text"],
            finish=data["finish"],
            calls=tuple(ToolCall(**call) for call in data["calls"]),
            thinking=data["thinking"],
            usage=Usage(*data["usage"]),
            provider=data["provider"],
            model=data["model"],
            attempts=tuple(data["attempts"]),
        )
        return cls(answer, data["seconds"])

    def as_message(self) -> Message:
        """Return the answer as a message of the conversation."""
        return Message("assistant", self.answer.text, calls=self.answer.calls, thinking=self.answer.thinking)
