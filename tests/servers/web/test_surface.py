"""What clients see of the server: small, described, labelled, and quick to start."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest


@pytest.mark.anyio
async def test_the_tools_are_described_and_fit_into_8_kb(web: Any) -> None:
    tools = await web.client.list_tools()
    assert len(tools.model_dump_json(by_alias=True, exclude_none=True)) <= 8 * 1024
    for tool in tools.tools:
        assert tool.title, tool.name
        assert tool.description, tool.name
        assert tool.annotations, tool.name
        assert tool.output_schema, tool.name


@pytest.mark.anyio
async def test_what_comes_from_outside_is_read_only_open_and_untrusted(web: Any) -> None:
    tools = {tool.name: tool for tool in (await web.client.list_tools()).tools}
    assert set(tools) == {"search", "visit", "extract", "visited"}
    for name in ("search", "visit", "extract"):
        assert tools[name].annotations.read_only_hint
        assert tools[name].annotations.open_world_hint
        assert tools[name].meta["io.homeport/labels"] == ["untrusted-content", "outward", "internet"]
    resources = {str(resource.uri) for resource in (await web.client.list_resources()).resources}
    assert resources == {"web://cache", "web://health"}
    templates = (await web.client.list_resource_templates()).resource_templates
    assert [template.uri_template for template in templates] == ["web://pages/{page_id}"]


@pytest.mark.subprocess
def test_nothing_heavy_is_loaded_before_it_is_used() -> None:
    program = (
        "import sys, homeport_web.server; "
        "print([m for m in ('trafilatura', 'ddgs', 'lxml', 'selectolax', 'primp') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "[]"
