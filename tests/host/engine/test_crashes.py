"""kill -9 at random moments and at the worst ones: nothing that was recorded is done again, and every run completes.

The oracle is a file that the steps write to: an effect in it twice is doubled, one that is missing and not told as
unknown is lost. `HOMEPORT_KILLS` asks for more kills; the figures are printed.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.patience import PATIENCE
from tests.postgres import Postgres

from homeport_host.dialects import Where, parse

RUNS, STEPS = 4, 12
OUTAGE = float(os.environ.get("HOMEPORT_OUTAGE", "2"))  # seconds
KILLS = int(os.environ.get("HOMEPORT_KILLS", "3"))
PROGRAM = Path(__file__).with_name("crashing.py")
pytestmark = [pytest.mark.faults, pytest.mark.timeout(120 + 10 * KILLS)]
Program = subprocess.Popen[str]


@dataclass
class Place:
    """Where a worker keeps its tables and its engine's."""

    database: Where
    engine: Where


def start(
    folder: Path, place: Any, worker: str = "local", *, runs: int = RUNS, steps: int = STEPS, at: str = ""
) -> Program:
    address = "-" if isinstance(place.database, Path) else place.database.render_as_string(hide_password=False)
    command = [sys.executable, str(PROGRAM), str(folder), address, worker, str(runs), str(steps)]
    environment = os.environ | {"CRASH_AT": at}
    program = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env=environment
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "up\n", program.communicate()[1]
    return program


def finished(program: Program) -> None:
    out, err = program.communicate(timeout=PATIENCE)
    assert out.splitlines()[-1:] == ["done"], err
    assert program.returncode == 0


class Told:
    """What the outside world noted."""

    def __init__(self, folder: Path) -> None:
        self.lines = [line.rsplit(" ", 1) for line in (folder / "effects.log").read_text().splitlines()]
        self.words = [line[0] for line in self.lines]

    def of(self, word: str) -> Counter[str]:
        return Counter(line.removeprefix(f"{word} ") for line in self.words if line.startswith(f"{word} "))

    def check(self, title: str, runs: int, steps: int, kills: int) -> None:
        """No effect is doubled, none is lost, and none began again after it was recorded."""
        effects, known, unknown = self.of("effect"), self.of("after"), self.of("unknown")
        everything = {f"run-{run} {step}" for run in range(runs) for step in range(steps)}
        doubled = [effect for effect, times in effects.items() if times > 1]
        lost = everything - {step for step in known if effects[step]} - unknown.keys()
        print(
            f"\n{title}: {kills} kills, {len(everything)} effects, {len(lost)} lost, {len(doubled)} doubled, "
            f"{len(unknown)} told as unknown"
        )
        assert (sorted(lost), doubled) == ([], [])
        assert len(unknown) <= kills * runs
        assert not begun_after_recorded(self.words)


def begun_after_recorded(words: list[str]) -> list[str]:
    """Return the steps that began again although the run had gone on after them."""
    recorded, again = set[str](), list[str]()
    for line in words:
        word, _, step = line.partition(" ")
        if word == "after":
            recorded.add(step)
        elif word == "before" and step in recorded:
            again.append(step)
    return again


