"""What the gateway adds to a call: directly against through the front with the real dispatcher.

Run: python tests/benchmarks/gateway.py. Prints the median of 200 calls and the ratio for each way to reach a server.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

FIXTURES = Path(__file__).parent.parent / "host" / "gateway" / "fixtures"
sys.path.insert(0, str(FIXTURES))

from everything import build  # noqa: E402 - found by the line above

from homeport_host.database import Database  # noqa: E402
from homeport_host.gateway.catalog import Catalog  # noqa: E402
from homeport_host.gateway.config import ServerConfig  # noqa: E402
from homeport_host.gateway.exposure import Exposures  # noqa: E402
from homeport_host.gateway.front import Front  # noqa: E402
from homeport_host.gateway.routing import Routing  # noqa: E402
from homeport_host.gateway.upstreams import Upstreams  # noqa: E402
from homeport_host.governance import stages  # noqa: E402
from homeport_host.governance.approvals import Approvals  # noqa: E402
from homeport_host.governance.calls import Caller  # noqa: E402
from homeport_host.governance.dispatch import Dispatcher  # noqa: E402
from homeport_host.governance.ledger import Ledger  # noqa: E402
from homeport_host.governance.pins import Pins  # noqa: E402
from homeport_host.governance.taint import Taints  # noqa: E402
from homeport_shared.audit import AuditLog, Entry  # noqa: E402
from homeport_shared.changes import ChangeBus  # noqa: E402
from homeport_shared.clock import SystemClock  # noqa: E402

CALLS = 200
PORT = 18_764
stages.CALLS_PER_MINUTE = 10**9


@asynccontextmanager
async def front(home: Path, *configs: ServerConfig) -> AsyncGenerator[Front]:
    """The front over `configs` with the real dispatcher and a real audit log."""
    database = Database(home / "host.db")
    await database.open()
    audit = AuditLog(home / "audit.db", SystemClock())

    async with anyio.create_task_group() as tasks:

        async def record(entry: Entry, durable: bool) -> None:
            if durable:
                await audit.append(entry)
            else:
                tasks.start_soon(audit.append, entry)

        upstreams = Upstreams(tasks, home=home)
        catalog = Catalog(upstreams, {f"{config.name}__echo": ["read-only"] for config in configs})
        dispatcher = Dispatcher(
            Routing(catalog, upstreams),
            Exposures(),
            approvals=Approvals(database, ChangeBus()),
            taints=Taints(database),
            pins=Pins(database, lambda server: False),
            ledger=Ledger(database),
            record=record,
        )
        dispatcher._stages = tuple(s for s in dispatcher._stages if not isinstance(s, stages.RateStage))
        made = Front(catalog, dispatcher, upstreams, lambda context: Caller("person", "bench"), tasks=tasks)
        for config in configs:
            upstreams.add(config)
        await upstreams.wait_ready(20)
        yield made
        for config in configs:
            await upstreams.remove(config.name)
        tasks.cancel_scope.cancel()
    await audit.aclose()
    await database.aclose()


async def median(client: Client, tool: str) -> float:
    """Return the median milliseconds of a call."""
    times: list[float] = []
    for number in range(CALLS):
        started = time.perf_counter()
        result = await client.call_tool(tool, {"text": str(number)})
        times.append((time.perf_counter() - started) * 1000)
        assert not result.is_error, result
    return statistics.median(times)


async def compare(name: str, direct: Any, config: ServerConfig) -> None:
    """Print the medians of one way to reach a server."""
    with tempfile.TemporaryDirectory() as folder:
        async with Client(direct) as client:
            alone = await median(client, "echo")
        async with front(Path(folder), config) as made, Client(made.server) as client:
            governed = await median(client, f"{config.name}__echo")
    print(f"{name}: direct {alone:.2f} ms, through the gateway {governed:.2f} ms, ratio {governed / alone:.2f}")


async def main() -> None:
    script = str(FIXTURES / "everything.py")
    here = ServerConfig("here", "in-process", entry_point="everything:build_server")
    await compare("in-process", build("here"), here)
    child = ServerConfig("child", "stdio", command=sys.executable, args=(script, "child"))
    await compare("stdio", StdioServerParameters(command=sys.executable, args=[script, "child"]), child)
    async with await anyio.open_process([sys.executable, script, "far", str(PORT)], stderr=None) as process:
        await anyio.sleep(3)
        url = f"http://127.0.0.1:{PORT}/mcp"
        await compare("HTTP", url, ServerConfig("far", "http", url=url))
        process.kill()


if __name__ == "__main__":
    anyio.run(main)
