"""A worker with durable runs, to be killed at any moment: `python crashing.py FOLDER DATABASE WORKER RUNS STEPS`.

It starts the runs that are missing, waits for all of them and prints `done`. Each step notes its beginning, its effect
and its end in `effects.log`, so a test sees what happened twice. DATABASE is an address, or `-` for SQLite in FOLDER.
With RUNS 0 it starts none and only takes over. `CRASH_AT=before|effect|after:STEP` ends the process there, as kill -9.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import anyio
from sqlalchemy import Connection, func, select

from homeport_host.database import Database
from homeport_host.dialects import parse
from homeport_host.engine.dbos import LOCAL, DbosEngine
from homeport_host.engine.protocol import Steps
from homeport_host.engine.records import accepted
from homeport_host.governance.ledger import Ledger
from homeport_shared.errors import HomeportError

LEASE = 2.0


class Notes:
    """The outside world: what really happened, in a file that knows nothing of databases."""

    def __init__(self, folder: Path, worker: str) -> None:
        self._path = folder / "effects.log"
        self._worker = worker
        self._crash = os.environ.get("CRASH_AT", "")

    def write(self, word: str, run: str, step: int) -> None:
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(handle, f"{word} {run} {step} {self._worker}\n".encode())
        os.close(handle)
        if self._crash == f"{word}:{step}":
            os.kill(os.getpid(), signal.SIGKILL)


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def body_of(notes: Notes, ledger: Ledger) -> Any:
    async def body(steps: Steps, parameters: dict[str, Any]) -> None:
        for number in range(parameters["steps"]):

            async def work(number: int = number) -> str:
                notes.write("before", steps.run, number)
                earlier = await ledger.begin(f"{steps.run}:{number}", "note", "")
                if earlier is None:
                    notes.write("effect", steps.run, number)
                    await anyio.sleep(0.005)
                    await ledger.finish(f"{steps.run}:{number}", {"done": True})
                return "unknown" if earlier is not None and earlier.state == "unknown" else "done"

            fate = ""
            while not fate:
                try:
                    fate = await steps.step(f"step {number}", work)
                except HomeportError:  # the disk is full, say; it is tried again, as the next recorded step
                    await anyio.sleep(0.1)
            notes.write("after" if fate == "done" else "unknown", steps.run, number)

    return body


async def main(folder: Path, address: str, worker: str, runs: int, count: int) -> None:
    where = None if address == "-" else parse(address)
    database = Database(where or folder / "host.db")
    await database.open()
    async with anyio.create_task_group() as tasks:
        lease = 0.0 if worker == LOCAL else LEASE
        engine = DbosEngine(
            where or folder / "engine.db", database, tasks, worker=worker, lease=lease, watch_seconds=0.5
        )
        engine.register("work", body_of(Notes(folder, worker), Ledger(database)))
        await engine.launch()
        say("up")
        for number in range(runs):
            await engine.start("work", {"steps": count}, run=f"run-{number}")
        open_runs = select(func.count()).where(accepted.c.ended == "")
        all_runs = select(func.count()).select_from(accepted)

        def over(connection: Connection) -> bool:
            return bool(connection.scalar(all_runs)) and not connection.scalar(open_runs)

        while not await database.read(over):
            await anyio.sleep(0.05)
        say("done")
        await engine.aclose()
        tasks.cancel_scope.cancel()
    await database.aclose()


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
