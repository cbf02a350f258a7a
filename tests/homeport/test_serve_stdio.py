"""`homeport serve --stdio`: what a desktop client gets, in both eras of the protocol."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from mcp import Client, StdioServerParameters
from mcp.types import EmptyResult, SubscribeRequest, SubscribeRequestParams, TextContent
from tests.patience import PATIENCE

from homeport_host import process

pytestmark = [pytest.mark.anyio, pytest.mark.subprocess, pytest.mark.slow]
ERAS = ["auto", "legacy"]


def shim(box: Any, era: str = "auto", *arguments: str, **options: Any) -> Client:
    parameters = StdioServerParameters(
        command=sys.executable, args=["-m", "homeport", "serve", "--stdio", *arguments], env=box.environment
    )
    return Client(parameters, mode=era, **options)


@pytest.mark.parametrize("era", ERAS)
async def test_a_desktop_client_gets_the_tools_of_all_servers(shared_box: Any, documents: Path, era: str) -> None:
    with anyio.fail_after(PATIENCE):
        async with shim(shared_box, era) as client:
            assert client.protocol_version == {"auto": "2026-07-28", "legacy": "2025-11-25"}[era]
            names = {tool.name for tool in (await client.list_tools()).tools}
            found = await client.call_tool("rag__search", {"query": "lighthouse"})
    assert {"files__read", "rag__search"} <= names
    assert "homeport__decide_approval" not in names  # a client does not approve its own calls
    assert found.structured_content["hits"][0]["title"] == "brevik.md"


@pytest.mark.parametrize("era", ERAS)
async def test_progress_and_cancellation_pass_through(shared_box: Any, notebook: str, tmp_path: Path, era: str) -> None:
    seen: list[float] = []
    marker = tmp_path / "cancelled"

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    with anyio.fail_after(PATIENCE):
        async with shim(shared_box, era) as client:
            done = await client.call_tool("notebook__count", {"steps": 3}, progress_callback=note)
            assert done.content == [TextContent(type="text", text="done")]
            async with anyio.create_task_group() as tasks:

                async def give_up(progress: float, total: float | None, message: str | None) -> None:
                    tasks.cancel_scope.cancel()

                await client.call_tool("notebook__wait", {"marker": str(marker)}, progress_callback=give_up)
            while not marker.exists():
                await anyio.sleep(0.02)
    assert seen == [1, 2, 3]


async def test_a_client_of_2026_hears_of_changes(shared_box: Any, notebook: str) -> None:
    with anyio.fail_after(PATIENCE):
        async with (
            shim(shared_box, "auto", "--client", "listener") as client,
            client.listen(resource_subscriptions=["note://a"]) as updates,
        ):
            await client.call_tool("notebook__write", {"name": "a", "text": "second"})
            update = await anext(aiter(updates))
            assert str(update.uri) == "note://a"
            assert (await client.read_resource("note://a")).contents[0].text == "second"


async def test_a_client_of_2025_hears_of_changes(shared_box: Any, notebook: str) -> None:
    heard = anyio.Event()

    async def note(message: Any) -> None:
        if getattr(message, "method", "") == "notifications/resources/updated":
            heard.set()

    with anyio.fail_after(PATIENCE):
        async with shim(shared_box, "legacy", "--client", "listener-2025", message_handler=note) as client:
            await client.session.send_request(
                SubscribeRequest(params=SubscribeRequestParams(uri="note://a")), EmptyResult
            )
            await client.call_tool("notebook__write", {"name": "a", "text": "third"})
            await heard.wait()


async def test_copies_share_one_host_which_the_first_one_starts(box: Any) -> None:
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            pids: list[int] = []

            async def attach(name: str) -> None:
                async with shim(box, "auto", "--client", name) as client:
                    await client.list_tools()
                    pids.append(process.running(box.home).pid)

            for name in ("claude-desktop", "cursor", "third"):
                tasks.start_soon(attach, name)
    assert len(pids) == 3
    assert len(set(pids)) == 1


async def test_a_copy_leaves_with_a_sentence_when_its_host_is_killed(box: Any) -> None:
    record = box.serve()
    copy = box.start("serve", "--stdio", stdin=subprocess.PIPE)
    ask = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    assert copy.stdin is not None and copy.stdout is not None
    copy.stdin.write(json.dumps(ask) + "\n")
    copy.stdin.flush()
    copy.stdout.readline()
    psutil.Process(record.pid).kill()
    assert copy.wait(30) == 4
    assert "The host was stopped" in copy.communicate()[1]


async def test_what_is_exposed_can_be_narrowed(shared_box: Any) -> None:
    with anyio.fail_after(PATIENCE):
        async with shim(shared_box, "auto", "--expose", "search", "--client", "narrow") as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
    assert names == {"search_tools", "describe_tool", "call_tool"}
