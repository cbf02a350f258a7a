"""What a client is shown, and that it cannot call anything else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from mcp import Client

from .conftest import Open, in_process

ERAS = pytest.mark.parametrize("era", ["auto", "legacy"])


async def names(client: Client) -> set[str]:
    return {tool.name for tool in (await client.list_tools()).tools}


@pytest.mark.anyio
@ERAS
async def test_a_profile_shows_and_allows_only_its_tools(gateway: Open, era) -> None:
    async with gateway(in_process(), profiles={"small": ["here__e*"]}) as running:
        running.caller = replace(running.caller, exposure="profile:small")
        async with Client(running.front.server, mode=era) as client:
            assert await names(client) == {"here__echo"}
            assert (await client.call_tool("here__echo", {"text": "hi"})).content[0].text == "hi"
            assert (await client.call_tool("here__add", {"a": 1, "b": 2})).is_error
            running.caller = replace(running.caller, exposure="profile:unknown")
            assert await names(client) == set()


@pytest.mark.anyio
@ERAS
async def test_search_shows_three_tools_and_the_pinned_and_finds_the_others(gateway: Open, era) -> None:
    async with gateway(in_process(), pinned=["here__echo"]) as running:
        running.caller = replace(running.caller, exposure="search", tools=("here__echo", "here__add", "here__count"))
        async with Client(running.front.server, mode=era) as client:
            assert await names(client) == {"search_tools", "describe_tool", "call_tool", "here__echo"}

            found = await client.call_tool("search_tools", {"query": "Add"})
            described = await client.call_tool("describe_tool", {"name": "here__add"})
            called = await client.call_tool("call_tool", {"name": "here__add", "arguments": {"a": 1, "b": 2}})
            pinned = await client.call_tool("here__echo", {"text": "hi"})

    assert found.content[0].text == "here__add: Add two numbers."
    assert '"required": ["a", "b"]' in described.content[0].text
    assert called.structured_content == {"total": 3}
    assert pinned.content[0].text == "hi"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("here__add", {"a": 1, "b": 2}),
        ("call_tool", {"name": "here__write", "arguments": {"name": "a", "text": "x"}}),
        ("call_tool", {"name": "call_tool", "arguments": {"name": "here__echo"}}),
        ("call_tool", {"name": "here__echo", "arguments": "text"}),
        ("call_tool", {}),
        ("describe_tool", {"name": "here__write"}),
        ("search_tools", {"query": 3}),
    ],
)
async def test_search_lets_nothing_through_that_it_does_not_show(gateway: Open, name, arguments) -> None:
    async with gateway(in_process()) as running:
        running.caller = replace(running.caller, exposure="search", tools=("here__echo", "here__add"))
        async with Client(running.front.server) as client:
            result = await client.call_tool(name, arguments)

    assert result.is_error
    assert not running.dispatcher.calls
