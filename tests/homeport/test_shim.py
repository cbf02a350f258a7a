"""What `homeport serve --stdio` adds to messages so that they can go over HTTP, and a conversation."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from mcp.types import PROTOCOL_VERSION_META_KEY, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse
from tests.patience import PATIENCE

from homeport import shim
from homeport.shim import Era


def request(method: str, **params: Any) -> SessionMessage:
    """Return what a client says."""
    return SessionMessage(JSONRPCRequest(jsonrpc="2.0", id=1, method=method, params=params))


def headers(message: SessionMessage) -> dict[str, str]:
    """Return the headers that a message gets."""
    assert message.metadata is None or isinstance(message.metadata, ClientMessageMetadata)
    return dict(message.metadata.headers or {}) if message.metadata else {}


def test_a_message_of_2026_names_its_version_method_and_name_in_headers() -> None:
    meta = {PROTOCOL_VERSION_META_KEY: "2026-07-28"}
    sent = Era().addressed(request("tools/call", name="files__read", _meta=meta))
    assert headers(sent) == {
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "files__read",
    }
    assert "mcp-name" not in headers(Era().addressed(request("tools/list", _meta=meta)))


def test_a_message_of_2025_gets_the_version_that_both_agreed_on() -> None:
    era = Era()
    assert headers(era.addressed(request("initialize", protocolVersion="2025-11-25"))) == {}
    era.note(SessionMessage(JSONRPCResponse(jsonrpc="2.0", id=7, result={"protocolVersion": "1999-01-01"})))
    assert headers(era.addressed(request("ping"))) == {}, "that was the answer to something else"
    era.note(SessionMessage(JSONRPCResponse(jsonrpc="2.0", id=1, result={"protocolVersion": "2025-11-25"})))
    assert headers(era.addressed(request("ping"))) == {"mcp-protocol-version": "2025-11-25"}
    noted = SessionMessage(JSONRPCNotification(jsonrpc="2.0", method="notifications/initialized"))
    assert headers(era.addressed(noted)) == {"mcp-protocol-version": "2025-11-25"}


def test_an_answer_of_the_client_goes_as_it_is() -> None:
    answer = SessionMessage(JSONRPCResponse(jsonrpc="2.0", id=3, result={}))
    assert Era().addressed(answer) == answer


Streams = tuple[Any, Any]


@asynccontextmanager
async def as_they_are(streams: Streams) -> AsyncGenerator[Streams]:
    """Take two streams for a transport."""
    async with streams[0], streams[1]:
        yield streams


@pytest.mark.subprocess
@pytest.mark.anyio
@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_client_talks_to_the_running_host_until_it_closes_its_end(
    shared_box: Any, era: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client_out, ours_in = anyio.create_memory_object_stream[SessionMessage](1)
    ours_out, client_in = anyio.create_memory_object_stream[SessionMessage](1)
    monkeypatch.setattr(shim, "stdio_server", lambda: as_they_are((ours_in, ours_out)))
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(shim.attach, shared_box.home, f"client:in-process-{era}", "search")
            async with Client(as_they_are((client_in, client_out)), mode=era) as client:
                names = {tool.name for tool in (await client.list_tools()).tools}
                found = await client.call_tool("search_tools", {"query": "read a file"})
    assert names == {"search_tools", "describe_tool", "call_tool"}, "no more than it asked for"
    assert not found.is_error
