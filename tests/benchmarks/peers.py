"""Peers on the same machine in the same minutes: a proxy of fastmcp 4, and the agent loop of pydantic-ai.

The proxy stands before the same stdio server as our host. The agent of pydantic-ai is neither durable nor governed: it
shows what the least costs.
"""

from __future__ import annotations

import logging
import statistics
import subprocess
import sys

import anyio
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from tests.benchmarks import peer_environment
from tests.benchmarks.agent_step import COUNT
from tests.benchmarks.calls import SCRIPT, echo, host_with
from tests.benchmarks.rows import Row, compared, milliseconds, shown

from homeport_host.gateway.config import ServerConfig
from homeport_shared.testing.model import ModelDouble, call

# What fastmcp 4.1.6 demands of certifi is newer than some indexes are.
CERTIFI = "certifi>=2025.1.1"
PROXY = """
import sys
from fastmcp.server import create_proxy
config = {"mcpServers": {"child": {"command": sys.argv[1], "args": sys.argv[2:]}}}
create_proxy(config).run(transport="stdio", show_banner=False)
"""
AGENT = """
import asyncio, sys, time
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.usage import UsageLimits
times = []
agent = Agent(OpenAIChatModel("qwen3:8b", provider=OpenAIProvider(base_url=sys.argv[1] + "/v1", api_key="none")))
@agent.tool_plain
def clock__now(number: int) -> str:
    times.append(time.perf_counter())
    return "12:30"
asyncio.run(agent.run("What time is it?", usage_limits=UsageLimits(request_limit=None)))
for before, after in zip(times, times[1:]):
    print((after - before) * 1000)
"""


async def measure() -> list[Row]:
    """Measure each peer that can be installed here."""
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    rows: list[Row] = []
    for name, work in (("fastmcp 4 proxy", _proxy), ("pydantic-ai", _agent)):
        try:
            rows += await work()
        except Exception as error:  # a peer that cannot be installed or started must not hide the other
            rows.append(Row(name, "not measured", f"{type(error).__name__}: {error}".replace("\n", " ")[:200]))
    return rows


async def _proxy() -> list[Row]:
    python = str(peer_environment.make("fastmcp==4.1.6", override=CERTIFI) / "python")
    proxy = StdioServerParameters(command=python, args=["-c", PROXY, sys.executable, SCRIPT, "child"])
    async with Client(stdio_client(proxy)) as client:
        tool = next(tool.name for tool in (await client.list_tools()).tools if tool.name.endswith("echo"))
        theirs = statistics.median(await milliseconds(echo(client, tool), 200))
    child = ServerConfig("child", "stdio", command=sys.executable, args=(SCRIPT, "child"))
    async with host_with(child) as running, Client(running.person_server()) as client:
        ours = statistics.median(await milliseconds(echo(client, "child__echo"), 200))
    return [compared("a call to a stdio server through the host", ours, theirs, "ms", peer="fastmcp 4 proxy, stdio")]


async def _agent() -> list[Row]:
    python = str(peer_environment.make("pydantic-ai-slim[openai]") / "python")
    script = [call("clock__now", number=number) for number in range(COUNT)]
    async with ModelDouble([*script, "Done."]) as double:
        done = await anyio.run_process([python, "-c", AGENT, double.ollama_url], stderr=subprocess.PIPE)
    times = [float(line) for line in done.stdout.split()]
    name = "an agent step of pydantic-ai with the model's time, function tool, nothing durable"
    return [Row(name, "see the agent step", shown(statistics.median(times), "ms"))]
