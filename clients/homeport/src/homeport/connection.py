"""A client's connection to the host of a data root."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio

from homeport_host import process
from homeport_shared import __version__, settings
from homeport_shared.errors import HomeportError
from homeport_shared.identity import ERROR

if TYPE_CHECKING:  # importing it takes most of the time of a short command, also of those that turn out not to need it
    from mcp import Client, MCPError
    from mcp.types import CallToolResult, ReadResourceResult

CONNECT_SECONDS = 30.0
NEWS_SECONDS = 5.0


@asynccontextmanager
async def connect(
    home: Path | None = None, *, holder: str = "person", start: bool = True, name: str = "homeport"
) -> AsyncGenerator[Client]:
    """Connect to the host of `home`.

    Args:
        home: The data root; None = `HOMEPORT_HOME` or the platform's folder.
        holder: Whose credential is used.
        start: Start a host in the background when none runs.
        name: How this client introduces itself.

    Raises:
        HomeportError: `unavailable`, when there is no host, or it does not answer.
    """
    home = home or settings.home_folder()
    record = await process.ensure_running(home) if start else process.running(home)
    if record is None:
        raise HomeportError("unavailable", f"No host runs on {home}.", "Start it with `homeport`.")
    async with _client(record, process.credential(home, holder), name) as client:
        yield client


@asynccontextmanager
async def _client(record: process.HostRecord, token: str, name: str) -> AsyncGenerator[Client]:
    import httpx2
    from mcp import Client, MCPError
    from mcp.client.streamable_http import streamable_http_client
    from mcp.shared._httpx_utils import create_mcp_http_client  # pyright: ignore[reportPrivateUsage]
    from mcp.types import Implementation

    connected = False
    async with create_mcp_http_client(headers={"Authorization": f"Bearer {token}"}) as http:
        transport = streamable_http_client(record.mcp_url, http_client=http, max_sse_event_size=None)
        client = Client(transport, client_info=Implementation(name=name, version=__version__))
        try:
            with anyio.fail_after(CONNECT_SECONDS) as scope:
                async with client:
                    connected, scope.deadline = True, float("inf")
                    yield client
        except (MCPError, TimeoutError, httpx2.ConnectError, ExceptionGroup) as error:
            # A host that is just going takes no connections, which may come in a group.
            if connected or (isinstance(error, ExceptionGroup) and not error.subgroup(httpx2.ConnectError)):
                raise
            raise HomeportError(
                "unavailable", f"The host at {record.address} does not answer.", "Run `homeport stop`, then try again."
            ) from error


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool and return its structured content.

    Raises:
        HomeportError: With the code and the message of the tool's own error.
    """
    result = await call_raw(client, tool, arguments)
    if result.is_error:
        raise error_of(result)
    return cast("dict[str, Any]", result.structured_content or {})


async def call_raw(client: Client, tool: str, arguments: dict[str, Any]) -> CallToolResult:
    """Call a tool and return its result as it is, also where it is an error.

    Raises:
        HomeportError: `unavailable`, when the host went away or refuses the call as a whole.
    """
    from mcp import MCPError

    try:
        return await client.call_tool(tool, arguments)
    except MCPError as error:
        raise _lost(tool, error) from error


def _lost(what: str, error: MCPError) -> HomeportError:
    from mcp.types import CONNECTION_CLOSED, INTERNAL_ERROR

    told: Any = error.error.data
    if isinstance(told, dict) and "code" in told:
        return HomeportError.from_dict(cast("dict[str, Any]", told), error.error.message)
    if error.error.code in {CONNECTION_CLOSED, INTERNAL_ERROR}:
        return HomeportError("unavailable", f"The host did not answer {what}.", "Look at it with `homeport status`.")
    return HomeportError("not_found", error.error.message)


def error_of(result: CallToolResult) -> HomeportError:
    """Return the error that a failed tool result carries."""
    told = cast("dict[str, str]", (result.meta or {}).get(ERROR) or {})
    return HomeportError.from_dict(told, text_of(result) or "The tool failed without a word.")


def text_of(result: CallToolResult) -> str:
    """Return the text of a tool result."""
    from mcp.types import TextContent

    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


async def news_of(updates: AsyncIterator[Any]) -> None:
    """Wait for the next update, but not for ever: a notification may be lost.

    Raises:
        HomeportError: `unavailable`, when the host went away.
    """
    from mcp.client.subscriptions import SubscriptionLost

    try:
        with anyio.move_on_after(NEWS_SECONDS):
            await anext(updates)
    except SubscriptionLost as error:
        raise HomeportError(
            "unavailable",
            "The host went away.",
            "Run the command again: it starts the host, and what was done is kept.",
        ) from error


async def read_raw(client: Client, uri: str) -> ReadResourceResult:
    """Read a resource and return the result as it is.

    Raises:
        HomeportError: What the host says, such as `not_found`; `unavailable`, when it went away.
    """
    from mcp import MCPError

    try:
        return await client.read_resource(uri)
    except MCPError as error:
        raise _lost(uri, error) from error


async def read(client: Client, uri: str) -> Any:
    """Read a resource; JSON comes back parsed, other text as it is. Raises as `read_raw`."""
    from mcp.types import TextResourceContents

    contents = (await read_raw(client, uri)).contents
    text = "".join(part.text for part in contents if isinstance(part, TextResourceContents))
    is_json = bool(contents) and contents[0].mime_type == "application/json"
    return json.loads(text) if is_json else text
