"""Clients of both eras hear of changes in servers of both eras, and leave nothing behind."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest
from mcp import Client
from mcp.client.subscriptions import ResourceUpdated, ToolsListChanged
from mcp.types import (
    EmptyResult,
    SubscribeRequest,
    SubscribeRequestParams,
    UnsubscribeRequest,
    UnsubscribeRequestParams,
)
from tests.patience import PATIENCE

from homeport_host.gateway.config import ServerConfig

from .conftest import FIXTURES, Open, eventually, in_process, stdio


def server(kind: str, python_130: str, name: str = "one") -> ServerConfig:
    if kind == "2026":
        return in_process(name)
    return ServerConfig(name, "stdio", command=python_130, args=(str(FIXTURES / "legacy.py"), name))


SERVERS = pytest.mark.parametrize("kind", ["2026", "2025"])


@asynccontextmanager
async def legacy(running, seen: list) -> AsyncGenerator[Client]:
    async def message(received) -> None:
        seen.append((received.method, str(getattr(received.params, "uri", ""))))

    async with Client(running.front.server, mode="legacy", message_handler=message) as client:
        yield client


async def subscribe(client: Client, uri: str) -> None:
    await client.session.send_request(SubscribeRequest(params=SubscribeRequestParams(uri=uri)), EmptyResult)


@pytest.mark.anyio
@SERVERS
async def test_every_update_after_the_acknowledgement_reaches_a_2026_client(gateway: Open, python_130, kind) -> None:
    async with gateway(server(kind, python_130)) as running, Client(running.front.server) as client:
        for text in "abcde":
            async with client.listen(resource_subscriptions=["note://a"]) as changes:
                await client.call_tool("one__write", {"name": "a", "text": text})
                with anyio.fail_after(PATIENCE):
                    event = await anext(aiter(changes))
            assert event == ResourceUpdated(uri="note://a")
        await eventually(lambda: not running.upstreams.get("one")._watches._watches)


@pytest.mark.anyio
@SERVERS
async def test_updates_reach_a_2025_session_until_it_unsubscribes(gateway: Open, python_130, kind) -> None:
    seen: list[tuple[str, str]] = []
    leave = UnsubscribeRequest(params=UnsubscribeRequestParams(uri="note://a"))
    async with gateway(server(kind, python_130)) as running:
        watches = running.upstreams.get("one")._watches._watches
        async with legacy(running, seen) as client:
            await subscribe(client, "note://a")
            await client.call_tool("one__write", {"name": "a", "text": "x"})
            await eventually(lambda: ("notifications/resources/updated", "note://a") in seen)
            seen.clear()
            await client.session.send_request(leave, EmptyResult)
            await client.call_tool("one__write", {"name": "a", "text": "y"})
            await client.call_tool("one__echo", {"text": "flush"})
            assert seen == []
            await subscribe(client, "note://a")
            assert (running.front.listening.sessions, list(watches)) == (1, ["note://a"])
        await eventually(lambda: running.front.listening.sessions == 0)
        assert not watches


@pytest.mark.anyio
async def test_a_tool_found_after_the_start_is_announced_and_can_be_called_at_once(gateway: Open) -> None:
    seen: list[tuple[str, str]] = []
    async with (
        gateway(in_process("one")) as running,
        legacy(running, seen),
        Client(running.front.server) as client,
        client.listen(tools_list_changed=True) as changes,
    ):
        await client.call_tool("one__grow", {"name": "grown"})
        with anyio.fail_after(PATIENCE):
            assert await anext(aiter(changes)) == ToolsListChanged()
        result = await client.call_tool("one__grown", {})
        await eventually(lambda: ("notifications/tools/list_changed", "") in seen)

    assert result.content[0].text == "grown"


@pytest.mark.anyio
async def test_a_flood_of_announcements_becomes_a_few(gateway: Open) -> None:
    seen: list[tuple[str, str]] = []
    async with gateway(in_process("one")) as running, legacy(running, seen) as client:
        await client.call_tool("one__grow_much", {"count": 100})
        await eventually(lambda: running.catalog.tool("one__grown_99") is not None)
        await client.call_tool("one__echo", {"text": "flush"})
        await eventually(lambda: ("notifications/tools/list_changed", "") in seen)

        listed = [tool.name for tool in (await client.list_tools()).tools]

    assert len(seen) < 10
    assert len([name for name in listed if "grown_" in name]) == 100


@pytest.mark.anyio
@pytest.mark.subprocess
async def test_a_subscription_survives_a_crash_of_its_server(gateway: Open) -> None:
    async with (
        gateway(stdio("one")) as running,
        Client(running.front.server) as client,
        client.listen(resource_subscriptions=["note://a"]) as changes,
    ):
        await client.call_tool("one__die", {})
        one = running.upstreams.get("one")
        await eventually(lambda: one.state == "ready" and one._watches._watches["note://a"].acknowledged.is_set())
        await client.call_tool("one__write", {"name": "a", "text": "x"})
        with anyio.fail_after(PATIENCE):
            assert await anext(aiter(changes)) == ResourceUpdated(uri="note://a")


@pytest.mark.anyio
async def test_the_second_server_of_a_scheme_is_followed_under_its_own_address(gateway: Open) -> None:
    async with (
        gateway(in_process("one"), in_process("two")) as running,
        Client(running.front.server) as client,
        client.listen(resource_subscriptions=["note://a", "two+note://a"]) as changes,
    ):
        await client.call_tool("two__write", {"name": "a", "text": "x"})
        with anyio.fail_after(PATIENCE):
            assert await anext(aiter(changes)) == ResourceUpdated(uri="two+note://a")
