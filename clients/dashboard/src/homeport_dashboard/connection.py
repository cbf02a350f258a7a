"""The one MCP client behind all pages: calls, reads and update streams, reconnected when the host went away."""

from __future__ import annotations

import base64
import json
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, cast

import anyio
from mcp import Client, MCPError
from mcp.client.subscriptions import SubscriptionLost
from mcp.shared.subscriptions import ResourceUpdated
from mcp.types import (
    CONNECTION_CLOSED,
    INVALID_PARAMS,
    REQUEST_TIMEOUT,
    CallToolResult,
    TextContent,
    TextResourceContents,
    Tool,
)

from homeport_shared.errors import ErrorCode, HomeportError

logger = logging.getLogger(__name__)

ERROR = "io.homeport/error"
# What the protocol's own codes say, where an error carries none of Homeport's; a wrong parameter is a wrong name.
CODES: dict[int, ErrorCode] = {
    CONNECTION_CLOSED: "unavailable", REQUEST_TIMEOUT: "timeout", INVALID_PARAMS: "not_found"
}  # fmt: skip
CALL_SECONDS = 120.0
TOOLS_SECONDS = 2.0
READY_SECONDS = 5.0
LONGEST_PAUSE = 5.0
Connect = Callable[[], AbstractAsyncContextManager[Client]]
Json = dict[str, Any]


class Connection:
    """The host as the pages see it.

    Args:
        connect: Opens a client to the host's gateway that acts as the person.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._client: Client | None = None
        self._ready = anyio.Event()
        self._lost = anyio.Event()
        self._tools: dict[str, Tool] = {}
        self._tools_at = -TOOLS_SECONDS

    async def run(self) -> None:
        """Hold the client until cancelled: it is entered and left in this one task, again after each loss."""
        pause = 0.1
        while True:
            try:
                async with self._connect() as client:
                    self._client, self._lost = client, anyio.Event()
                    self._ready.set()
                    pause = 0.1
                    await self._lost.wait()
            except* (MCPError, OSError, HomeportError, anyio.ClosedResourceError, anyio.BrokenResourceError) as group:
                logger.warning("the connection to the host ended: %s", group.exceptions[0])
            self._client, self._ready = None, anyio.Event()
            await anyio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def client(self) -> Client:
        """Return the connected client.

        Raises:
            HomeportError: `unavailable`, when there is no connection within `READY_SECONDS`.
        """
        with anyio.move_on_after(READY_SECONDS):
            await self._ready.wait()
        if self._client is None:
            raise HomeportError("unavailable", "The host does not answer.", "Start it again with: homeport")
        return self._client

    async def result(self, tool: str, arguments: Json | None = None) -> CallToolResult:
        """Call `tool` and return its whole result; a refusal is returned too, not raised.

        Raises:
            HomeportError: `unavailable` or `timeout`, when no result came back.
        """
        client = await self.client()
        with self._plain_errors(f"The tool {tool}"):
            return await client.call_tool(tool, arguments or {}, read_timeout_seconds=CALL_SECONDS)

    async def call(self, tool: str, arguments: Json | None = None) -> Json:
        """Call `tool` and return its structured content.

        Raises:
            HomeportError: What the tool or the host refused, in its own words.
        """
        result = await self.result(tool, arguments)
        if result.is_error:
            raise error_of(result)
        return cast("Json", result.structured_content or {"text": text_of(result)})

    async def tools(self) -> dict[str, Tool]:
        """Return the tools by name, at most `TOOLS_SECONDS` old: a view asks with each of its calls.

        Raises:
            HomeportError: `unavailable` or `timeout`.
        """
        client = await self.client()
        if time.monotonic() - self._tools_at > TOOLS_SECONDS:
            with self._plain_errors("The list of tools"):
                self._tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            self._tools_at = time.monotonic()
        return self._tools

    async def read(self, uri: str) -> Any:
        """Read the resource at `uri`; JSON is decoded.

        Raises:
            HomeportError: `not_found` or `unavailable`, in the host's words.
        """
        text, media_type = await self.read_text(uri)
        return json.loads(text) if media_type == "application/json" else text

    async def read_text(self, uri: str) -> tuple[str, str]:
        """Return text and media type of the resource at `uri`.

        Raises:
            HomeportError: `unsupported` when it is not text; otherwise as `read`.
        """
        client = await self.client()
        with self._plain_errors(f"The resource {uri}"):
            result = await client.read_resource(uri)
        content = result.contents[0] if result.contents else None
        if not isinstance(content, TextResourceContents):
            raise HomeportError("unsupported", f"{uri} is not text.", "Open it with the tool that made it.")
        return content.text, content.mime_type or ""

    async def read_bytes(self, uri: str) -> tuple[bytes, str]:
        """Return content and media type of the resource at `uri`, text as UTF-8.

        Raises:
            HomeportError: As `read`.
        """
        client = await self.client()
        with self._plain_errors(f"The resource {uri}"):
            result = await client.read_resource(uri)
        if not result.contents:
            return b"", ""
        content = result.contents[0]
        held = content.text.encode() if isinstance(content, TextResourceContents) else base64.b64decode(content.blob)
        return held, content.mime_type or ""

    async def follow(self, uri: str, changed: Callable[[str], Awaitable[None]]) -> None:
        """Call `changed(uri)` whenever the resource may have new content, until cancelled.

        It is also called whenever the stream was opened, because streams have no replay.
        """
        while True:
            try:
                client = await self.client()
                async with client.listen(resource_subscriptions=[uri]) as stream:
                    await changed(uri)
                    async for event in stream:
                        if isinstance(event, ResourceUpdated):
                            await changed(str(event.uri))
            except (MCPError, SubscriptionLost, HomeportError, anyio.ClosedResourceError, TimeoutError) as error:
                logger.info("stream of %s ended: %s", uri, error)
            await anyio.sleep(0.5)

    def _plain_errors(self, subject: str) -> _PlainErrors:
        return _PlainErrors(subject, self._lost)


class _PlainErrors:
    """Turns what the client raises into a HomeportError, and notices that the connection is gone."""

    def __init__(self, subject: str, lost: anyio.Event) -> None:
        self._subject = subject
        self._lost = lost

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, anyio.ClosedResourceError | anyio.BrokenResourceError | TimeoutError):
            self._lost.set()
            raise HomeportError("unavailable", f"{self._subject} could not be reached.", "Try again.") from error
        if isinstance(error, MCPError):
            if error.code == CONNECTION_CLOSED:
                self._lost.set()
            carried: Any = error.data
            data = cast("Json", carried) if isinstance(carried, dict) else {}
            raise HomeportError.from_dict({"code": CODES.get(error.code)} | data, str(error)) from error


def error_of(result: CallToolResult) -> HomeportError:
    """Return the failure that a tool result carries, in the one form of Homeport."""
    carried = cast("Json", (result.meta or {}).get(ERROR) or {})
    return HomeportError.from_dict(carried, text_of(result))


def text_of(result: CallToolResult) -> str:
    """Return the text parts of `result`, one below the other."""
    return "\n".join(part.text for part in result.content if isinstance(part, TextContent))
