"""What a durable agent step costs beside the model's own time: one answer of the model and one stdio tool call.

Run: python tests/benchmarks/agent_step.py [STEPS]. The same call of the model double and of the tool, made directly, is
taken off; policy, audit, the record of usage, events and the recorded steps are what remains.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from homeport_host.agents.definition import AgentFolder
from homeport_host.agents.loop import AgentLoop
from homeport_host.agents.recorder import Recorder
from homeport_host.agents.runs import RunStore
from homeport_host.agents.service import KIND, Runs
from homeport_host.agents.turns import Parts
from homeport_host.database import Database
from homeport_host.engine.dbos import DbosEngine
from homeport_host.engine.protocol import FINAL
from homeport_host.governance.approvals import Approvals
from homeport_host.governance.calls import Tool
from homeport_host.governance.dispatch import Dispatcher
from homeport_host.governance.ledger import Ledger
from homeport_host.governance.pins import Pins
from homeport_host.governance.taint import Taints
from homeport_host.providers.configured import providers_for
from homeport_host.providers.protocol import Message, ModelRequest
from homeport_host.providers.router import Models
from homeport_host.providers.settings import ModelSettings
from homeport_host.providers.usage import UsageStore
from homeport_shared.audit import AuditLog, Entry
from homeport_shared.changes import ChangeBus
from homeport_shared.testing.model import ModelDouble, call

SERVER = """
from mcp.server.mcpserver import MCPServer
server = MCPServer("clock")
@server.tool()
async def now(number: int) -> str:
    return "12:30"
server.run("stdio")
"""
SCHEMA = {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]}
TOOL = Tool("clock__now", "clock", "now", {"name": "now", "inputSchema": SCHEMA}, frozenset({"read-only"}))


class OneServer:
    """The tool of one stdio server, as the dispatch path wants it; `seconds` notes each call's own time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.seconds: list[float] = []

    def tools(self) -> list[Tool]:
        return [TOOL]

    def tool(self, name: str) -> Tool | None:
        return TOOL if name == TOOL.name else None

    async def call_tool(self, pending: Any) -> dict[str, Any]:
        result = await self._client.call_tool("now", pending.arguments)
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)

    def reads_own_things(self, uri: str) -> bool:
        return True

    def shows(self, exposure: str, tool: Tool) -> bool:
        return True


async def main(count: int) -> None:
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        script = [call("clock__now", number=number) for number in range(count)]
        double = await stack.enter_async_context(ModelDouble([*script, "Done."]))
        parameters = StdioServerParameters(command=sys.executable, args=["-c", SERVER])
        client = await stack.enter_async_context(Client(stdio_client(parameters)))
        database = Database(home / "host.db")
        await database.open()
        settings = ModelSettings.model_validate({"default": "ollama/qwen3:8b", "mode": "LOCAL"})
        providers = providers_for(settings, lambda _: None, {"OLLAMA_HOST": double.ollama_url})
        models = Models(providers, settings, UsageStore(database))
        floor = await direct(double, client, count)
        tasks = await stack.enter_async_context(anyio.create_task_group())
        each = await durable(tasks, home, database, models, OneServer(client), count)
        await models.aclose()
        await database.aclose()
        tasks.cancel_scope.cancel()
        show("model and stdio tool alone", floor)
        show("durable agent step", each)
        print(f"over the model and the tool: p50 {(statistics.median(each) - statistics.median(floor)):.2f} ms")


def show(name: str, milliseconds: list[float]) -> None:
    ordered = sorted(milliseconds)
    print(f"{name}: p50 {statistics.median(ordered):.2f} ms, p95 {ordered[int(len(ordered) * 0.95)]:.2f} ms")


async def direct(double: ModelDouble, client: Client, count: int) -> list[float]:
    """Time the same model answer and tool call without an agent around them."""
    async with ModelDouble([call("clock__now", number=1)] * (count + 5)) as other:
        provider = providers_for(ModelSettings(), lambda _: None, {"OLLAMA_HOST": other.ollama_url})["ollama"]
        times: list[float] = []
        request = ModelRequest("qwen3:8b", (Message("user", "What time is it?"),), num_ctx=8192)
        for _ in range(count):
            started = time.perf_counter()
            async for _event in provider.stream(request):
                pass
            await client.call_tool("now", {"number": 1})
            times.append((time.perf_counter() - started) * 1000)
        await provider.aclose()
        return times


async def durable(
    tasks: Any, home: Path, database: Database, models: Models, server: OneServer, count: int
) -> list[float]:
    """Run an agent for `count` steps and return each one's milliseconds, from one model answer to the next."""
    changes, audit, store = ChangeBus(), AuditLog(home / "audit.db"), RunStore(database)
    recorder = Recorder(tasks, store, changes)

    async def record(entry: Entry, _: bool) -> None:
        await audit.append(entry)

    dispatcher = Dispatcher(
        server,  # type: ignore[arg-type]
        server,  # type: ignore[arg-type]
        approvals=Approvals(database, changes),
        taints=Taints(database),
        pins=Pins(database, lambda _: False),
        ledger=Ledger(database),
        record=record,
    )
    engine = DbosEngine(home / "engine.db", database, tasks)
    engine.register(KIND, AgentLoop(Parts(models, dispatcher, store, recorder, anyio.lowlevel.checkpoint)))
    runs = Runs(engine, store, recorder, AgentFolder(home / "agents"), lambda: models.default)
    run = await runs.start("What time is it?", limits={"turns": count + 5, "tool_calls": count + 5})
    while (await runs.get(run)).state not in FINAL:
        await anyio.sleep(0.1)
    row = await runs.get(run)
    assert row.state == "completed", row.error
    started = [step["started"] for step in await engine.steps(run) if step["name"].startswith("model")]
    await engine.aclose()
    await audit.aclose()
    return [float(after - before) for before, after in itertools.pairwise(started)]


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 40)
