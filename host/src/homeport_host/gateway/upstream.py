"""One server as the host sees it: connected by a task of its own, called from the tasks of its callers."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, cast

import anyio
import httpx2
from mcp import Client, MCPError
from mcp.client.subscriptions import (
    ListenNotSupportedError,
    SubscriptionLost,
)
from mcp.types import CONNECTION_CLOSED
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from homeport_host.gateway.config import ServerConfig
from homeport_host.gateway.connections import new_key, open_target, send
from homeport_host.gateway.lists import Lists
from homeport_host.gateway.turns import Elicit, Question, Turns, asking
from homeport_host.gateway.watches import Watches
from homeport_host.governance.calls import Progress
from homeport_shared.clock import iso
from homeport_shared.errors import ErrorCode, HomeportError
from homeport_shared.events import EventSink
from homeport_shared.gateway import Gateway
from homeport_shared.identity import Identity
from homeport_shared.neighbours import Neighbours
from homeport_shared.views import SHOWS_VIEWS

logger = logging.getLogger(__name__)
State = Literal["stopped", "starting", "ready", "down"]
CONNECT_SECONDS = 60.0  # the first start by npx or uvx downloads
START_WAIT_SECONDS = 5.0
CALL_SECONDS = 300.0
PROBE_SECONDS = 5.0
PING_EVERY_SECONDS = 15.0
AGAIN_SECONDS = 1.0
BACK_OFF_SECONDS = (0.0, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0)
STABLE_SECONDS = 30.0
SESSION_NOT_FOUND = -32600
RESOURCE_NOT_FOUND_2025 = -32002
INVALID_PARAMS = -32602
METHOD_NOT_FOUND = -32601


class RefusedError(HomeportError):
    """The server answered with a protocol error; `mcp` is that error as it came."""

    def __init__(self, server: str, error: MCPError) -> None:
        codes: dict[int, ErrorCode] = {INVALID_PARAMS: "invalid", RESOURCE_NOT_FOUND_2025: "not_found"}
        unsupported: ErrorCode = "unsupported" if error.error.code == METHOD_NOT_FOUND else "internal"
        super().__init__(codes.get(error.error.code, unsupported), f"The server {server!r} answered: {error}")
        self.mcp = error


class Upstream:
    """A server and the connection to it.

    Args:
        config: How to reach it.
        home: The data root.
        events: Where a server in this process puts its events.
        gateway: Returns who has work done for a server in this process.
        neighbours: Its way to other servers.
        changed: Awaited when the state or a list changed.
        updated: Awaited with a resource's own URI when its content changed.
        connect_seconds: How long the server may take to introduce itself and to list what it has.

    Attributes:
        state: `ready` = can be called; `down` = will be tried again by itself; `reason` says why.
        next_try: When a server that is down is tried again, RFC 3339 in UTC; empty otherwise.
        tools: Raw entries of `tools/list` under the server's own names; `resources`, `templates`, `prompts` likewise.
        protocol: The version that was agreed on; empty while there is no connection.
    """

    def __init__(
        self,
        config: ServerConfig,
        *,
        home: Path,
        events: EventSink | None = None,
        gateway: Callable[[], Gateway | None] = lambda: None,
        neighbours: Neighbours | None = None,
        changed: Callable[[], Awaitable[None]],
        updated: Callable[[str, str], Awaitable[None]],
        connect_seconds: float = CONNECT_SECONDS,
    ) -> None:
        self.name = config.name
        self.config = config
        self.state: State = "starting" if config.enabled else "stopped"
        self.reason = ""
        self.next_try = ""
        self.protocol = ""
        self.title = config.name
        self.instructions = ""
        self._home = home
        self._events = events
        self._gateway = gateway
        self._neighbours = neighbours
        self._changed = changed
        self._lists = Lists(changed)
        self._updated = updated
        self._connect_seconds = connect_seconds
        self._key = new_key()
        self._client: Client | None = None
        self._served = False
        self._lost = anyio.Event()
        self._settled = anyio.Event()
        self._retry = anyio.Event()
        self._scope = anyio.CancelScope()
        self._ended = anyio.Event()
        self._watches = Watches(lambda uri: updated(config.name, uri))
        self._turns = Turns()

    @property
    def tools(self) -> list[dict[str, Any]]:
        """Entries of `tools/list`."""
        return self._lists.entries["tools"]

    @property
    def resources(self) -> list[dict[str, Any]]:
        """Entries of `resources/list`."""
        return self._lists.entries["resources"]

    @property
    def templates(self) -> list[dict[str, Any]]:
        """Entries of `resources/templates/list`."""
        return self._lists.entries["templates"]

    @property
    def prompts(self) -> list[dict[str, Any]]:
        """Entries of `prompts/list`."""
        return self._lists.entries["prompts"]

    @property
    def modern(self) -> bool:
        """Whether the server speaks the protocol of 2026."""
        return self.protocol in MODERN_PROTOCOL_VERSIONS

    # Its life

    async def run(self) -> None:
        """Keep the server connected until `stop`: one task enters and leaves each connection."""
        failures = 0
        try:
            with self._scope:
                await self._become("starting")
                while True:
                    began = anyio.current_time()
                    reason = await self._connect()
                    stable = self._served and anyio.current_time() - began > STABLE_SECONDS
                    # Only who could be called before is tried again at once: a new server that fails is down now.
                    failures = 1 if stable else max(failures, 0 if self._served else 1) + 1
                    delay = BACK_OFF_SECONDS[min(failures, len(BACK_OFF_SECONDS)) - 1]
                    logger.warning("server %s is down: %s; next try in %.1f s", self.name, reason, delay)
                    self._retry = anyio.Event()
                    if delay:
                        next_try = iso(datetime.now(UTC) + timedelta(seconds=delay))
                        await self._become("down", reason, next_try=next_try)
                    with anyio.move_on_after(delay) as pause:
                        await self._retry.wait()
                    if self._served or not pause.cancelled_caught:  # who never worked stays down meanwhile
                        await self._become("starting", reason)
        finally:
            self.state, self.reason = "stopped", "it was removed or the host stops"
            self._settled.set()
            self._ended.set()

    async def stop(self) -> None:
        """Disconnect and end; returns when the server's process is gone."""
        self._scope.cancel()
        await self._ended.wait()

    def retry(self) -> None:
        """Try a server that is down again at once."""
        self._retry.set()

    async def settled(self) -> None:
        """Wait until the first attempt to connect succeeded or failed."""
        await self._settled.wait()

    async def _become(self, state: State, reason: str = "", *, next_try: str = "") -> None:
        self.state, self.reason, self.next_try = state, reason, next_try
        if state == "starting" and self._settled.is_set():
            self._settled = anyio.Event()
        await self._changed()  # who waits for the server finds its tools in the catalog
        if state != "starting":
            self._settled.set()

    async def _connect(self) -> str:
        """Connect, serve until the connection is lost, and return why it ended."""
        try:
            with anyio.CancelScope(deadline=anyio.current_time() + self._connect_seconds) as scope:
                await self._serve(scope)
                return "the connection was lost"
            return f"it did not answer within {self._connect_seconds:g} s"
        except* Exception as group:  # the boundary: whatever a foreign server does, only this server is down
            error = _first(group)
        finally:
            self._client = None
            self.protocol = ""
            self._watches.lost()
        logger.debug("server %s could not be used", self.name, exc_info=error)
        return _plain(error, self.name)

    async def _serve(self, scope: anyio.CancelScope) -> None:
        self._lost = anyio.Event()
        self._served = False
        async with (
            open_target(
                self.config,
                home=self._home,
                events=self._events,
                gateway=self._gateway(),
                neighbours=self._neighbours,
                key=self._key,
            ) as target,
            Client(
                target,
                elicitation_callback=self._turns.on_question,
                message_handler=self._on_message,
                extensions=[SHOWS_VIEWS],
                cache=None,
            ) as client,
        ):
            self.protocol = client.protocol_version
            self.title = (client.server_info.title or client.server_info.name) if client.server_info else self.name
            self.instructions = client.instructions or ""
            await self._lists.refresh(client)
            scope.deadline = math.inf
            async with anyio.create_task_group() as tasks:
                self._client = client
                self._served = True
                tasks.start_soon(self._follow, client)
                tasks.start_soon(self._lists.keep, client)
                self._watches.connected(client, tasks)
                await self._become("ready")
                await self._lost.wait()
                self._client = None
                tasks.cancel_scope.cancel()

    # What the server announces

    async def _follow(self, client: Client) -> None:
        """Follow changes; the end of the stream, or of the answers to a ping, is how a crash is noticed."""
        while True:
            pause = AGAIN_SECONDS
            try:
                async with client.listen(
                    tools_list_changed=True, prompts_list_changed=True, resources_list_changed=True
                ) as stream:
                    async for event in stream:
                        self._lists.on_event(event)
            except (ListenNotSupportedError, MCPError):
                pause = PING_EVERY_SECONDS
            except SubscriptionLost:
                pass
            if not await self._answers(client):
                self._lost.set()
                return
            await anyio.sleep(pause)

    async def _answers(self, client: Client) -> bool:
        try:
            with anyio.fail_after(PROBE_SECONDS):
                await send(client, "server/discover" if self.modern else "ping", {})
        except (MCPError, TimeoutError):
            return False
        return True

    async def _on_message(self, message: Any) -> None:
        """Take a notification of a 2025 server."""
        method = getattr(message, "method", "")
        if self.modern or not method:
            return
        if method == "notifications/resources/updated":
            await self._updated(self.name, str(message.params.uri))
        else:
            self._lists.on_notification(method)

    def hold(self, uri: str) -> None:
        """Watch the resource at `uri`, its own URI, until each `hold` has its `release`."""
        self._watches.hold(uri)

    def release(self, uri: str) -> None:
        """Undo one `hold`."""
        self._watches.release(uri)

    async def acknowledged(self, uri: str) -> None:
        """Wait until the server has accepted the watch of `uri`."""
        await self._watches.acknowledged(uri)

    # Calls

    async def request(
        self,
        method: str,
        params: Mapping[str, Any],
        *,
        identity: Identity | None = None,
        progress: Progress | None = None,
        seconds: float | None = None,
        elicit: Elicit | None = None,
    ) -> dict[str, Any]:
        """Send a request from the caller's task; cancelling that task cancels the work in the server.

        Args:
            method: Such as `tools/call`.
            params: Its parameters, with the server's own names and URIs.
            identity: Who is behind it; told to bundled servers only.
            progress: Told about progress.
            seconds: How long it may take, the time a person takes to answer a question not counted; None = 300.
            elicit: Puts a question of a 2025 server to the person; None = what `asking` holds.

        Returns:
            The raw result, which may be an `input_required` one.

        Raises:
            RefusedError: The server answered with a protocol error.
            HomeportError: `unavailable` or `timeout`.
        """
        question = Question(elicit or asking.get())
        message = {**params, "_meta": self._meta(params.get("_meta"), identity)}
        with anyio.CancelScope(deadline=anyio.current_time() + (seconds or CALL_SECONDS)) as question.scope:
            async with self._turns.turn(question, needed=await self._needs_turn(method)):
                return await self._send_once_more(method, message, progress)
        if question.scope.cancelled_caught:
            raise HomeportError(
                "timeout",
                f"The server {self.name!r} did not finish within {seconds or CALL_SECONDS:g} s.",
                "Ask for less at a time, or allow it more time.",
            )
        raise HomeportError("cancelled", f"The call of the server {self.name!r} was cancelled.")

    async def _send_once_more(self, method: str, message: dict[str, Any], progress: Progress | None) -> dict[str, Any]:
        try:
            return await self._attempt(method, message, progress)
        except _SessionGoneError:  # the server restarted and did not look at the request
            return await self._attempt(method, message, progress)

    async def _attempt(self, method: str, message: dict[str, Any], progress: Progress | None) -> dict[str, Any]:
        client = await self._ready()
        lost = self._lost
        try:
            return await send(client, method, message, progress)
        except MCPError as error:
            if self.config.kind == "http" and not self.modern and error.error.code == SESSION_NOT_FOUND:
                self._lose(lost)
                raise _SessionGoneError from error
            if error.error.code == CONNECTION_CLOSED or lost.is_set():
                self._lose(lost)
                raise HomeportError(
                    "unavailable",
                    f"The server {self.name!r} stopped during the call.",
                    "It is started again by itself; whether the call had an effect is not known.",
                ) from error
            raise RefusedError(self.name, error) from error
        except (anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
            self._lose(lost)
            raise HomeportError("unavailable", f"The server {self.name!r} has gone.", "Try again.") from error

    async def _needs_turn(self, method: str) -> bool:
        if method != "tools/call" or self.config.kind == "http":
            return False
        await self._ready()
        return not self.modern

    def _lose(self, lost: anyio.Event) -> None:
        # Down at once, in the task that sees it: the next call must not reach the dead client.
        lost.set()
        if lost is self._lost and self._client is not None:
            self._client, self.state, self.reason = None, "starting", "the connection was lost"
            self._settled = anyio.Event()

    async def _ready(self) -> Client:
        if self._client is None and self.state == "starting":
            with anyio.move_on_after(START_WAIT_SECONDS):
                await self._settled.wait()
        if self._client is None:
            reason = f": {self.reason}" if self.reason else ""
            raise HomeportError(
                "unavailable",
                f"The server {self.name!r} is not available{reason}.".replace("..", "."),
                "It is tried again by itself; `list_servers` shows its state.",
            )
        return self._client

    def _meta(self, given: Any, identity: Identity | None) -> dict[str, Any]:
        """Return the request's `_meta`: what the protocol keeps for one connection is left out, identity is added."""
        meta: dict[str, Any] = {
            name: value
            for name, value in cast("Mapping[str, Any]", given or {}).items()
            if not name.startswith("io.modelcontextprotocol/") and name != "progressToken"
        }
        if identity is not None and self.config.bundled:
            meta |= identity.as_meta(self._key if self.config.isolation == "process" else "")
        elif identity is not None and identity.traceparent:
            meta["traceparent"] = identity.traceparent
        return meta


class _SessionGoneError(Exception):
    """A 2025 HTTP server does not know the session any more."""


def _first(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", group).exceptions[0]
    return group


def _plain(error: BaseException, name: str) -> str:
    """Say in one sentence why a connection failed."""
    if isinstance(error, HomeportError):
        return str(error)
    if isinstance(error, MCPError) and error.error.code == CONNECTION_CLOSED:
        return f"it ended, or what it writes is not MCP; logs/server-{name}.log holds what it said"
    if isinstance(error, ConnectionError | httpx2.ConnectError):
        return "nothing answers at its address"
    return f"{type(error).__name__}: {error}"
