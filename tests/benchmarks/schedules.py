"""The scheduler: 10,000 stored jobs, and 1,000 that are due at one instant.

APScheduler 3.11 with its SQLAlchemy job store does the same beside it, in an environment of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import peer_environment
from tests.benchmarks.rows import Row, compared

STORED, AT_ONCE = 10_000, 1_000
OURS = """
import json, resource, sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import psutil
from homeport_scheduler.automation import Automation
from homeport_scheduler.definitions import Action, Definition, Trigger
from homeport_scheduler.records import Job
from homeport_scheduler.store import Store
from homeport_shared.clock import iso
from homeport_shared.context import open_context
from homeport_shared.gateway import Outcome

home, stored, at_once = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
begun = []


class Works:
    async def carry_out(self, order):
        begun.append((time.time(), order.id))
        return Outcome("done")

    async def abandon(self, order): ...
    async def problems(self, order): return []
    async def follow(self, after, handle): await anyio.sleep_forever()


async def nothing(app, where): ...


def job(number, following, trigger=None):
    trigger = trigger or Trigger(cron=f"{number % 60} {number % 24} * * *")
    definition = Definition(name=f"job {number}", trigger=trigger, action=Action(tool="a__b"))
    return Job(f"{number:010}", definition, True, True, "user", following, 1, following, following)


async def fill():
    store = Store(home / "scheduler" / "scheduler.db")
    far = iso(datetime.now(UTC) + timedelta(days=1))
    await store.write(lambda books: [books.put(job(number, far)) for number in range(stored)])
    await store.aclose()


async def start():
    before, began = psutil.Process().memory_info().rss, time.perf_counter()
    flags = {"max_concurrent": 2000, "max_tools": 2000}
    async with open_context("scheduler", home=home, gateway=Works(), flags=flags) as context:
        automation = Automation(context, nothing)
        await automation.showing.status()
        await automation.showing.jobs("", {}, 50, "")
        seconds = time.perf_counter() - began
        memory = (psutil.Process().memory_info().rss - before) / 2**20
        instant = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)

        def work(books):
            for number in range(at_once):
                books.put(job(number, iso(instant), Trigger(at=iso(instant))))

        await automation._store.write(work)
        automation._scheduler.wake()
        with anyio.fail_after(120):
            while len(begun) < at_once:
                await anyio.sleep(0.01)
        await anyio.sleep(0.5)
    last = max(at for at, _ in begun) - instant.timestamp()
    print(json.dumps([seconds, memory, last, len(begun), len({one for _, one in begun})]))


anyio.run(fill) if sys.argv[4] == "fill" else anyio.run(start)
"""
PEER = """
import json, sys, time
from datetime import datetime, timedelta, timezone
import psutil
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler

begun = []
def work(number): begun.append((time.time(), number))

if __name__ == "__main__":
    import peer
    path, stored, at_once = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    def made(paused):
        scheduler = BackgroundScheduler(
            jobstores={"default": SQLAlchemyJobStore(url=f"sqlite:///{path}/peer.db")},
            executors={"default": ThreadPoolExecutor(20)}, job_defaults={"misfire_grace_time": 600}, timezone="UTC",
        )
        scheduler.start(paused=paused)
        return scheduler
    if sys.argv[4] == "fill":
        scheduler = made(True)
        for number in range(stored):
            scheduler.add_job(peer.work, "cron", args=[number], minute=number % 60, hour=number % 24, id=str(number))
        scheduler.shutdown()
    else:
        before, began = psutil.Process().memory_info().rss, time.perf_counter()
        scheduler = made(False)
        scheduler.get_jobs()
        seconds = time.perf_counter() - began
        memory = (psutil.Process().memory_info().rss - before) / 2**20
        instant = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=15)
        for number in range(at_once):
            scheduler.modify_job(str(number), next_run_time=instant)
        end = time.time() + 120
        while len(peer.begun) < at_once and time.time() < end:
            time.sleep(0.01)
        last = max(at for at, _ in peer.begun) - instant.timestamp()
        print(json.dumps([seconds, memory, last, len(peer.begun), len({n for _, n in peer.begun})]))
        scheduler.shutdown(wait=False)
"""


async def measure() -> list[Row]:
    """Store the jobs with both, start both, and let both start a thousand at one instant."""
    ours = figures([sys.executable], OURS)
    environment = peer_environment.make("apscheduler<4", "sqlalchemy", "psutil")
    theirs = figures([str(environment / "python")], PEER)
    rows = [
        compared(f"{STORED:,} stored jobs: start until status and a page of them", ours[0], 1, "s"),
        compared(f"{STORED:,} stored jobs: memory on top", ours[1], 60, "MiB"),
        compared(f"{AT_ONCE:,} due at one instant: the last one started after", ours[2], 5, "s"),
        Row(
            "… started, and how many of them twice", f"{ours[3]:.0f}, {ours[3] - ours[4]:.0f}", f"{AT_ONCE}, 0 (target)"
        ),
        compared("the same start", ours[0], theirs[0], "s", peer="APScheduler 3"),
        compared("the same thousand", ours[2], theirs[2], "s", peer="APScheduler 3"),
    ]
    return rows


def figures(python: list[str], program: str) -> list[float]:
    """Run a program that fills and one that measures; return what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "peer.py").write_text(program, "utf-8")
        for step in ("fill", "start"):
            command = [*python, str(Path(folder) / "peer.py"), folder, str(STORED), str(AT_ONCE), step]
            done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
            if done.returncode:
                raise RuntimeError(done.stderr[-500:])
    return json.loads(done.stdout.splitlines()[-1])
