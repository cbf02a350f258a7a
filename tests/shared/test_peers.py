"""The gateway of a server that runs alone: MCP servers of a file, started when needed, honest when they break."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import pytest
from tests.patience import PATIENCE

from homeport_shared.errors import HomeportError
from homeport_shared.gateway import Order
from homeport_shared.peers import Peers

pytestmark = [pytest.mark.anyio, pytest.mark.subprocess]
PROGRAM = """
import os, sys, time
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

server = MCPServer("notes")

@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def count(word: str) -> str:
    return f"{word}: {os.getpid()}"

@server.tool()
def append(line: str) -> str:
    with open(sys.argv[1], "a") as file:
        file.write(line)
    return "kept"

@server.tool()
def refuse() -> str:
    raise ToolError("the book is closed")

@server.tool()
def die() -> str:
    os._exit(3)

@server.tool()
async def wait() -> str:
    import anyio
    await anyio.sleep(600)

server.run("stdio")
"""


@pytest.fixture
async def peers(tmp_path: Path) -> AsyncGenerator[Peers]:
    (tmp_path / "notes.py").write_text(PROGRAM, "utf-8")
    entry = {"command": sys.executable, "args": [str(tmp_path / "notes.py"), str(tmp_path / "book")]}
    away = {"url": "http://127.0.0.1:9/mcp"}
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"notes": entry, "away": away}}), "utf-8")
    async with anyio.create_task_group() as tasks:
        yield Peers(tmp_path / "mcp.json", tasks)
        tasks.cancel_scope.cancel()


async def test_one_process_serves_many_calls_and_what_it_says_comes_back(peers: Peers) -> None:
    results: list[str] = []

    async def count(number: int) -> None:
        results.append((await peers.carry_out(Order(str(number), "Count", "notes__count", {"word": "a"}))).text)

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(count, number)
    assert len(results) == 5
    assert len(set(results)) == 1
    with pytest.raises(HomeportError, match="the book is closed"):
        await peers.carry_out(Order("6", "Refuse", "notes__refuse"))


async def test_a_call_that_may_have_been_made_is_repeated_only_where_that_does_no_harm(
    peers: Peers, tmp_path: Path
) -> None:
    with anyio.fail_after(PATIENCE):
        await peers.carry_out(Order("1", "Count", "notes__count", {"word": "a"}, again=True))
        with pytest.raises(HomeportError, match="whether it took effect is not known"):
            await peers.carry_out(Order("2", "Append", "notes__append", {"line": "x"}, again=True))
        assert not (tmp_path / "book").exists()
        await peers.carry_out(Order("3", "Append", "notes__append", {"line": "x"}))
    assert (tmp_path / "book").read_text("utf-8") == "x"


async def test_a_server_that_dies_is_an_error_and_is_there_again_for_the_next_call(peers: Peers) -> None:
    with anyio.fail_after(PATIENCE):
        with pytest.raises(HomeportError, match="broke off"):
            await peers.carry_out(Order("1", "Die", "notes__die"))
        assert (await peers.carry_out(Order("2", "Count", "notes__count", {"word": "a"}))).text.startswith("a: ")
        with pytest.raises(HomeportError, match="'away' cannot be used"):
            await peers.carry_out(Order("3", "Away", "away__list"))


async def test_a_call_is_stopped_on_demand(peers: Peers) -> None:
    async def stop() -> None:
        while not await peers.problems(Order("1", "Wait", "notes__wait")):
            await anyio.sleep(0.2)
            await peers.abandon("1")

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stop)
            with pytest.raises(HomeportError, match="was stopped"):
                await peers.carry_out(Order("1", "Wait", "notes__wait"))
            tasks.cancel_scope.cancel()


async def test_what_is_wrong_with_the_file_is_said(peers: Peers, tmp_path: Path) -> None:
    assert await peers.problems(Order("1", "Ask", prompt="Hello")) == [
        "There is no host, so no agent or workflow can be run."
    ]
    (tmp_path / "mcp.json").write_text("{}", "utf-8")
    assert "has no table mcpServers" in (await peers.problems(Order("1", "List", "notes__list")))[0]
    (tmp_path / "mcp.json").unlink()
    assert "empty or not there" in (await peers.problems(Order("1", "List", "notes__list")))[0]
