"""What a client is shown, and that it cannot call anything else."""

from __future__ import annotations

from dataclasses import replace

import anyio
import pytest
from mcp import Client, MCPError
from mcp.client.subscriptions import ResourceUpdated
from mcp.types import (
    EmptyResult,
    PromptReference,
    ResourceTemplateReference,
    SubscribeRequest,
    SubscribeRequestParams,
)
from tests.patience import PATIENCE

from .conftest import Open, eventually, in_process

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


async def offered(client: Client) -> tuple[set[str], set[str], set[str]]:
    """The resources, templates and prompts that a client is shown."""
    resources = (await client.list_resources()).resources
    templates = (await client.list_resource_templates()).resource_templates
    prompts = (await client.list_prompts()).prompts
    return {str(r.uri) for r in resources}, {t.uri_template for t in templates}, {p.name for p in prompts}


@pytest.mark.anyio
@ERAS
async def test_a_profile_without_a_tool_of_a_server_hides_its_resources_and_prompts(gateway: Open, era) -> None:
    greet = PromptReference(type="ref/prompt", name="here__greet")
    note = ResourceTemplateReference(type="ref/resource", uri="note://{name}")
    async with gateway(in_process(), profiles={"small": ["here__echo"], "other": ["there__*"]}) as running:
        running.caller = replace(running.caller, exposure="profile:small")
        async with Client(running.front.server, mode=era) as client:
            resources, templates, prompts = await offered(client)
            assert ("info://server" in resources, templates, prompts) == (True, {"note://{name}"}, {"here__greet"})
            assert (await client.read_resource("note://a")).contents[0].text == "first"

            running.caller = replace(running.caller, exposure="profile:other")
            assert await offered(client) == (set(), set(), set())
            for attempt in (
                lambda: client.read_resource("note://a"),
                lambda: client.read_resource("here+note://a"),
                lambda: client.read_resource("ui://here/board/main.html"),
                lambda: client.get_prompt("here__greet", {"person": "Ada"}),
                lambda: client.complete(greet, {"name": "person", "value": "A"}),
                lambda: client.complete(note, {"name": "name", "value": "A"}),
            ):
                with pytest.raises(MCPError, match="There is no"):
                    await attempt()


@pytest.mark.anyio
@ERAS
@pytest.mark.parametrize("kind", ["client", "chat", "ask", "job"])
async def test_what_is_for_a_person_only_nobody_else_can_see_or_read(gateway: Open, era, kind) -> None:
    async with gateway(in_process()) as running, Client(running.front.server, mode=era) as client:
        running.caller = replace(running.caller, kind="person")
        resources, templates, _ = await offered(client)
        assert "safe://pin" in resources
        assert "safe://box/{number}" in templates
        assert (await client.read_resource("safe://pin")).contents[0].text == "1234"
        assert (await client.read_resource("safe://box/7")).contents[0].text == "7"

        running.caller = replace(running.caller, kind=kind)
        resources, templates, _ = await offered(client)
        assert not [uri for uri in resources | templates if "safe" in uri]
        for uri in ("safe://pin", "here+safe://pin", "safe://box/7", "here+safe://box/7", "safe://other", "SAFE://pin"):
            with pytest.raises(MCPError, match="There is no resource"):
                await client.read_resource(uri)


@pytest.mark.anyio
async def test_nobody_else_is_told_of_changes_of_what_is_for_a_person_only(gateway: Open) -> None:
    seen: list[str] = []

    async def note(message) -> None:
        if getattr(message, "method", "") == "notifications/resources/updated":
            seen.append(str(message.params.uri))

    async with (
        gateway(in_process()) as running,
        Client(running.front.server) as client,
        Client(running.front.server, mode="legacy", message_handler=note) as old,
        client.listen(resource_subscriptions=["safe://pin", "note://a"]) as changes,
    ):
        for uri in ("safe://pin", "note://a"):
            await old.session.send_request(SubscribeRequest(params=SubscribeRequestParams(uri=uri)), EmptyResult)
        for uri in ("safe://pin", "note://a"):
            await client.call_tool("here__touch", {"uri": uri})
        with anyio.fail_after(PATIENCE):
            assert await anext(aiter(changes)) == ResourceUpdated(uri="note://a")
        await eventually(lambda: "note://a" in seen)

    assert seen == ["note://a"]


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
