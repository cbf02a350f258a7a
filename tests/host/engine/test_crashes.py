"""kill -9 at random moments: nothing that was recorded is done again, and every run completes."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

RUNS, STEPS = 4, 12
PROGRAM = Path(__file__).with_name("crashing.py")


def start(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(PROGRAM), str(folder), str(RUNS), str(STEPS)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")


@pytest.mark.faults
@pytest.mark.parametrize("seed", [1, 2])
def test_runs_survive_being_killed_at_random_moments(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    for _ in range(2):
        process = start(tmp_path)
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        time.sleep(chance.uniform(0.01, 0.25))  # the moment is what the test is about
        process.kill()
        process.communicate()
    process = start(tmp_path)
    out, err = process.communicate(timeout=40)
    assert out.splitlines()[-1] == "done", err
    assert process.returncode == 0

    lines = (tmp_path / "effects.log").read_text().splitlines()
    done = {line.removeprefix("after ") for line in lines if line.startswith("after ")}
    assert done == {f"run-{run} {step}" for run in range(RUNS) for step in range(STEPS)}
    assert not begun_after_recorded(lines)
    assert sqlite3.connect(tmp_path / "engine.db").execute("PRAGMA integrity_check").fetchone() == ("ok",)
    begun = Counter(line for line in lines if line.startswith("begin"))
    assert max(begun.values()) <= 3, "a step is only repeated by a kill inside it"


def begun_after_recorded(lines: list[str]) -> list[str]:
    """Return the steps that began again although the run had gone on after them."""
    recorded, again = set[str](), list[str]()
    for line in lines:
        word, _, step = line.partition(" ")
        if word == "after":
            recorded.add(step)
        elif step in recorded:
            again.append(step)
    return again