def test_runs_survive_being_killed_at_random_moments(place: Any, tmp_path: Path) -> None:
    chance = random.Random(20261121)
    steps = STEPS * max(1, KILLS // 3)  # so that there is something left to kill
    for _ in range(KILLS):
        program = start(tmp_path, place, steps=steps)
        time.sleep(chance.uniform(0.01, 0.4))  # the moment is what the test is about
        program.kill()
        program.communicate()
    finished(start(tmp_path, place, steps=steps))
    Told(tmp_path).check(name_of(place.database), RUNS, steps, KILLS)
    if isinstance(place.engine, Path):
        assert sqlite3.connect(place.engine).execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("at", ["before:2", "effect:2", "after:2"])
def test_a_kill_at_the_boundary_of_a_step_loses_and_doubles_nothing(at: str, place: Any, tmp_path: Path) -> None:
    program = start(tmp_path, place, runs=1, steps=4, at=at)
    program.communicate(timeout=PATIENCE)
    assert program.returncode == -signal.SIGKILL
    finished(start(tmp_path, place, runs=1, steps=4))
    told = Told(tmp_path)
    told.check(f"{name_of(place.database)} {at}", 1, 4, 1)
    assert sum(told.of("unknown").values()) == (at == "effect:2"), "only in the window is its fate unknown"


def test_the_runs_of_a_dead_worker_are_taken_over(place: Any, tmp_path: Path) -> None:
    survivor = start(tmp_path, place, "survivor", runs=0)
    victim = start(tmp_path, place, "victim", steps=60)
    wait_for(tmp_path, "victim")
    victim.kill()
    victim.communicate()
    finished(survivor)
    told = Told(tmp_path)
    told.check(f"{name_of(place.database)} take-over", RUNS, 60, 1)
    assert {worker for _, worker in told.lines} == {"victim", "survivor"}


def test_a_frozen_worker_that_wakes_up_does_nothing_more(place: Any, tmp_path: Path) -> None:
    survivor = start(tmp_path, place, "survivor", runs=0)
    zombie = start(tmp_path, place, "zombie", steps=60)
    wait_for(tmp_path, "zombie")
    freeze(zombie, place)
    wait_for(tmp_path, "survivor")
    zombie.send_signal(signal.SIGCONT)
    finished(survivor)
    finished(zombie)
    told = Told(tmp_path)
    told.check(f"{name_of(place.database)} zombie", RUNS, 60, 1)


def test_two_workers_on_one_database_share_the_work_and_repeat_nothing(place: Any, tmp_path: Path) -> None:
    first, second = start(tmp_path, place, "first"), start(tmp_path, place, "second")
    finished(first)
    finished(second)
    Told(tmp_path).check(f"{name_of(place.database)} two workers", RUNS, STEPS, 0)


def test_a_postgresql_that_stops_hard_is_waited_for(tmp_path: Path) -> None:
    server = Postgres()
    try:
        server.start()
        where = parse(server.url(server.new()))
        program = start(tmp_path, Place(where, where), steps=100)
        wait_for(tmp_path, "local")
        server.stop(hard=True)
        time.sleep(OUTAGE)
        server.start()
        finished(program)
    finally:
        server.remove()
    told = Told(tmp_path)
    told.check(f"PostgreSQL away for {OUTAGE:g} s", RUNS, 100, 0)


def test_runs_go_on_when_a_full_disk_has_space_again(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        print("\nNo small disk can be mounted here, so none was filled.")
        return
    try:
        place = Place(disk / "host.db", disk / "engine.db")
        program = start(tmp_path, place, steps=60)
        wait_for(tmp_path, "local")
        fill(disk / "ballast")
        time.sleep(1)  # it goes on, and nothing can be stored
        assert program.poll() is None
        (disk / "ballast").unlink()
        finished(program)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
    Told(tmp_path).check("SQLite on a full disk", RUNS, 60, 1)


def freeze(program: Program, place: Any) -> None:
    """Stop a process while it does not write: SQLite's lock would be stopped with it, and nobody could go on."""
    while True:
        program.send_signal(signal.SIGSTOP)
        if not isinstance(place.database, Path) or not any(map(written, (place.database, place.engine))):
            return
        program.send_signal(signal.SIGCONT)
        time.sleep(0.01)


def written(file: Path) -> bool:
    """Whether somebody writes to a database of SQLite now."""
    with contextlib.closing(sqlite3.connect(file, timeout=0.2, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        connection.execute("ROLLBACK")
        return False


def fill(file: Path) -> None:
    with file.open("wb", buffering=0) as handle, contextlib.suppress(OSError):
        while True:
            handle.write(b"0" * 4096)


def wait_for(folder: Path, worker: str) -> None:
    """Return when a worker works on the last of the runs."""
    until, log = time.monotonic() + 60, folder / "effects.log"
    while not log.exists() or not re.search(rf"run-{RUNS - 1} \d+ {worker}\n", log.read_text()):
        assert time.monotonic() < until
        time.sleep(0.02)


def name_of(where: Where) -> str:
    return "SQLite" if isinstance(where, Path) else "PostgreSQL"
