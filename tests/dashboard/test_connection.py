"""The connection of the pages to the host: what they say while it is away, and how they find it again."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.server import MCPServer
from mcp.types import CONNECTION_CLOSED, REQUEST_TIMEOUT
from tests.patience import PATIENCE

from homeport_dashboard import connection
from homeport_dashboard.app import create_dashboard
from homeport_dashboard.connection import Connection
from homeport_shared.errors import HomeportError

from . import host
from .conftest import Desk
from .house import BASE, Shown, Tokens

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def connected(connect: Any) -> AsyncGenerator[Connection]:
    """Hold a connection as the dashboard does."""
    held = Connection(connect)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(held.run)
        yield held
        tasks.cancel_scope.cancel()


@pytest.fixture
def odd() -> MCPServer[Any]:
    """A server with resources of all kinds, and tools that fail as the protocol knows it."""
    server: MCPServer[Any] = MCPServer("odd")

    @server.resource("odd://picture", mime_type="image/png")
    async def picture() -> bytes:
        return b"\x89PNG"

    @server.resource("odd://note", mime_type="text/plain")
    async def note() -> str:
        return "a note"

    @server.tool()
    async def fail(code: int) -> str:
        raise MCPError(code, "It took too long.")

    @server.tool(structured_output=False)
    async def plain() -> str:
        return "only words"

    return server


@pytest.fixture
async def held(odd: MCPServer[Any]) -> AsyncGenerator[Connection]:
    """A connection to the odd server."""

    @asynccontextmanager
    async def connect() -> AsyncGenerator[Client]:
        async with Client(odd) as client:
            yield client

    async with connected(connect) as made:
        yield made


async def test_a_page_says_that_the_host_is_away_and_how_to_start_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "READY_SECONDS", 0.01)

    @asynccontextmanager
    async def connect() -> AsyncGenerator[Client]:
        raise OSError("Nobody listens.")
        yield

    app = create_dashboard(connect, version="0.1.0", redeem_login=Tokens().redeem, base_url=BASE)
    transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 50000))
    async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport, base_url=BASE) as browser:
        await browser.get("/login", params={"token": "fresh"})
        for path in ("/", "/chat", "/tasks", "/workflows", "/events", "/approvals", "/files"):
            answer = await browser.get(path, headers={"Accept": "text/html"})
            assert "The host does not answer." in Shown(answer).text("main"), path
            assert "Start it again with: homeport" in answer.text, path
        assert (await browser.get("/servers")).status_code == 503
        acted = await browser.post("/act/homeport__set_mode", json={}, headers={"Origin": BASE})
        assert acted.json()["error"]["code"] == "unavailable"


async def test_a_lost_connection_is_made_anew(odd: MCPServer[Any]) -> None:
    made = 0

    @asynccontextmanager
    async def connect() -> AsyncGenerator[Client]:
        nonlocal made
        made += 1
        if made == 2:
            raise HomeportError("unavailable", "It is just starting.")
        async with Client(odd) as client:
            yield client

    with anyio.fail_after(PATIENCE):
        async with connected(connect) as held:
            with pytest.raises(HomeportError) as lost:
                await held.call("fail", {"code": CONNECTION_CLOSED})
            assert lost.value.code == "unavailable"
            await anyio.wait_all_tasks_blocked()  # it was noticed
            assert await held.read("odd://note") == "a note"
    assert made == 3


async def test_a_watched_resource_is_looked_at_again_after_the_stream_broke(desk: Desk) -> None:
    heard: list[str] = []
    again = anyio.Event()

    async def changed(uri: str) -> None:
        heard.append(uri)
        if len(heard) == 1:
            raise HomeportError("unavailable", "The host went away just now.")
        again.set()

    async with host.serving_host(desk.world.context.folder / "other") as (connect, _):
        with anyio.fail_after(PATIENCE):
            async with connected(connect) as held, anyio.create_task_group() as tasks:
                tasks.start_soon(held.follow, "run://recent", changed)
                await again.wait()
                tasks.cancel_scope.cancel()
    assert heard == ["run://recent", "run://recent"]


async def test_a_resource_is_read_as_what_it_is(held: Connection) -> None:
    assert await held.read("odd://note") == "a note"
    assert await held.read_bytes("odd://note") == (b"a note", "text/plain")
    assert await held.read_bytes("odd://picture") == (b"\x89PNG", "image/png")
    with pytest.raises(HomeportError, match="odd://picture is not text"):
        await held.read("odd://picture")


async def test_an_error_of_the_protocol_becomes_one_of_homeport(held: Connection) -> None:
    with pytest.raises(HomeportError) as missing:
        await held.read("odd://nowhere")
    assert missing.value.code == "not_found"
    with pytest.raises(HomeportError, match="It took too long") as late:
        await held.call("fail", {"code": REQUEST_TIMEOUT})
    assert late.value.code == "timeout"


async def test_a_tool_that_returns_only_words_gives_them_as_text(held: Connection) -> None:
    assert await held.call("plain") == {"text": "only words"}
