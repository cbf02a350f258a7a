"""The gateway as clients of both protocol eras see it."""

from __future__ import annotations

import anyio
import pytest
from mcp import Client, MCPError
from mcp.types import PromptReference

from .conftest import Open, eventually, in_process, stdio

ERAS = pytest.mark.parametrize("era", ["auto", "legacy"])
# The client's era and the server's transport do not depend on each other: three of the four pairs are enough.
WAYS = pytest.mark.parametrize(
    ("era", "config"),
    [("auto", in_process("one")), ("legacy", in_process("one")), ("auto", stdio("one"))],
    ids=["2026 in-process", "2025 in-process", "2026 stdio"],
)


@pytest.mark.anyio
@WAYS
async def test_a_tool_is_listed_and_called_as_server__tool(gateway: Open, era, config) -> None:
    async with gateway(config) as running, Client(running.front.server, mode=era) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert {"one__echo", "one__add"} <= tools.keys()
        assert tools["one__add"].annotations.read_only_hint is True

        result = await client.call_tool("one__add", {"a": 2, "b": 3})

        assert result.structured_content == {"total": 5}


@pytest.mark.anyio
@WAYS
async def test_progress_of_a_call_reaches_the_client(gateway: Open, era, config) -> None:
    seen: list[float] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        seen.append(done)

    async with gateway(config) as running, Client(running.front.server, mode=era) as client:
        await client.call_tool("one__count", {"steps": 3}, progress_callback=progress)
        await eventually(lambda: len(seen) == 3)

    assert seen == [1, 2, 3]


@pytest.mark.anyio
@WAYS
async def test_cancelling_a_call_stops_the_work_in_the_server(gateway: Open, era, config, tmp_path) -> None:
    marker = tmp_path / "marker"
    async with gateway(config) as running, Client(running.front.server, mode=era) as client:
        with anyio.move_on_after(0.5):
            await client.call_tool("one__wait", {"marker": str(marker)})
        await eventually(marker.exists)

        again = await client.call_tool("one__echo", {"text": "still here"})

    assert again.content[0].text == "still here"


@pytest.mark.anyio
@WAYS
async def test_resources_templates_prompts_and_completions_are_relayed(gateway: Open, era, config) -> None:
    async with gateway(config) as running, Client(running.front.server, mode=era) as client:
        listed = {str(resource.uri) for resource in (await client.list_resources()).resources}
        templates = [template.uri_template for template in (await client.list_resource_templates()).resource_templates]
        read = await client.read_resource("note://a")
        view = await client.read_resource("ui://one/board/main.html")
        prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]
        prompt = await client.get_prompt("one__greet", {"person": "Ada"})
        completed = await client.complete(
            PromptReference(type="ref/prompt", name="one__greet"), {"name": "person", "value": "A"}
        )

    assert {"info://server", "ui://one/board/main.html"} <= listed
    assert templates == ["note://{name}"]  # not safe://box/{number}, which is for a person
    assert read.contents[0].text == "first"
    assert str(view.contents[0].uri) == "ui://one/board/main.html"
    assert prompts == ["one__greet"]
    assert prompt.messages[0].content.text == "Say hello to Ada."
    assert completed.completion.values == ["Ada"]


@pytest.mark.anyio
@ERAS
async def test_a_resource_that_is_not_there_is_a_plain_protocol_error(gateway: Open, era) -> None:
    async with gateway(in_process()) as running, Client(running.front.server, mode=era) as client:
        for uri in ("nowhere://x", "info://other"):
            with pytest.raises(MCPError) as caught:
                await client.read_resource(uri)
            assert caught.value.error.code == -32602
