"""The gateway of a server that runs alone: an MCP client of the servers that its own file names.

The file is that of the desktop clients, `{"mcpServers": {name: {command, args, env, cwd} or {url, headers}}}`. A server
is started when it is first needed and ended when it was not needed for a while.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, cast

import anyio
from anyio.abc import TaskGroup

from homeport_shared.errors import HomeportError
from homeport_shared.gateway import Happened, Order, Outcome
from homeport_shared.identity import ERROR

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import CallToolResult, Tool

IDLE_SECONDS = 60.0
CONNECT_SECONDS = 30.0
SETTLED = 4_000  # characters of a result that are kept


class Peers:
    """The servers of one file.

    Args:
        path: The file; read when a server is needed, so a change counts at once.
        tasks: Runs the connections.
    """

    def __init__(self, path: Path, tasks: TaskGroup) -> None:
        self._path = path
        self._tasks = tasks
        self._open: dict[str, _Connection] = {}
        self._scopes: dict[str, anyio.CancelScope] = {}

    async def carry_out(self, order: Order) -> Outcome:
        """Call the tool of `order`.

        Raises:
            HomeportError: `unsupported` for an agent's task or a workflow; `conflict`, when the call may have been made
                before and the tool does not bear it twice; or what the tool says.
        """
        if not order.tool:
            raise HomeportError(
                "unsupported", "There is no host, so no agent or workflow can be run.", "Use it in Homeport, or a tool."
            )
        connection, tool = await self._tool(order.tool)
        hints = tool.annotations
        if order.again and not (hints and (hints.read_only_hint or hints.idempotent_hint)):
            raise HomeportError(
                "conflict",
                f"{order.tool} was under way when the scheduler stopped; whether it took effect is not known.",
                "Look whether it happened, then run the job again.",
            )
        with anyio.CancelScope() as scope:
            self._scopes[order.id] = scope
            try:
                return _outcome(await connection.call(tool.name, order.arguments), order.tool)
            finally:
                del self._scopes[order.id]
        raise HomeportError("cancelled", f"{order.title} was stopped.", "Run it again when it is wanted.")

    async def abandon(self, order: str) -> None:
        """Cancel the call of an order."""
        if scope := self._scopes.get(order):
            scope.cancel()

    async def problems(self, order: Order) -> list[str]:
        """Return why the call cannot be made; starts the server to find out."""
        if not order.tool:
            return ["There is no host, so no agent or workflow can be run."]
        try:
            _, tool = await self._tool(order.tool)
        except HomeportError as error:
            return [str(error)]
        required = cast("list[str]", tool.input_schema.get("required", []))
        missing = [name for name in required if name not in order.arguments]
        return [f"{order.tool} needs {', '.join(missing)}."] if missing else []

    async def states(self, tasks: Sequence[str]) -> dict[str, str]:
        """Return nothing: there is no host, so there are no tasks."""
        return {}

    async def follow(self, after: int | None, handle: Callable[[list[Happened]], Awaitable[None]]) -> None:
        """Hand over nothing: other servers have no events for us."""
        await anyio.sleep_forever()

    async def _tool(self, name: str) -> tuple[_Connection, Tool]:
        server, _, own = name.partition("__")
        entry = self._entry(server)
        connection = self._open.get(server)
        if connection is None or connection.ended.is_set() or connection.entry != entry:
            connection = self._open[server] = _Connection(server, entry)
            self._tasks.start_soon(connection.run)
        tools = await connection.tools()
        if own not in tools:
            raise HomeportError("not_found", f"{server} has no tool {own!r}.", f"It has: {', '.join(sorted(tools))}.")
        return connection, tools[own]

    def _entry(self, server: str) -> dict[str, Any]:
        try:
            servers = cast("dict[str, Any]", json.loads(self._path.read_text("utf-8-sig"))["mcpServers"])
            entry = servers.get(server)
        except FileNotFoundError:
            entry, servers = None, dict[str, Any]()
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise HomeportError(
                "invalid", f"{self._path} has no table mcpServers: {error}.", 'Write {"mcpServers": {"name": {…}}}.'
            ) from error
        if not isinstance(entry, dict):
            known = f"It knows: {', '.join(servers)}." if servers else "It is empty or not there."
            raise HomeportError("not_found", f"There is no server {server!r} in {self._path}.", known)
        return cast("dict[str, Any]", entry)


class _Connection:
    """One server, connected by a task of its own for as long as it is needed."""

    def __init__(self, name: str, entry: Mapping[str, Any]) -> None:
        self.entry = entry
        self.ended = anyio.Event()
        self._name = name
        self._ready = anyio.Event()
        self._broken = anyio.Event()
        self._used = anyio.current_time()
        self._calls = 0
        self._client: Client | None = None
        self._tools: dict[str, Tool] = {}
        self._why = "it did not start in time"

    async def run(self) -> None:
        """Connect, and stay connected until nobody called for a while."""
        from mcp import Client

        try:
            with anyio.CancelScope(deadline=anyio.current_time() + CONNECT_SECONDS) as scope:
                async with AsyncExitStack() as stack, Client(await self._target(stack)) as client:
                    self._tools = {tool.name: tool for tool in (await client.list_tools()).tools}
                    self._client = client
                    scope.deadline = math.inf
                    self._ready.set()
                    await self._needed()
        except Exception as error:  # the boundary to a foreign program: whatever it does is told to those who call it
            self._why = _innermost(error)
        finally:
            self.ended.set()
            self._ready.set()

    async def tools(self) -> dict[str, Tool]:
        """Return the server's tools by name, once it is connected."""
        await self._ready.wait()
        if self.ended.is_set():
            raise HomeportError(
                "unavailable", f"The server {self._name!r} cannot be used: {self._why}.", "Check how it is started."
            )
        self._used = anyio.current_time()
        return self._tools

    async def call(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        """Call a tool; a connection that breaks meanwhile is an error and is made anew for the next call."""
        from mcp import MCPError

        assert self._client is not None
        self._calls += 1
        try:
            result = await self._client.call_tool(tool, arguments)
        except (MCPError, anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
            self.ended.set()
            self._broken.set()
            raise HomeportError(
                "unavailable", f"The server {self._name!r} broke off: {error}.", "Try again; it is started anew."
            ) from error
        finally:
            self._calls -= 1
            self._used = anyio.current_time()
        return result

    async def _needed(self) -> None:
        """Return when nobody called for a while, or the connection is broken."""
        while self._calls or anyio.current_time() - self._used < IDLE_SECONDS:
            with anyio.move_on_after(IDLE_SECONDS):
                await self._broken.wait()
                return

    async def _target(self, stack: AsyncExitStack) -> Any:
        if url := self.entry.get("url"):
            from mcp.client.streamable_http import streamable_http_client
            from mcp.shared._httpx_utils import create_mcp_http_client

            headers = {name: _expanded(value) for name, value in self.entry.get("headers", {}).items()}
            http = await stack.enter_async_context(create_mcp_http_client(headers=headers))
            return streamable_http_client(_expanded(url), http_client=http)
        from mcp import StdioServerParameters
        from mcp.client.stdio import stdio_client

        return stdio_client(
            StdioServerParameters(
                command=str(self.entry.get("command", "")),
                args=[_expanded(each) for each in self.entry.get("args", [])],
                env={name: _expanded(value) for name, value in self.entry.get("env", {}).items()},
                cwd=self.entry.get("cwd") or None,
            )
        )


def _outcome(result: CallToolResult, name: str) -> Outcome:
    text = "\n".join(str(getattr(block, "text", f"[{block.type}]")) for block in result.content)
    if not result.is_error:
        return Outcome(text[:SETTLED])
    told = cast("dict[str, Any]", (result.meta or {}).get(ERROR) or {})
    raise HomeportError.from_dict(told, text[:1_000] or f"{name} failed without a word.")


def _expanded(value: Any) -> str:
    return Template(str(value)).safe_substitute(os.environ)


def _innermost(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return f"{type(error).__name__}: {error}"[:300]
