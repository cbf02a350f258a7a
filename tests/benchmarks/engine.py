"""The engine alone: runs of steps that do nothing, on SQLite with synchronous=FULL and on PostgreSQL."""

from __future__ import annotations

import logging
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from tests.benchmarks.rows import Row, shown
from tests.postgres import Postgres

from homeport_host.database import Database
from homeport_host.dialects import Where, parse
from homeport_host.engine.dbos import DbosEngine
from homeport_host.engine.protocol import Steps

RUNS, STEPS = 200, 1_000
CRASHING = Path(__file__).parent.parent / "host" / "engine" / "crashing.py"


async def measure() -> list[Row]:
    """Measure both databases; medians."""
    logging.getLogger("dbos").setLevel(logging.CRITICAL)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="homeport-bench-") as folder:
        home = Path(folder)
        rows += await _measured("SQLite", home / "host.db", home / "engine.db")
        rows.append(Row("SQLite: first step after a kill -9 and a new start", shown(_recovery(home), "ms"), "1000 ms"))
    server = Postgres(durable=True)
    try:
        server.start()
        where = parse(server.url(server.new()))
        rows += await _measured("PostgreSQL", where, where)
    finally:
        server.remove()
    return rows


async def _measured(name: str, tables: Where, engine: Where) -> list[Row]:
    async with _engine(tables, engine) as (runs, began):
        await runs(1)
        whole: list[float] = []
        waits: list[float] = []
        for _ in range(RUNS):
            started = time.perf_counter()
            await runs(1)
            whole.append((time.perf_counter() - started) * 1000)
            waits.append((began[-1] - started) * 1000)
        started = time.perf_counter()
        await runs(STEPS)
        rate = STEPS / (time.perf_counter() - started)
    target = "6 ms" if name == "SQLite" else "-"
    return [
        Row(f"{name}: a run of one step, p50", shown(statistics.median(whole), "ms"), target),
        Row(f"{name}: asked to begun, p50", shown(statistics.median(waits), "ms"), "100 ms"),
        Row(f"{name}: steps one after the other, a second", f"{rate:.0f}", "400" if name == "SQLite" else "-"),
    ]


@asynccontextmanager
async def _engine(tables: Where, where: Where) -> AsyncGenerator[tuple[Any, list[float]]]:
    database = Database(tables)
    await database.open()
    ended: dict[str, anyio.Event] = {}
    began: list[float] = []

    async def nothing() -> None:
        return None

    async def body(steps: Steps, parameters: dict[str, Any]) -> None:
        began.append(time.perf_counter())
        for number in range(parameters["steps"]):
            await steps.step(f"step {number}", nothing)
        ended[steps.run].set()

    async with anyio.create_task_group() as tasks:
        engine = DbosEngine(where, database, tasks)
        engine.register("work", body)

        async def run(count: int) -> None:
            name = f"run-{len(ended)}"
            ended[name] = anyio.Event()
            await engine.start("work", {"steps": count}, run=name)
            await ended[name].wait()

        await engine.launch()
        yield run, began
        await engine.aclose()
        tasks.cancel_scope.cancel()
    await database.aclose()


def _recovery(home: Path) -> float:
    """Return how long after `up` a killed worker's run does its next step, in milliseconds."""
    folder = home / "killed"
    folder.mkdir()
    command = [sys.executable, str(CRASHING), str(folder), "-", "local", "1", "400"]
    log = folder / "effects.log"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as first:
        while not log.exists() or "after run-0 20 " not in log.read_text():
            time.sleep(0.005)
        first.send_signal(signal.SIGKILL)
    size = log.stat().st_size
    with subprocess.Popen(command, stdout=subprocess.PIPE) as second:
        assert second.stdout is not None
        second.stdout.readline()
        began = time.perf_counter()
        while log.stat().st_size == size:
            time.sleep(0.001)
        took = (time.perf_counter() - began) * 1000
        second.kill()
    return took
