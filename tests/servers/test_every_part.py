"""Nothing is offered that no test has tried: the tools, resources, views and prompts of every server."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path

import pytest
from mcp import Client

from homeport_shared.testing.clients import connected

pytestmark = pytest.mark.anyio
TESTS = Path(__file__).parents[1]
SERVERS = sorted(path.name for path in (TESTS.parent / "servers").iterdir() if path.is_dir())
OPENS_A_VIEW = "show_"


@asynccontextmanager
async def serving(name: str, home: Path) -> AsyncGenerator[Client]:
    """Serve one server with one document."""
    folder = home / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text("The boiler is due in March.", "utf-8")
    flags = {"roots": [str(folder)]} if name == "files" else {}
    async with connected(
        import_module(f"homeport_{name}.server").build_server, name, home / "home", flags=flags
    ) as client:
        yield client


@pytest.mark.parametrize("name", SERVERS)
async def test_every_resource_is_read_and_every_view_opens(name: str, tmp_path: Path) -> None:
    async with serving(name, tmp_path) as client:
        for resource in (await client.list_resources()).resources:
            contents = (await client.read_resource(resource.uri)).contents
            assert contents, resource.uri
            assert contents[0].mime_type == resource.mime_type, resource.uri
        for tool in (await client.list_tools()).tools:
            if tool.name.startswith(OPENS_A_VIEW) and tool.meta and not tool.input_schema.get("required"):
                assert not (await client.call_tool(tool.name, {})).is_error, tool.name


@pytest.mark.parametrize("name", SERVERS)
async def test_every_prompt_is_given(name: str, tmp_path: Path) -> None:
    async with serving(name, tmp_path) as client:
        for prompt in (await client.list_prompts()).prompts:
            arguments = {argument.name: "docs/a.txt" for argument in prompt.arguments or []}
            messages = (await client.get_prompt(prompt.name, arguments)).messages
            assert "docs/a.txt" in str(messages), prompt.name


@pytest.mark.parametrize("name", SERVERS)
async def test_every_tool_is_called_by_a_test_of_its_server(name: str, tmp_path: Path) -> None:
    tests = "\n".join(path.read_text("utf-8") for path in (TESTS / "servers" / name).glob("*.py"))
    tests += "\n".join(path.read_text("utf-8") for path in (TESTS / "dashboard").glob("test_*.py"))
    async with serving(name, tmp_path) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
    assert [each for each in names if f'"{each}"' not in tests and not each.startswith(OPENS_A_VIEW)] == []
