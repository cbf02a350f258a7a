"""A process with durable runs, to be killed at any moment: `python crashing.py FOLDER RUNS STEPS`.

It starts the runs that are missing, waits for all of them and prints `done`. Each step notes its beginning and its end
in `effects.log`, so a test sees what happened twice.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import anyio

from homeport_host.database import Database
from homeport_host.engine.dbos import DbosEngine
from homeport_host.engine.protocol import Steps


def note(folder: Path, text: str) -> None:
    handle = os.open(folder / "effects.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, f"{text}\n".encode())
    os.close(handle)


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def main(folder: Path, runs: int, count: int) -> None:
    database = Database(folder / "host.db")
    await database.open()
    ended = {f"run-{number}": anyio.Event() for number in range(runs)}

    async def body(steps: Steps, parameters: dict[str, Any]) -> None:
        for number in range(parameters["steps"]):

            async def work(number: int = number) -> int:
                note(folder, f"begin {steps.run} {number}")
                await anyio.sleep(0.005)
                return number

            assert await steps.step(f"step {number}", work) == number
            note(folder, f"after {steps.run} {number}")
        ended[steps.run].set()

    async with anyio.create_task_group() as tasks:
        engine = DbosEngine(folder / "engine.db", database, tasks)
        engine.register("work", body)
        await engine.launch()
        say("up")
        for run in ended:
            if not await engine.start("work", {"steps": count}, run=run) and not await left(database, run):
                ended[run].set()
        for event in ended.values():
            await event.wait()
        say("done")
        await engine.aclose()
        tasks.cancel_scope.cancel()
    await database.aclose()


async def left(database: Database, run: str) -> bool:
    from homeport_host.engine.records import Records

    return run in {row[0] for row in await Records(database).unfinished()}


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
