"""A desktop client's stdio, attached to the host over loopback: any number of copies share one host."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import anyio
import httpx2
from mcp.client.streamable_http import streamable_http_client
from mcp.server.stdio import stdio_server
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    encode_header_value,
)
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from mcp.types import PROTOCOL_VERSION_META_KEY, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from homeport_host import process

EXPOSE_HEADER = "X-Homeport-Expose"
LOOK_SECONDS = 1.0
UNAVAILABLE = 4  # the exit code
TOUCH_SECONDS = 60.0  # far below the time after which a host without clients leaves


async def attach(home: Path, holder: str, expose: str | None) -> None:
    """Carry messages between this program's stdio and the host until the client closes its end.

    Args:
        home: The data root; its host is started when none runs.
        holder: Whose credential is used, such as `client:claude-desktop`.
        expose: What the client asks to be shown; the host gives no more than the credential allows.

    Raises:
        HomeportError: `unavailable`, when the host does not start. When it goes away later, the process ends.
    """
    record = await process.ensure_running(home)
    headers = {"Authorization": f"Bearer {process.credential(home, holder)}"}
    if expose:
        headers[EXPOSE_HEADER] = expose
    async with (
        create_mcp_http_client(headers=headers) as http,
        stdio_server() as (from_client, to_client),
        streamable_http_client(record.mcp_url, http_client=http, max_sse_event_size=None) as (from_host, to_host),
        anyio.create_task_group() as tasks,
    ):
        era = Era()

        async def inwards() -> None:
            async for message in from_client:
                if isinstance(message, SessionMessage):
                    await to_host.send(era.addressed(message))
            tasks.cancel_scope.cancel()

        async def outwards() -> None:
            async for message in from_host:
                if isinstance(message, SessionMessage):
                    era.note(message)
                    await to_client.send(SessionMessage(message.message))

        tasks.start_soon(inwards)
        tasks.start_soon(outwards)
        tasks.start_soon(_stay, home, record, http)


class Era:
    """What the HTTP transport has to know and stdio does not say: which protocol version a message speaks.

    A message of 2026 names its version itself, and HTTP repeats that, the method and the name in headers; one of 2025
    speaks what `initialize` agreed on.
    """

    def __init__(self) -> None:
        self._agreed = ""
        self._handshake: Any = None

    def addressed(self, message: SessionMessage) -> SessionMessage:
        """Return the client's message with the headers that it needs over HTTP."""
        body = message.message
        if not isinstance(body, JSONRPCRequest | JSONRPCNotification):
            return SessionMessage(body)
        if body.method == "initialize":
            self._handshake = cast("JSONRPCRequest", body).id
            return SessionMessage(body)
        params = body.params or {}
        meta = cast("Mapping[str, Any]", params.get("_meta") or {})
        modern = meta.get(PROTOCOL_VERSION_META_KEY)
        if not isinstance(modern, str):
            headers = {MCP_PROTOCOL_VERSION_HEADER: self._agreed} if self._agreed else None
            return SessionMessage(body, ClientMessageMetadata(headers=headers))
        headers = {MCP_PROTOCOL_VERSION_HEADER: modern, MCP_METHOD_HEADER: body.method}
        if isinstance(name := params.get(NAME_BEARING_METHODS.get(body.method, "")), str):
            headers[MCP_NAME_HEADER] = encode_header_value(name)
        return SessionMessage(body, ClientMessageMetadata(headers=headers))

    def note(self, message: SessionMessage) -> None:
        """Remember the version in the host's answer to `initialize`."""
        body = message.message
        if isinstance(body, JSONRPCResponse) and self._handshake is not None and body.id == self._handshake:
            self._agreed, self._handshake = str(body.result.get("protocolVersion", "")), None


async def _stay(home: Path, record: process.HostRecord, http: httpx2.AsyncClient) -> None:
    """Keep the host from leaving while the client is there; tell the client, by leaving, when it went nevertheless."""
    touched = 0.0
    while process.running(home) == record:
        if anyio.current_time() - touched > TOUCH_SECONDS:
            touched = anyio.current_time()
            try:
                await http.get(f"{record.address}/health")
            except httpx2.TransportError:  # it is stopping, or very busy: the next look tells
                touched = 0.0
        await anyio.sleep(LOOK_SECONDS)
    print("homeport: The host was stopped. Restart the server `homeport` in this client.", file=sys.stderr, flush=True)  # noqa: T201
    os._exit(
        UNAVAILABLE
    )  # a thread that waits for the client's next line would keep us for as long as the client lives
