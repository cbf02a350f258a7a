"""A client's connection to the host of a data root."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import anyio
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client  # pyright: ignore[reportPrivateUsage]
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult, Implementation, TextContent, TextResourceContents

from homeport_host import process
from homeport_shared import __version__, settings
from homeport_shared.errors import ErrorCode, HomeportError
from homeport_shared.identity import ERROR

CONNECT_SECONDS = 30.0


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
    headers = {"Authorization": f"Bearer {process.credential(home, holder)}"}
    async with create_mcp_http_client(headers=headers) as http:
        client = Client(
            streamable_http_client(record.mcp_url, http_client=http),
            client_info=Implementation(name=name, version=__version__),
        )
        with anyio.CancelScope() as scope:
            scope.deadline = anyio.current_time() + CONNECT_SECONDS
            async with client:
                scope.deadline = float("inf")
                yield client
        if scope.cancelled_caught:
            raise HomeportError("unavailable", f"The host at {record.address} does not answer.", "Run `homeport stop`.")


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool and return its structured content.

    Raises:
        HomeportError: With the code and the message of the tool's own error.
    """
    result = await client.call_tool(tool, arguments)
    if result.is_error:
        raise error_of(result)
    return cast("dict[str, Any]", result.structured_content or {})


def error_of(result: CallToolResult) -> HomeportError:
    """Return the error that a failed tool result carries."""
    told = cast("dict[str, str]", (result.meta or {}).get(ERROR) or {})
    if told:
        return HomeportError(cast("ErrorCode", told["code"]), told["message"], told.get("hint", ""))
    return HomeportError("internal", text_of(result) or "The tool failed without a word.")


def text_of(result: CallToolResult) -> str:
    """Return the text of a tool result."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


async def read(client: Client, uri: str) -> Any:
    """Read a resource; JSON comes back parsed, other text as it is.

    Raises:
        HomeportError: `not_found`, when there is no such resource.
    """
    try:
        contents = (await client.read_resource(uri)).contents
    except MCPError as error:
        raise HomeportError("not_found", error.error.message) from error
    text = "".join(part.text for part in contents if isinstance(part, TextResourceContents))
    is_json = bool(contents) and contents[0].mime_type == "application/json"
    return json.loads(text) if is_json else text
