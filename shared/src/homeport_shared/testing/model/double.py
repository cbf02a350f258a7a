"""The model double: a scripted Ollama and OpenRouter server on loopback."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import AsyncExitStack, contextmanager
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.from_thread import start_blocking_portal

from homeport_shared.testing.model import ollama, openai
from homeport_shared.testing.model.journal import Recorded
from homeport_shared.testing.model.models import MODELS, Model
from homeport_shared.testing.model.script import Answer, Rule, Script
from homeport_shared.testing.model.state import Exchange, State, new_state
from homeport_shared.testing.model.window import RefusedError
from homeport_shared.testing.model.wire import CutError, HttpRequest, Response, serve

ROUTES: dict[tuple[str, str], Callable[[Exchange], Awaitable[None]]] = {
    ("GET", "/api/version"): ollama.version,
    ("GET", "/api/tags"): ollama.tags,
    ("GET", "/api/ps"): ollama.running,
    ("POST", "/api/show"): ollama.show,
    ("POST", "/api/pull"): ollama.pull,
    ("POST", "/api/embed"): ollama.embed,
    ("POST", "/api/chat"): ollama.chat,
    ("POST", "/api/generate"): ollama.generate,
    ("GET", "/v1/models"): openai.list_models,
    ("POST", "/v1/chat/completions"): openai.chat,
    ("POST", "/v1/embeddings"): openai.embeddings,
    ("POST", "/v1/rerank"): openai.rerank,
    ("GET", "/api/v1/models"): openai.list_models,
    ("GET", "/api/v1/key"): openai.key,
    ("POST", "/api/v1/chat/completions"): openai.chat,
    ("POST", "/api/v1/embeddings"): openai.embeddings,
}
BACKLOG = 1024  # connections; a test may open hundreds at once


class ModelDouble:
    """A model server that answers by a script and keeps a journal.

    Use it as `async with ModelDouble(...) as double`, or from code that is not async as
    `with ModelDouble(...).running() as double`.

    Args:
        script: Answers that are given one after the other in each conversation, and rules made by `on`; or a `Script`.
        models: What the server holds.
        default: The answer where the script has none.
        key: The bearer token that the OpenRouter address wants; empty = it takes any.
        num_ctx: Ollama's default context window, tokens.
        seed: Decides how answers are cut into pieces.
        port: 0 = a free one.
    """

    def __init__(
        self,
        script: Script | Sequence[Answer | Rule] = (),
        models: Sequence[Model] = MODELS,
        *,
        default: Answer | None = None,
        key: str = "",
        num_ctx: int = 4096,
        seed: int = 0,
        port: int = 0,
    ) -> None:
        chosen = script if isinstance(script, Script) else Script.of(script, default)
        self._state: State = new_state(chosen, models, num_ctx, key, seed)
        self._port = port
        self._stack = AsyncExitStack()
        self._arrival = anyio.Event()

    @property
    def requests(self) -> list[Recorded]:
        """Every request so far, oldest first."""
        return self._state.requests

    @property
    def chats(self) -> list[Recorded]:
        """The requests that asked a model for an answer, under whichever address."""
        return [request for request in self.requests if request.path.endswith(("/chat", "/completions", "/generate"))]

    async def asked(self, count: int = 1) -> Recorded:
        """Wait until a model has been asked `count` times and return that request, answered or not."""
        while len(self.chats) < count:
            await self._arrival.wait()
        return self.chats[count - 1]

    @property
    def script(self) -> Script:
        """What it answers; may be replaced while it runs."""
        return self._state.script

    @script.setter
    def script(self, script: Script) -> None:
        self._state.script = script

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def ollama_url(self) -> str:
        """The address for `OLLAMA_HOST`."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def openrouter_url(self) -> str:
        """The address for `OPENROUTER_BASE_URL`."""
        return f"{self.ollama_url}/api/v1"

    @property
    def compatible_url(self) -> str:
        """Ollama's own OpenAI-compatible address."""
        return f"{self.ollama_url}/v1"

    async def __aenter__(self) -> Self:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=self._port, backlog=BACKLOG)
        await self._stack.enter_async_context(listener)
        self._port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - no Django here
        tasks = await self._stack.enter_async_context(anyio.create_task_group())
        tasks.start_soon(listener.serve, self._connection)
        self._stack.callback(tasks.cancel_scope.cancel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()  # without the error: a task group would wrap what the test raised

    @contextmanager
    def running(self) -> Generator[Self]:
        """Serve from a thread of its own."""
        with start_blocking_portal() as portal, portal.wrap_async_context_manager(self):
            yield self

    async def _connection(self, stream: SocketStream) -> None:
        await serve(stream, self._answer)

    async def _answer(self, request: HttpRequest, response: Response) -> None:
        recorded = Recorded(request.path, request.headers, {})
        self.requests.append(recorded)
        self._arrival.set()
        self._arrival = anyio.Event()
        dice = random.Random(f"{self._state.seed} {request.body}")  # noqa: S311 - a test's dice, not a secret
        exchange = Exchange(self._state, recorded, response, dice)
        outcome = "client_gone"
        try:
            await self._dispatch(request, exchange)
            outcome = "answered"
        except RefusedError as error:
            outcome = "refused"
            wait = {} if error.retry_after is None else {"Retry-After": f"{error.retry_after:g}"}
            await response.json(error.status, {"error": exchange.error_value(error.status, error.message)}, wait)
        except CutError:
            outcome = "cut"
            raise
        finally:
            recorded.outcome = outcome
            recorded.finished.set()

    async def _dispatch(self, request: HttpRequest, exchange: Exchange) -> None:
        if request.method == "GET" and request.path == "/":
            await exchange.response.json(200, "Ollama is running")
            return
        handler = ROUTES.get((request.method, request.path))
        if handler is None:
            raise RefusedError(404, f"404 page not found: {request.method} {request.path}")
        try:
            exchange.request.body.update(request.json())
        except (ValueError, json.JSONDecodeError) as error:
            raise RefusedError(400, str(error)) from error
        await handler(exchange)
