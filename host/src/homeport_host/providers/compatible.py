"""OpenRouter, and any other address that speaks the OpenAI form, through the `openai` package."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import anyio.to_thread

from homeport_host.providers import refusals
from homeport_host.providers.answers import Collector
from homeport_host.providers.deadline import Deadline
from homeport_host.providers.protocol import (
    Capability,
    Finish,
    Message,
    ModelEvent,
    ModelInfo,
    ModelRequest,
    ProviderError,
    TextDelta,
    Usage,
)
from homeport_host.providers.refusals import Refusal
from homeport_host.providers.schemas import for_model

if TYPE_CHECKING:
    import openai
    from openai.types.chat import ChatCompletionChunk

OPENROUTER = "https://openrouter.ai/api/v1"
_CONNECT_SECONDS = 5.0
_SECONDS = 30.0  # for calls that only list or check
_FINISHES: dict[str, Finish] = {
    "stop": "stop", "tool_calls": "tool_calls", "function_call": "tool_calls", "length": "length"
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Address:
    """One server that speaks the OpenAI form.

    Attributes:
        name: The prefix of its models, such as `openrouter`.
        title: As people call it.
        url: Up to and including `/v1`.
        key_name: The key's name in the vault and in the environment; empty = it needs no key.
        cloud: It is not on this machine or in this network.
        preferences: OpenRouter's `provider` object, sent with every request; empty = not sent.
    """

    name: str
    title: str
    url: str
    key_name: str = ""
    cloud: bool = True
    preferences: dict[str, Any] = field(default_factory=dict[str, Any])


class CompatibleProvider:
    """Models behind an address that speaks the OpenAI form.

    Args:
        address: Where and what it is.
        key: Returns the key of that name, or None; asked for each call, so that a new key works at once.
    """

    def __init__(self, address: Address, key: Callable[[str], str | None]) -> None:
        self.name = address.name
        self.cloud = address.cloud
        self._address = address
        self._key = key
        self._client: openai.AsyncOpenAI | None = None

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        """Yield deltas, then the answer.

        Raises:
            ProviderError: When there is no complete answer, whatever was yielded before.
        """
        collector = Collector(request, self.name)
        fragments = _Fragments()
        finish, usage, model = "", Usage(), request.model
        deadline = Deadline(request.seconds, self._address.title)
        async with aclosing(self._chunks(request, deadline)) as chunks:
            async for chunk in chunks:
                model = chunk.get("model") or model
                usage = _usage(chunk.get("usage")) or usage
                choices: list[dict[str, Any]] = chunk.get("choices") or []
                for choice in choices:
                    finish = choice.get("finish_reason") or finish
                    for shown in self._taken(choice.get("delta") or {}, collector, fragments):
                        yield shown
        fragments.hand_over(collector, whole=finish != "length")
        answer = collector.answer(self._finish(finish, model), usage, model)
        if not answer.calls and (shown := collector.rest()):
            yield shown
        yield answer

    async def models(self) -> list[ModelInfo]:
        """List the models of this address.

        Raises:
            ProviderError: When it cannot be asked.
        """
        entries = await self._call(lambda client: client.models.list())
        return [self._info(each.model_dump()) for each in entries.data]

    async def describe(self, model: str) -> ModelInfo:
        """Tell what one model can do.

        Raises:
            ProviderError: `unknown_model`, with the names that are spelled alike, when there is no such model.
        """
        known = await self.models()
        found = next((each for each in known if each.name == f"{self.name}/{model}"), None)
        if found is None:
            names = [each.name.partition("/")[2] for each in known]
            raise refusals.unknown_model(self._address.title, model, names)
        return found

    async def check(self) -> str:
        """Make a real call that only a valid key gets through, and return what it says about the key.

        Raises:
            ProviderError: `refused_key` with the provider's reason, `no_key`, `unreachable`.
        """
        if not self._address.preferences:
            return f"{len(await self.models())} models"
        answer = cast("dict[str, Any]", await self._call(lambda client: client.get("/key", cast_to=object)))
        data: dict[str, Any] = answer.get("data") or {}
        left = data.get("limit_remaining")
        return "no limit" if left is None else f"{left:g} US dollars left"

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    async def _chunks(self, request: ModelRequest, deadline: Deadline) -> AsyncGenerator[dict[str, Any]]:
        import httpx2
        import openai

        timeout = httpx2.Timeout(request.seconds, connect=_CONNECT_SECONDS)
        body = {**self._body(request), "timeout": timeout}

        def create(client: openai.AsyncOpenAI) -> Awaitable[Any]:
            completions: Any = client.chat.completions.with_raw_response
            return deadline.within(completions.create(**body))

        raw = await self._call(create, request.model)
        async with aclosing(raw.http_response):
            if "event-stream" not in raw.headers.get("content-type", ""):
                raise self._no_stream(await deadline.within(raw.http_response.aread()), request.model)
            try:
                stream: openai.AsyncStream[ChatCompletionChunk] = raw.parse()
                async with aclosing(deadline.each(aiter(stream))) as chunks:
                    async for chunk in chunks:
                        yield chunk.model_dump(exclude_unset=True, warnings=False)
            except (openai.APIConnectionError, httpx2.HTTPError) as error:
                raise refusals.broken_stream(self._address.title, "the connection was lost") from error
            except openai.APIError as error:
                raise self._refusal(request.model, _code(error.body), error.message) from error
            except ValueError as error:
                reason = "it sent a line that is no JSON"
                raise refusals.broken_stream(self._address.title, reason) from error

    def _taken(self, delta: dict[str, Any], collector: Collector, fragments: _Fragments) -> list[TextDelta]:
        try:
            thought: str = delta.get("reasoning") or delta.get("reasoning_content") or ""
            shown = [collector.add_thinking(thought), collector.add_text(delta.get("content") or "")]
            fragments.add(delta.get("tool_calls") or [])
        except (AttributeError, TypeError) as error:
            raise refusals.broken_stream(self._address.title, "it sent a line of another shape") from error
        return [each for each in shown if each]

    def _body(self, request: ModelRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": request.model, "messages": [_message(each) for each in request.messages], "stream": True,
            "stream_options": {"include_usage": True},
        }  # fmt: skip
        extra: dict[str, Any] = {}
        if self._address.preferences:
            strict = {"require_parameters": True} if request.tools or request.schema else {}
            extra["provider"] = {**self._address.preferences, **strict}
            if request.think is not None:
                extra["reasoning"] = {"enabled": request.think}
        if request.tools:
            body["tools"] = [for_model(tool) for tool in request.tools]
        if request.schema is not None:
            form = {"name": "answer", "schema": request.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        if request.max_tokens:
            body["max_tokens"] = request.max_tokens
        if request.temperature is not None:
            body["temperature"] = request.temperature
        return {**body, "extra_body": extra}

    def _finish(self, finish: str, model: str) -> Finish:
        if finish in _FINISHES:
            return _FINISHES[finish]
        if finish == "content_filter":
            message = f"{self._address.title} withheld the answer of {model} by its content filter."
            raise ProviderError("invalid_answer", message, "Change the question or choose another model.")
        raise refusals.broken_stream(self._address.title, "the stream ended without its end mark")

    def _no_stream(self, body: bytes, model: str) -> ProviderError:
        """A body where a stream was asked for: OpenRouter sends its errors so, with status 200."""
        try:
            error = cast("dict[str, Any]", json.loads(body)["error"])
            return self._refusal(model, _code(error), str(error.get("message", error)))
        except (ValueError, KeyError, TypeError, AttributeError):
            message = f"{self._address.url} does not answer as a model server does."
            return ProviderError("server_error", message, "Check the address.")

    def _refusal(self, model: str, status: int, message: str, wait: float | None = None) -> ProviderError:
        return Refusal(self._address.title, self._key_hint(), model, status, message, wait).error()

    def _key_hint(self) -> str:
        return f"Set {self._address.key_name or 'its key'}, or enter the key in the settings."

    async def _call(self, call: Callable[[openai.AsyncOpenAI], Awaitable[Any]], model: str = "") -> Any:
        import httpx2
        import openai

        try:
            return await call(await self._ready())
        except openai.APIStatusError as error:
            wait = refusals.retry_after(error.response.headers)
            raise self._refusal(model, error.status_code, _words(error), wait) from error
        except openai.APIConnectionError as error:
            if isinstance(error.__cause__, httpx2.ReadTimeout):
                raise refusals.timed_out(self._address.title, _SECONDS) from error
            message = f"{self._address.title} does not answer at {self._address.url}."
            raise ProviderError("unreachable", message, "Check the network and the address.") from error

    async def _ready(self) -> openai.AsyncOpenAI:
        key = await anyio.to_thread.run_sync(self._key, self._address.key_name) if self._address.key_name else "none"
        if not key:
            message = f"There is no API key for {self._address.title}."
            raise ProviderError("no_key", message, self._key_hint(), code="denied")
        if not key.isascii() or not key.isprintable():
            message = f"The API key for {self._address.title} holds characters that no key has."
            raise ProviderError("refused_key", message, self._key_hint(), code="denied")
        if self._client is None:
            self._client = await anyio.to_thread.run_sync(_new_client, self._address.url, key)
        self._client.api_key = key
        return self._client

    def _info(self, entry: dict[str, Any]) -> ModelInfo:
        parameters: list[str] = entry.get("supported_parameters") or []
        capabilities: set[Capability] = {"completion"}
        if "tools" in parameters:
            capabilities.add("tools")
        if "reasoning" in parameters:
            capabilities.add("thinking")
        architecture: dict[str, list[str]] = entry.get("architecture") or {}
        if "image" in architecture.get("input_modalities", []):
            capabilities.add("vision")
        pricing: dict[str, str] = entry.get("pricing") or {}
        prices = [float(pricing.get(name, 0)) * 1e6 for name in ("prompt", "completion")]
        return ModelInfo(
            f"{self.name}/{entry['id']}", int(entry.get("context_length") or 0), frozenset(capabilities),
            usd_per_million=(prices[0], prices[1]) if any(prices) else None,
        )  # fmt: skip


@dataclass(slots=True)
class _Fragments:
    """Tool calls that arrive in pieces, with or without an index, an id, or either twice."""

    calls: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    _by_index: dict[int, dict[str, str]] = field(default_factory=dict[int, dict[str, str]])

    def add(self, pieces: list[dict[str, Any]]) -> None:
        for piece in pieces:
            function: dict[str, Any] = piece.get("function") or {}
            call = self._slot(piece.get("index"), piece.get("id") or "", function.get("name") or "")
            call["arguments"] += function.get("arguments") or ""

    def _slot(self, index: int | None, identity: str, name: str) -> dict[str, str]:
        known = (self.calls[-1] if self.calls else None) if index is None else self._by_index.get(index)
        if known is not None and not (name and known["name"]):
            known["name"] += name
            return known
        call = {"id": identity, "name": name, "arguments": ""}
        self.calls.append(call)
        if index is not None:
            self._by_index[index] = call
        return call

    def hand_over(self, collector: Collector, *, whole: bool) -> None:
        for call in self.calls:
            collector.add_call(call["id"], call["name"], call["arguments"], whole=whole)


def _new_client(url: str, key: str) -> openai.AsyncOpenAI:
    # openai looks into httpx where that is loaded, even while the thread that loads ollama is not done with it
    import httpx  # noqa: F401 # pyright: ignore[reportUnusedImport]
    import httpx2
    import openai

    # what the environment says about an OpenAI account must not reach another company's server
    own = {"OpenAI-Organization": openai.Omit(), "OpenAI-Project": openai.Omit()}
    timeout = httpx2.Timeout(_SECONDS, connect=_CONNECT_SECONDS)
    return openai.AsyncOpenAI(
        base_url=url, api_key=key, max_retries=0, timeout=timeout, default_headers=cast("Any", own)
    )


def _message(message: Message) -> dict[str, Any]:
    result: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.calls:
        result["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments or {})},
            }
            for call in message.calls
        ]
    return {**result, "tool_call_id": message.call_id} if message.role == "tool" else result


def _usage(value: dict[str, Any] | None) -> Usage | None:
    if not value:
        return None
    return Usage(value.get("prompt_tokens") or 0, value.get("completion_tokens") or 0, float(value.get("cost") or 0))


def _code(error: Any) -> int:
    code: Any = cast("dict[str, Any]", error).get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) else 500


def _words(error: openai.APIStatusError) -> str:
    body: Any = error.body
    said = cast("dict[str, Any]", body).get("message") if isinstance(body, dict) else None
    return str(said or error.message)
