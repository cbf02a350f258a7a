"""What clients see: small, described, labelled, quick to load; and the whole thing alone over stdio."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from tests.patience import PATIENCE

from homeport_scheduler.server import build_server
from homeport_shared.testing.clients import Era, connected

from .conftest import Desk

BIN = Path(sys.executable).parent


@pytest.mark.anyio
async def test_the_tools_are_described_and_fit_into_8_kb(desk: Desk) -> None:
    tools = await desk.client.list_tools()
    tools.tools = [tool for tool in tools.tools if "visibility" not in str(tool.meta)]
    assert len(tools.model_dump_json(by_alias=True, exclude_none=True)) <= 8 * 1024
    for tool in tools.tools:
        assert tool.title, tool.name
        assert tool.description, tool.name
        assert tool.annotations, tool.name
        assert tool.output_schema, tool.name


@pytest.mark.anyio
@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_both_eras_of_the_protocol_see_the_same(tmp_path: Path, era: Era) -> None:
    async with connected(build_server, "scheduler", tmp_path, era=era) as client:
        resources = {str(resource.uri) for resource in (await client.list_resources()).resources}
        assert resources == {
            "scheduler://status", "scheduler://jobs", "scheduler://runs", "scheduler://settings", "scheduler://health",
            "ui://scheduler/automation.html",
        }  # fmt: skip
        prompts = {prompt.name for prompt in (await client.list_prompts()).prompts}
        assert prompts == {"create_automation", "explain_failure"}
        drafted = await client.get_prompt("create_automation", {"request": "Every morning, list my files."})
        assert "list my files" in str(drafted.messages[0].content)
        assert "validate_job" in str(drafted.messages[0].content)


@pytest.mark.subprocess
def test_nothing_heavy_is_loaded_before_it_is_used() -> None:
    heavy = "('watchdog', 'tzlocal', 'mcp.client.stdio', 'httpx2')"
    program = f"import sys, homeport_scheduler.server; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True)
    assert "watchdog" not in done.stdout
    assert "tzlocal" not in done.stdout


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.anyio
async def test_alone_it_calls_the_servers_of_its_own_file(tmp_path: Path) -> None:
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "lease.txt").write_text("two years", "utf-8")
    servers = tmp_path / "servers.json"
    entry = {
        "command": str(BIN / "homeport-files"),
        "args": [str(folder)],
        "env": {"HOMEPORT_HOME": str(tmp_path / "files")},
    }
    broken = {"command": str(BIN / "no-such-program")}
    servers.write_text(json.dumps({"mcpServers": {"files": entry, "broken": broken}}), encoding="utf-8")
    alone = StdioServerParameters(
        command=str(BIN / "homeport-scheduler"),
        args=["--servers", str(servers)],
        env={**os.environ, "HOMEPORT_HOME": str(tmp_path / "home")},
    )
    async with Client(stdio_client(alone)) as client:

        async def add(name: str, tool: str, **arguments: str) -> str:
            action = {"tool": tool, "arguments": arguments}
            definition = {"name": name, "trigger": {"every": "1s"}, "action": action}
            result = await client.call_tool("add_job", {"definition": definition})
            return result.content[0].text if result.is_error else ""

        assert await add("Read", "files__read", path="papers/lease.txt") == ""
        assert "needs path" in await add("Bare", "files__read")
        assert "files has no tool 'fly'" in await add("Fly", "files__fly")
        assert "no server 'mail'" in await add("Mail", "mail__list")
        assert "'broken' cannot be used" in await add("Broken", "broken__list")
        with anyio.fail_after(PATIENCE):
            while True:
                runs = (await client.call_tool("list_runs", {"state": "completed"})).structured_content["runs"]
                if runs:
                    break
                await anyio.sleep(0.1)
        assert "two years" in runs[0]["detail"]


@pytest.mark.anyio
async def test_settings_are_shown_checked_and_stored(tmp_path: Path) -> None:
    async with connected(build_server, "scheduler", tmp_path) as client:
        changed = await client.call_tool("change_settings", {"values": {"time_zone": "Asia/Tokyo", "max_agents": 3}})
        assert not changed.is_error, changed.content
        shown = (await client.call_tool("show_settings", {})).structured_content or {}
        values = {each["name"]: each["value"] for each in shown["settings"]}
        assert (values["time_zone"], values["max_agents"], values["max_tools"]) == ("Asia/Tokyo", 3, 8)
        for wrong in ({"time_zone": "Mars/Olympus"}, {"max_agents": 0}, {"unknown": 1}):
            refused = await client.call_tool("change_settings", {"values": wrong})
            assert refused.is_error, wrong
    assert "Asia/Tokyo" in (tmp_path / "homeport.toml").read_text("utf-8")
