"""Calls through the host against the same calls made directly: policy and audit as shipped."""

from __future__ import annotations

import logging
import statistics
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from tests.benchmarks.rows import Row, milliseconds, shown

from homeport_host.gateway.config import ServerConfig
from homeport_host.governance.stages import RateStage
from homeport_host.host import Host, open_host

FIXTURES = Path(__file__).parent.parent / "host" / "gateway" / "fixtures"
SCRIPT = str(FIXTURES / "everything.py")
COUNT = 300
PORT = 18_764
URL = f"http://127.0.0.1:{PORT}/mcp"


async def measure() -> list[Row]:
    """Call `echo` directly and through the host, for each way to reach a server."""
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    sys.path.insert(0, str(FIXTURES))
    from everything import build  # pyright: ignore[reportMissingImports] - found by the line above

    here = ServerConfig("here", "in-process", entry_point="everything:build_server")
    child = ServerConfig("child", "stdio", command=sys.executable, args=(SCRIPT, "child"))
    far = ServerConfig("far", "http", url=URL)
    stdio = StdioServerParameters(command=sys.executable, args=[SCRIPT, "child"])
    async with _over_http():
        in_process = await _compare("in-process", lambda: build("here"), here)
        return [
            Row(*in_process[:2], f"{in_process[2]} direct; + ≤ 1.00 ms", f"+ {in_process[4] - in_process[3]:.2f} ms"),
            _ratio(await _compare("stdio", lambda: stdio_client(stdio), child), "no target"),
            _ratio(await _compare("HTTP", lambda: URL, far), "≤ 1.5"),
        ]


def _ratio(found: tuple[str, str, str, float, float], target: str) -> Row:
    name, through, alone, direct, governed = found
    return Row(name, through, f"{alone} direct; {target}", f"{governed / direct:.2f}")


async def _compare(kind: str, direct: Any, config: ServerConfig) -> tuple[str, str, str, float, float]:
    async with Client(direct()) as client:
        alone = statistics.median(await milliseconds(_echo(client, "echo"), COUNT))
    async with _host(config) as running, Client(running.person_server()) as client:
        governed = statistics.median(await milliseconds(_echo(client, f"{config.name}__echo"), COUNT))
    return f"a call through the host, {kind} server", shown(governed, "ms"), shown(alone, "ms"), alone, governed


def _echo(client: Client, tool: str) -> Any:
    async def once(number: int) -> None:
        result = await client.call_tool(tool, {"text": str(number)})
        assert not result.is_error, result

    return once


@asynccontextmanager
async def _host(config: ServerConfig) -> AsyncGenerator[Host]:
    """Run a host with one more server and without the limit of calls per minute."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        label = f'[host.labels]\n{config.name}__echo = ["read-only"]\n'
        (home / "homeport.toml").write_text(label, "utf-8")
        async with open_host(home) as running:
            stages = running.dispatcher._stages
            running.dispatcher._stages = tuple(stage for stage in stages if not isinstance(stage, RateStage))
            running.upstreams.add(config)
            await running.upstreams.wait_ready(20)
            yield running


@asynccontextmanager
async def _over_http() -> AsyncGenerator[None]:
    async with await anyio.open_process([sys.executable, SCRIPT, "far", str(PORT)], stdout=None, stderr=-3) as process:
        try:
            async with httpx2.AsyncClient() as client:
                with anyio.fail_after(30):
                    while True:
                        try:
                            await client.get(URL)
                            break
                        except httpx2.TransportError:
                            await anyio.sleep(0.05)
            yield
        finally:
            process.kill()
