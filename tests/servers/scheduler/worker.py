"""A scheduler process for fault tests: writes every effect into a ledger file, and dies where it is told to.

python worker.py HOME LEDGER SECONDS CRASH [MISSED]
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio

from homeport_scheduler.automation import Automation
from homeport_scheduler.definitions import Definition
from homeport_shared.context import open_context
from homeport_shared.gateway import Happened, Order, Outcome

HOME, LEDGER, SECONDS, CRASH = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
MISSED = sys.argv[5] if len(sys.argv) > 5 else "all"


class LedgerWorks:
    """Does an order once: its id is the name of a file, as an idempotent tool would have it; every begin is a line."""

    async def carry_out(self, order: Order) -> Outcome:
        if CRASH == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        with (LEDGER / "begun").open("a", encoding="utf-8") as file:
            file.write(f"{order.id}\n")
        (LEDGER / order.id).touch()
        if CRASH == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        await anyio.sleep(0.01)
        return Outcome("done")

    async def abandon(self, order: str) -> None:
        return None

    async def problems(self, order: Order) -> list[str]:
        return []

    async def states(self, tasks: object) -> dict[str, str]:
        return {}

    async def follow(self, after: int | None, handle: Callable[[list[Happened]], Awaitable[None]]) -> None:
        await anyio.sleep_forever()


async def nothing(app: object, where: str) -> None:
    return None


async def main() -> None:
    async with open_context("scheduler", home=HOME, gateway=LedgerWorks()) as context:
        automation = Automation(context, nothing)
        if not (await automation.showing.status()).jobs:
            for number in range(5):
                job = {
                    "name": f"job {number}",
                    "trigger": {"every": "1s"},
                    "action": {"tool": "ledger__write"},
                    "missed": MISSED,
                    "missed_most": 1000,
                    "overlap": "queue",
                }
                await automation.jobs.add(Definition.model_validate(job), enabled=True)
        print("ready", flush=True)
        await anyio.sleep(SECONDS)


anyio.run(main)
