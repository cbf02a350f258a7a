"""What a list of tools costs: a client that shows no views is not shown the tools that only views use."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from homeport_shared.testing.clients import connected

pytestmark = pytest.mark.anyio
SERVERS = sorted(path.name for path in (Path(__file__).parents[2] / "servers").iterdir() if path.is_dir())


@pytest.mark.parametrize("era", ["auto", "legacy"])
@pytest.mark.parametrize("name", SERVERS)
async def test_a_client_without_views_gets_at_most_8_kb_of_whole_tools(name: str, era: Any, tmp_path: Path) -> None:
    build = import_module(f"homeport_{name}.server").build_server
    async with connected(build, name, tmp_path, era=era, views=False) as client:
        tools = (await client.list_tools()).tools
        wire = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
        assert len(json.dumps({"tools": wire}, ensure_ascii=False, separators=(",", ":")).encode()) <= 8192
        assert "visibility" not in json.dumps(wire)
    async with connected(build, name, tmp_path, era=era) as client:
        every = (await client.list_tools()).tools
        assert {tool.name for tool in every} >= {tool.name for tool in tools}
        for tool in every:
            assert tool.title and tool.description and tool.annotations and tool.output_schema, tool.name
