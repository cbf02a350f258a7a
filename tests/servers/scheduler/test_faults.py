"""Killed, doubled, full disks: no due run is lost, and none has its effect twice. The oracle is a ledger of files."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .conftest import opened

pytestmark = [pytest.mark.faults]
WORKER = Path(__file__).with_name("worker.py")


@contextmanager
def worker(home: Path, ledger: Path, crash: str = "-", seconds: float = 120) -> Iterator[subprocess.Popen[str]]:
    """Run a scheduler process; it is ready, or has died, when the block begins."""
    ledger.mkdir(exist_ok=True)
    command = [sys.executable, str(WORKER), str(home), str(ledger), str(seconds), crash]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process
        finally:
            process.kill()


def until(true: object, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def rows(home: Path) -> list[tuple[str, str, str]]:
    connection = sqlite3.connect(home / "scheduler" / "scheduler.db")
    try:
        return connection.execute("SELECT id, state, planned FROM runs ORDER BY planned").fetchall()
    except sqlite3.OperationalError:  # the first process is just making the table
        return []
    finally:
        connection.close()


def completed(home: Path) -> int:
    return sum(state == "completed" for _, state, _ in rows(home))


def without_gaps(home: Path) -> None:
    """Every second from the first to the last has one run of each job, all but the last few completed."""
    by_job: dict[str, list[str]] = {}
    for identifier, state, _ in rows(home):
        assert state in {"completed", "running", "queued"}, (identifier, state)
        job, instant = identifier.removeprefix("sched-").split("-")
        by_job.setdefault(job, []).append(instant)
    assert len(by_job) == 5
    for instants in by_job.values():
        seconds = sorted(int(i[9:11]) * 3600 + int(i[11:13]) * 60 + int(i[13:15]) for i in instants)
        assert seconds == list(range(seconds[0], seconds[0] + len(seconds)))


def test_kills_lose_no_run_and_double_none(tmp_path: Path) -> None:
    home, ledger, chance = tmp_path / "home", tmp_path / "ledger", random.Random(7)
    for _ in range(6):
        with worker(home, ledger):
            time.sleep(chance.uniform(0.0, 0.7))
    with worker(home, ledger):
        due = len(rows(home))
        until(lambda: completed(home) >= due + 5)
    without_gaps(home)
    done = {identifier for identifier, state, _ in rows(home) if state == "completed"}
    assert done <= {file.name for file in ledger.iterdir()}
    assert len(rows(home)) == len({identifier for identifier, _, _ in rows(home)})


@pytest.mark.parametrize("crash", ["before", "after"])
def test_a_run_whose_process_died_is_taken_up_by_the_next_at_once(tmp_path: Path, crash: str) -> None:
    home, ledger = tmp_path / "home", tmp_path / "ledger"
    with worker(home, ledger, crash) as dying:
        until(lambda: dying.poll() is not None)
    left = [identifier for identifier, state, _ in rows(home) if state == "running"]
    assert left
    with worker(home, ledger):
        until(lambda: set(left) <= {i for i, state, _ in rows(home) if state == "completed"})
    assert set(left) <= {file.name for file in ledger.iterdir()}


def test_two_processes_share_the_work_and_do_nothing_twice(tmp_path: Path) -> None:
    home, ledger = tmp_path / "home", tmp_path / "ledger"
    with worker(home, ledger), worker(home, ledger):
        until(lambda: completed(home) >= 25)
    without_gaps(home)
    begun = (ledger / "begun").read_text("utf-8").split()
    assert len(begun) == len(set(begun))


@pytest.mark.anyio
async def test_a_damaged_file_is_said_plainly_and_stops_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "scheduler"
    folder.mkdir()
    (folder / "scheduler.db").write_bytes(b"no database at all" * 100)
    async with opened(tmp_path) as desk:
        assert "is damaged" in await desk.refused("list_jobs")
        assert await desk.read("scheduler://health")
