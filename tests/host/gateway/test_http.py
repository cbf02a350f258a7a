"""The front over HTTP and stdio: credentials, foreign pages, old clients, and what they leave behind."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from tests.patience import PATIENCE

from homeport_host.gateway.front import holder_of
from homeport_host.gateway.http import guarded, mcp_app
from homeport_host.governance.calls import Caller
from homeport_shared.serving import serve_http

from .conftest import FIXTURES, Gateway, Open, eventually, in_process

TOKEN = "a-token-of-claude"


@asynccontextmanager
async def served(gateway: Open) -> AsyncGenerator[tuple[Gateway, str]]:
    """A gateway on a real port; every caller is who holds the credential."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = anyio.Event()

    async def on_started(_: int) -> None:
        started.set()

    def caller_of(context) -> Caller:
        return Caller("client", holder_of(context))

    async with gateway(in_process(), caller_of=caller_of) as running, anyio.create_task_group() as tasks:
        app = guarded(mcp_app(running.front, port=port), {TOKEN: "claude", "other": "cursor"})

        async def serve() -> None:
            await serve_http(app, "127.0.0.1", port, closing=running.front.listening.close, on_started=on_started)

        tasks.start_soon(serve)
        await started.wait()
        yield running, f"http://127.0.0.1:{port}/mcp"
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def connected(url: str, era: str = "auto", token: str = TOKEN) -> AsyncGenerator[Client]:
    async with (
        create_mcp_http_client(headers={"Authorization": f"Bearer {token}"}) as http,
        Client(streamable_http_client(url, http_client=http), mode=era) as client,
    ):
        yield client


@pytest.mark.anyio
@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_the_holder_of_the_credential_is_the_caller(gateway: Open, era) -> None:
    async with served(gateway) as (_, url):
        for token, holder in ((TOKEN, "claude"), ("other", "cursor")):
            async with connected(url, era, token) as client:
                result = await client.call_tool("here__who", {})
            assert result.structured_content["io.homeport/actor"] == holder


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": f"Bearer {TOKEN}", "Origin": "http://evil.example"}, 403),
        ({"Authorization": f"Bearer {TOKEN}", "Origin": "http://localhost:1"}, 403),
        ({"Authorization": f"Bearer {TOKEN}", "Host": "evil.example"}, 421),
        ({"Authorization": f"Bearer {TOKEN}", "Host": "127.0.0.1:1"}, 421),
    ],
)
async def test_nobody_else_comes_in(gateway: Open, headers, status) -> None:
    async with served(gateway) as (_, url), httpx2.AsyncClient() as http:
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
        accept = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}
        answer = await http.post(url, json=body, headers={**accept, **headers})

    assert answer.status_code == status


@pytest.mark.anyio
async def test_sessions_of_2025_clients_that_left_are_forgotten(gateway: Open) -> None:
    async with served(gateway) as (running, url):
        for _ in range(3):
            async with connected(url, "legacy") as client:
                await client.list_tools()
                assert running.front.listening.sessions == 1
            await eventually(lambda: running.front.listening.sessions == 0)


@pytest.mark.anyio
async def test_a_call_over_http_does_not_list_all_tools_for_its_headers(gateway: Open, monkeypatch) -> None:
    async with served(gateway) as (running, url), connected(url) as client:
        await client.list_tools()  # what the client itself needs to check the result
        monkeypatch.setattr(running.catalog, "definition", None)

        result = await client.call_tool("here__echo", {"text": "hi"})

    assert result.content[0].text == "hi"


@pytest.mark.anyio
async def test_an_open_listen_stream_does_not_keep_the_host_from_stopping(gateway: Open) -> None:
    async with (
        served(gateway) as (running, url),
        connected(url) as client,
        client.listen(tools_list_changed=True) as changes,
    ):
        running.front.listening.close()
        with anyio.fail_after(PATIENCE):
            assert [event async for event in changes] == []


EXPECTED = {
    "protocol": "2025-11-25",
    "echoed": "hello",
    "asked": "deleted x",
    "read": "first",
    "progress": [1, 2, 3],
    "updated": True,
    "lists_change": True,
}


@pytest.mark.anyio
@pytest.mark.subprocess
@pytest.mark.parametrize("transport", ["http", "stdio"])
async def test_a_client_on_the_sdk_of_2025_gets_everything(gateway: Open, python_130, transport) -> None:
    script = str(FIXTURES / "legacy_client.py")
    async with served(gateway) as (_, url):
        target = [url, TOKEN] if transport == "http" else [sys.executable, str(FIXTURES / "stdio_front.py")]
        with anyio.fail_after(PATIENCE):
            done = await anyio.run_process([python_130, script, *target], stderr=None)

    result = json.loads(done.stdout)
    assert "here__echo" in result.pop("tools")
    assert result == EXPECTED


@pytest.mark.anyio
@pytest.mark.subprocess
@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_the_front_serves_over_stdio(era) -> None:
    target = StdioServerParameters(command=sys.executable, args=[str(FIXTURES / "stdio_front.py")])
    with anyio.fail_after(PATIENCE):
        async with Client(target, mode=era) as client:
            result = await client.call_tool("here__echo", {"text": "hi"})

    assert result.content[0].text == "hi"
