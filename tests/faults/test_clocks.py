"""Clocks that jump, and the two days a year on which an hour is missing or comes twice: no due run is lost or doubled.

The clock of a real process is set by libfaketime; whole days pass by a clock that the test sets.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from tests.patience import PATIENCE
from tests.servers.scheduler.conftest import START, opened

from homeport_shared.testing.clock import SetClock

WORKER = Path(__file__).parents[1] / "servers" / "scheduler" / "worker.py"
BERLIN = ZoneInfo("Europe/Berlin")
SPRING, AUTUMN = datetime(2026, 3, 29, tzinfo=BERLIN), datetime(2026, 10, 25, tzinfo=BERLIN)


@contextmanager
def under(clock: Path, home: Path, ledger: Path) -> Iterator[None]:
    """Run a scheduler process, with a job each second five times, by the clock that a file says."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    # The monotonic clock stays true, as it does when somebody sets the real one.
    faked = {
        "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    command = [sys.executable, str(WORKER), str(home), str(ledger), "300", "-", "once"]
    ledger.mkdir()
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", env={**os.environ, **faked}) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            yield
        finally:
            process.kill()


def completed(home: Path) -> list[str]:
    """Return the planned instants of the completed runs."""
    with closing(sqlite3.connect(home / "scheduler" / "scheduler.db")) as connection:
        rows = connection.execute("SELECT planned FROM runs WHERE state = 'completed' ORDER BY planned")
        return [planned for (planned,) in rows]


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


@pytest.mark.clock
@pytest.mark.faults
@pytest.mark.timeout(360)
def test_a_clock_that_jumps_an_hour_forward_and_back_loses_no_job_and_doubles_no_effect(tmp_path: Path) -> None:
    clock, home, ledger = tmp_path / "clock", tmp_path / "home", tmp_path / "ledger"
    clock.write_text("+0\n")
    with under(clock, home, ledger):
        until(lambda: len(completed(home)) >= 10)
        before = datetime.now(UTC)
        clock.write_text("+1h\n")
        soon = (before + timedelta(minutes=55)).isoformat()
        until(lambda: sum(planned > soon for planned in completed(home)) >= 15)
        clock.write_text("+0\n")  # an hour back: the job must not wait for an hour
        furthest, latest = completed(home)[-1], datetime.now(UTC).isoformat()
        until(lambda: sum(latest < planned < soon for planned in completed(home)) >= 15)
        clock.write_text("+1h\n")  # the seconds that were there already come once more, then new ones
        until(lambda: sum(planned > furthest for planned in completed(home)) >= 15)
    begun = Counter((ledger / "begun").read_text().split())
    assert [order for order, times in begun.items() if times > 1] == []
    planned = Counter(completed(home))
    assert max(planned.values()) <= 5, "five jobs, each once for each second"
    print(f"\n3 jumps of an hour: {sum(planned.values())} runs, none twice")


JOBS = {
    "Nightly": {"trigger": {"cron": "30 2 * * *"}},
    "Twice if need be": {"trigger": {"cron": "30 2 * * *"}, "dst": "twice"},
    "Hourly": {"trigger": {"cron": "0 * * * *"}},
    "Quarter": {"trigger": {"every": "15m", "start": "2026-01-01T00:00:00Z"}},
}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("day", "hours", "expected"),
    [
        (SPRING, 23, {"Nightly": ["03:00+02:00"], "Twice if need be": ["03:00+02:00"]}),
        (AUTUMN, 25, {"Nightly": ["02:30+02:00"], "Twice if need be": ["02:30+02:00", "02:30+01:00"]}),
    ],
    ids=["spring", "autumn"],
)
async def test_on_the_days_of_the_clock_change_each_job_runs_as_its_policy_says(
    day: datetime, hours: int, expected: dict[str, list[str]], tmp_path: Path
) -> None:
    clock = SetClock(START)
    clock.at = day.astimezone(UTC) - timedelta(minutes=1)
    async with opened(tmp_path, clock=clock, time_zone="Europe/Berlin") as desk:
        for name, fields in JOBS.items():
            await desk.add(name, missed="all", missed_most=200, overlap="queue", **fields)
        for _ in range(hours * 4):
            await desk.pass_time(minutes=15)
        wanted = {**{name: len(times) for name, times in expected.items()}, "Hourly": hours, "Quarter": hours * 4}
        for name, count in wanted.items():
            runs = await desk.runs(count, job=name, limit=200)  # type: ignore[arg-type]
            assert len({run["planned"] for run in runs}) == count, name
            if name in expected:
                local = [datetime.fromisoformat(run["planned"]).astimezone(BERLIN) for run in runs]
                assert [moment.isoformat()[11:16] + moment.isoformat()[19:] for moment in local] == expected[name]
    assert len(desk.works.done) == sum(wanted.values())
    assert json.dumps(sorted({order.title for order in desk.works.done})) == json.dumps(sorted(JOBS))
