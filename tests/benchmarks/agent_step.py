"""A durable agent step: one model answer and one stdio tool call, without the model's and the tool's own time.

The model's time is what the run itself waited for it, since a prompt grows from step to step; the tool's is that of the
same call made directly. Policy, audit, the record of usage, events and the recorded steps are what remains.
"""

from __future__ import annotations

import itertools
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from tests.benchmarks.rows import Row, middle, shown

from homeport_host.engine.protocol import FINAL
from homeport_host.gateway.config import ServerConfig
from homeport_host.host import Host, open_host
from homeport_shared.testing.model import ModelDouble, call

SERVER = """
from mcp.server.mcpserver import MCPServer
server = MCPServer("clock")
@server.tool()
async def now(number: int) -> str:
    return "12:30"
server.run("stdio")
"""
COUNT = 60
MODEL = "ollama/qwen3:8b"
SETTINGS = '[host.labels]\nclock__now = ["read-only"]\n'


async def measure() -> list[Row]:
    """Run an agent for `COUNT` steps and its tool directly; medians."""
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    tool = statistics.median(await _tool())
    steps = await _durable()
    over = statistics.median(took - model for took, model in steps) - tool
    name = f"durable agent step over model and stdio tool ({middle([took for took, _ in steps])} with them)"
    return [Row(name, shown(over, "ms"), f"10 ms (target); {shown(tool, 'ms')} the tool directly")]


async def _tool() -> list[float]:
    parameters = StdioServerParameters(command=sys.executable, args=["-c", SERVER])
    async with Client(stdio_client(parameters)) as client:
        times: list[float] = []
        for number in range(COUNT):
            began = time.perf_counter()
            await client.call_tool("now", {"number": number})
            times.append((time.perf_counter() - began) * 1000)
        return times


async def _durable() -> list[tuple[float, float]]:
    """Return each step's milliseconds, from one model answer to the next, and those that the model took of them."""
    script = [call("clock__now", number=number) for number in range(COUNT)]
    async with ModelDouble([*script, "Done."]) as double, _host(double.ollama_url) as running:
        limits = {"turns": COUNT + 5, "tool_calls": COUNT + 5}
        run = await running.runs.start("What time is it?", model=MODEL, limits=limits, tools=("clock__now",))
        while (row := await running.runs.get(run)).state not in FINAL:
            await anyio.sleep(0.25)
        assert row.state == "completed", row.error
        answers = [step for step in await running.engine.steps(run) if step["name"].startswith("model")]
    return [
        (float(after["started"] - before["started"]), before["result"]["seconds"] * 1000)
        for before, after in itertools.pairwise(answers)
    ]


@asynccontextmanager
async def _host(address: str) -> AsyncGenerator[Host]:
    os.environ["OLLAMA_HOST"] = address
    try:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "homeport.toml").write_text(SETTINGS, "utf-8")
            async with open_host(Path(folder)) as running:
                running.upstreams.add(ServerConfig("clock", "stdio", command=sys.executable, args=("-c", SERVER)))
                await running.upstreams.wait_ready(20)
                yield running
    finally:
        del os.environ["OLLAMA_HOST"]
