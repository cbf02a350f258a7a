"""A whole host with its bundled servers, a third-party one whose tools note what they do, and a scripted model."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.patience import PATIENCE

from homeport_host.agents.runs import Run
from homeport_host.engine.protocol import FINAL
from homeport_host.governance.calls import Caller
from homeport_host.host import Host, open_host
from homeport_shared.testing.model import ModelDouble
from homeport_shared.testing.model.script import Script

SETTINGS = """
[models]
default = "ollama/qwen3:8b"

[host.labels]
ledger__note = ["can-be-taken-back"]
ledger__flaky = ["can-be-taken-back"]
ledger__wait = ["can-be-taken-back"]
ledger__meet = ["can-be-taken-back"]
"""
PERSON = Caller(
    "person", "tester",
    approved=("homeport__workflow_delete", "homeport__run_forget", "homeport__delete_subscription"),
)  # fmt: skip
LEDGER = Path(__file__).parents[2] / "ledger.py"


class House:
    """One host and what its tools noted outside of it."""

    def __init__(self, host: Host, home: Path, model: ModelDouble) -> None:
        self.host, self.home, self.model = host, home, model

    def replies(self, *replies: Any) -> None:
        """Let the model give these answers in each conversation, one after the other."""
        self.model.script = Script.of(replies)

    async def clear(self) -> None:
        """Stop and delete what a test left."""
        for row in (await self.call("list_runs", state="queued,running,waiting,paused", limit=200))["runs"]:
            await self.call("run_cancel", run_id=row["id"])
        for hold in (await self.call("list_approvals"))["approvals"]:
            await self.call("decide_approval", approval_id=hold["id"], approve=False)
        for row in (await self.call("list_workflows"))["rows"]:
            await self.call("workflow_delete", workflow=row["id"], confirm=row["name"])
        (self.home / "noted").unlink(missing_ok=True)

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


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The event loop in which a module's host lives."""
    return "asyncio"


@pytest.fixture(scope="module")
async def hosted(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House]:
    """One host for the tests of a module: starting one takes longer than most of them."""
    home = tmp_path_factory.mktemp("house")
    entry = {"command": sys.executable, "args": [str(LEDGER), str(home / "noted")]}
    (home / "mcp.json").write_text(json.dumps({"mcpServers": {"ledger": entry}}), "utf-8")
    (home / "homeport.toml").write_text(SETTINGS, "utf-8")
    async with ModelDouble() as model:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OLLAMA_HOST", model.ollama_url)
            async with open_host(home) as host:
                with anyio.fail_after(PATIENCE):
                    while host.routing.tool("ledger__note") is None or host.routing.tool("files__list") is None:
                        await anyio.sleep(0.02)
                yield House(host, home, model)


@pytest.fixture
async def house(hosted: House) -> AsyncGenerator[House]:
    """The module's host as if it were new: no workflows, nothing noted, nobody asked."""
    hosted.replies("Done.")
    yield hosted
    await hosted.clear()
