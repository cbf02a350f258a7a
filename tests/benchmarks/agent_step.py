"""A durable agent step: one model answer and one stdio tool call, without the model's and the tool's own time.

The same answer of the model double and the same call, made directly, are taken off; policy, audit, the record of usage,
events and the recorded steps are what remains.
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
from homeport_host.providers.configured import providers_for
from homeport_host.providers.protocol import Message, ModelRequest
from homeport_host.providers.settings import ModelSettings
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
    """Run an agent for `COUNT` steps and the same things directly; medians."""
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    direct = await _direct()
    durable = await _durable()
    over = statistics.median(durable) - statistics.median(direct)
    name = f"durable agent step over model and stdio tool ({middle(durable)} with them)"
    return [Row(name, shown(over, "ms"), f"10 ms (target); {shown(statistics.median(direct), 'ms')} directly")]


async def _direct() -> list[float]:
    parameters = StdioServerParameters(command=sys.executable, args=["-c", SERVER])
    request = ModelRequest("qwen3:8b", (Message("user", "What time is it?"),), num_ctx=8192)
    async with (
        ModelDouble([call("clock__now", number=1)] * COUNT) as double,
        Client(stdio_client(parameters)) as client,
    ):
        provider = providers_for(ModelSettings(), lambda _: None, {"OLLAMA_HOST": double.ollama_url})["ollama"]
        times: list[float] = []
        for number in range(COUNT):
            began = time.perf_counter()
            async for _ in provider.stream(request):
                pass
            await client.call_tool("now", {"number": number})
            times.append((time.perf_counter() - began) * 1000)
        await provider.aclose()
        return times


async def _durable() -> list[float]:
    """Return each step's milliseconds, from one model answer to the next."""
    script = [call("clock__now", number=number) for number in range(COUNT)]
    async with ModelDouble([*script, "Done."]) as double, _host(double.ollama_url) as running:
        limits = {"turns": COUNT + 5, "tool_calls": COUNT + 5}
        run = await running.runs.start("What time is it?", model=MODEL, limits=limits, tools=("clock__now",))
        while (row := await running.runs.get(run)).state not in FINAL:
            await anyio.sleep(0.25)
        assert row.state == "completed", row.error
        began = [step["started"] for step in await running.engine.steps(run) if step["name"].startswith("model")]
    return [float(after - before) for before, after in itertools.pairwise(began)]


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
