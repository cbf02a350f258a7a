"""Ollama through its own API.

Chat goes by our own call to `/api/chat`, because the `ollama` package drops tool-call ids, most of a schema, `shift`
and `truncate`, and takes a stream that ends early for a whole one. The package serves the `library`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from homeport_host.providers import refusals
from homeport_host.providers.answers import Collector
from homeport_host.providers.deadline import Deadline
from homeport_host.providers.library import Library, is_local
from homeport_host.providers.protocol import (
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
    import httpx2

DEFAULT_ADDRESS = "http://127.0.0.1:11434"
_CONNECT_SECONDS = 5.0
_CHARACTERS_PER_TOKEN = 4


def address(value: str) -> str:
    """Return the URL that `OLLAMA_HOST` means to a client: it may lack scheme or port, or name all interfaces."""
    value = value.strip().rstrip("/")
    if not value:
        return DEFAULT_ADDRESS
    parts = urlsplit(value if "://" in value else f"http://{value}")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(parts.hostname or "", parts.hostname or "")  # noqa: S104
    port = parts.port or (443 if parts.scheme == "https" else 80 if "://" in value else 11434)
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}{parts.path}"


class OllamaProvider:
    """Models that Ollama runs.

    Args:
        url: Its address.
        num_ctx: Context window for requests that name none, tokens.
    """

    name = "ollama"
    cloud = False

    def __init__(self, url: str = DEFAULT_ADDRESS, *, num_ctx: int = 8192) -> None:
        self.url = url
        self.library = Library(url)
        self._num_ctx = num_ctx
        self._http: httpx2.AsyncClient | None = None

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        """Yield deltas, then the answer.

        A model may be pinned: `qwen3:8b@sha256-prefix` is only answered by those very weights.

        Raises:
            ProviderError: When there is no complete answer, whatever was yielded before.
        """
        model, pinned = await self._pinned(request.model)
        collector = Collector(request, self.name)
        deadline = Deadline(request.seconds, "Ollama")
        async with aclosing(self._chunks(request, model, deadline)) as chunks:
            async for chunk in chunks:
                for delta in _taken(chunk, collector):
                    yield delta
                if chunk.get("done"):
                    usage = Usage(chunk.get("prompt_eval_count", 0), chunk.get("eval_count", 0))
                    self._check_read(request, usage)
                    version = pinned or await self._version(model)
                    finish: Finish = "length" if chunk.get("done_reason") == "length" else "stop"
                    answer = collector.answer(finish, usage, f"{model}@{version}" if version else model)
                    if not answer.calls and (delta := collector.rest()):
                        yield delta
                    yield answer
                    return
        raise refusals.broken_stream("Ollama", "the stream ended without its end mark")

    async def models(self) -> list[ModelInfo]:
        """List the models that are on this machine.

        Raises:
            ProviderError: When Ollama cannot be asked.
        """
        return await self.library.models()

    async def describe(self, model: str) -> ModelInfo:
        """Tell what one model can do.

        Raises:
            ProviderError: `unknown_model`, with the names that are spelled alike, when there is no such model.
        """
        return await self.library.show(model.partition("@")[0])

    async def check(self) -> str:
        """Ask for its models and say how many it has.

        Raises:
            ProviderError: `unreachable`, with what to do.
        """
        return f"{len(await self.library.models())} models"

    async def aclose(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.aclose()
        await self.library.aclose()

    async def _chunks(self, request: ModelRequest, model: str, deadline: Deadline) -> AsyncGenerator[dict[str, Any]]:
        import httpx2

        body = self._body(request, model)
        http = self._client()
        try:
            response = await deadline.within(http.send(http.build_request("POST", "/api/chat", json=body), stream=True))
        except httpx2.HTTPError as error:
            raise self.library.unreachable() from error
        async with aclosing(response):
            if response.status_code != 200:
                await deadline.within(response.aread())
                raise await self._refused(response, model)
            try:
                async with aclosing(_lines(deadline.each(response.aiter_bytes()))) as lines:
                    async for line in lines:
                        yield self._parsed(line, model)
            except httpx2.HTTPError as error:
                raise refusals.broken_stream("Ollama", "the connection was lost") from error

    def _body(self, request: ModelRequest, model: str) -> dict[str, Any]:
        options: dict[str, Any] = {"num_ctx": request.num_ctx or self._num_ctx}
        if request.max_tokens:
            options["num_predict"] = request.max_tokens
        if request.temperature is not None:
            options["temperature"] = request.temperature
        body: dict[str, Any] = {
            "model": model, "messages": [_message(each) for each in request.messages], "stream": True,
            "shift": False, "truncate": False, "options": options,
        }  # fmt: skip
        if request.tools:
            body["tools"] = [for_model(tool) for tool in request.tools]
        if request.schema is not None:
            body["format"] = request.schema
        return body if request.think is None else {**body, "think": request.think}

    def _check_read(self, request: ModelRequest, usage: Usage) -> None:
        """Some models ignore `shift: false`; then the prompt was cut to half the window and nobody says so."""
        window = request.num_ctx or self._num_ctx
        sent = sum(len(message.content) for message in request.messages) // _CHARACTERS_PER_TOKEN
        if sent > window and 0 < usage.prompt_tokens <= window * 0.55:
            said = f"about {sent} tokens were sent, and the model read {usage.prompt_tokens} of them"
            raise refusals.context_overflow(request.model, said)

    def _parsed(self, line: bytes, model: str) -> dict[str, Any]:
        try:
            chunk = json.loads(line)
        except ValueError as error:
            raise refusals.broken_stream("Ollama", f"{self.url} sent a line that is no JSON") from error
        if not isinstance(chunk, dict):
            raise refusals.broken_stream("Ollama", f"{self.url} sent a line that is no JSON object")
        fields = cast("dict[str, Any]", chunk)
        if "error" in fields:
            raise Refusal("Ollama", "", model, 500, str(fields["error"])).error()
        return fields

    async def _refused(self, response: httpx2.Response, model: str) -> ProviderError:
        try:
            message = str(response.json()["error"])
        except (ValueError, KeyError, TypeError):
            message = response.text[:200]
        if response.status_code == 404:
            return await self.library.unknown(model)
        wait = refusals.retry_after(response.headers)
        return Refusal("Ollama", "Check the key of your Ollama.", model, response.status_code, message, wait).error()

    async def _pinned(self, name: str) -> tuple[str, str]:
        model, _, wanted = name.partition("@")
        if not wanted:
            return model, ""
        version = await self.library.version(model, fresh=True)
        if not version:
            raise await self.library.unknown(model)
        if not version.startswith(wanted.removeprefix("sha256:")[:12]):
            message = f"The model {model} is now version {version}, not the pinned {wanted}."
            hint = "Pin the new version, or take the pin away."
            raise ProviderError("unknown_model", message, hint, code="not_found")
        return model, version

    async def _version(self, model: str) -> str:
        try:
            return await self.library.version(model)
        except ProviderError:
            return ""  # the answer is whole; that its version cannot be asked for is no reason to lose it

    def _client(self) -> httpx2.AsyncClient:
        import httpx2

        if self._http is None:
            timeout = httpx2.Timeout(None, connect=_CONNECT_SECONDS)  # each call brings its own limit
            limits = httpx2.Limits(max_connections=None)  # Ollama has a queue of its own, and says when it is full
            proxied = not is_local(self.url)
            self._http = httpx2.AsyncClient(base_url=self.url, timeout=timeout, limits=limits, trust_env=proxied)
        return self._http


def _taken(chunk: dict[str, Any], collector: Collector) -> list[TextDelta]:
    try:
        message: dict[str, Any] = chunk.get("message") or {}
        shown = [
            collector.add_thinking(message.get("thinking") or ""),
            collector.add_text(message.get("content") or ""),
        ]
        calls: list[dict[str, Any]] = message.get("tool_calls") or []
        for call in calls:
            function: dict[str, Any] = call.get("function") or {}
            collector.add_call(call.get("id") or "", function.get("name", ""), function.get("arguments"))
    except (AttributeError, TypeError) as error:
        raise refusals.broken_stream("Ollama", "it sent a line of another shape") from error
    return [delta for delta in shown if delta]


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Yield the lines of NDJSON; httpx2 would also split at U+2028 inside a JSON string."""
    buffer = b""
    async for piece in pieces:
        *lines, buffer = (buffer + piece).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
    if buffer.strip():
        yield buffer


def _message(message: Message) -> dict[str, Any]:
    result: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.calls:
        result["tool_calls"] = [
            {"id": call.id, "function": {"name": call.name, "arguments": call.arguments or {}}}
            for call in message.calls
        ]
        if message.thinking:
            result["thinking"] = message.thinking
    if message.role == "tool":
        result |= {"tool_name": message.tool, "tool_call_id": message.call_id}
    return result
