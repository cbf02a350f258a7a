"""A desktop client's stdio, attached to the host over loopback: any number of copies share one host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
from mcp.client.streamable_http import streamable_http_client
from mcp.server.stdio import stdio_server
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.message import SessionMessage

from homeport_host import process

EXPOSE_HEADER = "X-Homeport-Expose"


async def attach(home: Path, holder: str, expose: str | None) -> None:
    """Carry messages between this program's stdio and the host until the client closes its end.

    Args:
        home: The data root; its host is started when none runs.
        holder: Whose credential is used, such as `client:claude-desktop`.
        expose: What the client asks to be shown; the host gives no more than the credential allows.

    Raises:
        HomeportError: `unavailable`, when the host does not start.
    """
    record = await process.ensure_running(home)
    headers = {"Authorization": f"Bearer {process.credential(home, holder)}"}
    if expose:
        headers[EXPOSE_HEADER] = expose
    async with (
        create_mcp_http_client(headers=headers) as http,
        stdio_server() as (from_client, to_client),
        streamable_http_client(record.mcp_url, http_client=http) as (from_host, to_host),
        anyio.create_task_group() as tasks,
    ):

        async def pump(source: Any, target: Any) -> None:
            async for message in source:
                if isinstance(message, SessionMessage):
                    await target.send(message)
            tasks.cancel_scope.cancel()

        tasks.start_soon(pump, from_host, to_client)
        tasks.start_soon(pump, from_client, to_host)
