"""A whole host with its bundled servers, a third-party one whose tools note what they do, and a scripted model."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from homeport_host.agents.runs import Run
from homeport_host.engine.protocol import FINAL
from homeport_host.governance.calls import Caller
from homeport_host.host import Host, open_host
from homeport_shared.testing.model import ModelDouble

PATIENCE = 45
SETTINGS = """
[models]
default = "ollama/qwen3:8b"

[host.labels]
ledger__note = ["can-be-taken-back"]
ledger__flaky = ["can-be-taken-back"]
ledger__wait = ["can-be-taken-back"]
ledger__meet = ["can-be-taken-back"]
"""
PERSON = Caller("person", "tester", approved=("homeport__workflow_delete", "homeport__run_forget"))
LEDGER = Path(__file__).with_name("ledger.py")


class House:
    """One host and what its tools noted outside of it."""

    def __init__(self, host: Host, home: Path) -> None:
        self.host, self.home = host, home

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        return await self.host.call(f"homeport__{tool}", arguments, PERSON)

    async def save(self, nodes: dict[str, Any], start: str, name: str = "Test", **more: Any) -> dict[str, Any]:
        """Save a workflow as a person does."""
        return await self.call("workflow_save", graph={"name": name, "start": start, "nodes": nodes, **more})

    async def start(self, name: str = "Test", /, **arguments: Any) -> str:
        tool = "workflow_try" if arguments.keys() - {"parameters"} else "workflow_run"
        arguments = {"dry": False, **arguments} if tool == "workflow_try" else arguments
        return (await self.call(tool, workflow=name, **arguments))["run_id"]

    async def until(self, run: str, *states: str) -> Run:
        with anyio.fail_after(PATIENCE):
            while (row := await self.host.runs.get(run)).state not in (states or FINAL):
                await anyio.sleep(0.01)
        return row

    async def done(self, name: str = "Test", /, **arguments: Any) -> Run:
        return await self.until(await self.start(name, **arguments))

    async def do(self, nodes: dict[str, Any], start: str, **more: Any) -> Run:
        """Save a workflow and run it."""
        saved = await self.save(nodes, start, **more)
        assert [p for p in saved["problems"] if p["level"] == "error"] == []
        return await self.done(saved["name"])

    async def steps(self, run: str) -> dict[str, dict[str, Any]]:
        return {step["path"]: step for step in (await self.call("workflow_steps", run_id=run))["steps"]}

    def noted(self) -> Counter[str]:
        """What the tools of the third-party server did, counted."""
        file = self.home / "noted"
        return Counter(file.read_text("utf-8").split()) if file.exists() else Counter()


@pytest.fixture
def houses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AbstractAsyncContextManager[House]]:
    """Open a host whose model gives these replies; again and again on the same folder, as after a stop."""
    entry = {"command": sys.executable, "args": [str(LEDGER), str(tmp_path / "noted")]}
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"ledger": entry}}), "utf-8")

    @asynccontextmanager
    async def opened(*replies: Any) -> AsyncGenerator[House]:
        async with ModelDouble(list(replies) or ["Done."]) as double:
            monkeypatch.setenv("OLLAMA_HOST", double.ollama_url)
            (tmp_path / "homeport.toml").write_text(SETTINGS, "utf-8")
            async with open_host(tmp_path) as host:
                with anyio.fail_after(PATIENCE):
                    while host.routing.tool("ledger__note") is None or host.routing.tool("files__list") is None:
                        await anyio.sleep(0.02)
                yield House(host, tmp_path)

    return opened


@pytest.fixture
async def house(houses: Any) -> AsyncGenerator[House]:
    async with houses() as house:
        yield house
