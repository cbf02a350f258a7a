"""kill -9 at the records of steps, before and after they are written: no effect is lost and none happens twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from itertools import cycle
from pathlib import Path

import pytest
from tests.patience import PATIENCE
from tests.postgres import Postgres

PROGRAM = Path(__file__).with_name("crashing.py")
EVERY = [("1", "before"), ("1", "after")]  # record: `make soak`
SOME = [("9", "before"), ("8", "after"), ("7", "before"), ("9", "after")]
ONCE = ["first", "loop-a", "loop-b", "left", "left2", "right", "map-x", "map-y", "inner", "to-undo", "undone"]


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_a_workflow_of_all_kinds_of_nodes_is_killed_again_and_again(tmp_path: Path) -> None:
    """Each process gets some records further; a kill before the end of a step comes after its effect."""
    killed_until_done(tmp_path, EVERY if os.environ.get("HOMEPORT_KILLS") else SOME)


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_a_workflow_on_postgresql_is_killed_again_and_again(tmp_path: Path, postgres: Postgres) -> None:
    killed_until_done(tmp_path, [("13", "before"), ("12", "after")], postgres.url(postgres.new()))


def killed_until_done(folder: Path, when: list[tuple[str, str]], *url: str) -> None:
    moments, kills = cycle(when), 0
    while True:
        command = [sys.executable, str(PROGRAM), str(folder), *next(moments), *url]
        process = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=PATIENCE)
        if process.returncode != -signal.SIGKILL:
            break
        kills += 1
        assert kills < 80, "it does not come forward"
    assert process.returncode == 0, process.stderr
    told = json.loads(process.stdout)
    assert (told["state"], told["error"]["code"]) == ("failed", "unavailable"), told
    assert set(told["steps"].values()) == {"completed", "failed", "undone"}
    effects = Counter((folder / "effects.log").read_text().split())
    assert {word: effects[word] for word in ONCE} == dict.fromkeys(ONCE, 1)
    print(f"\n{kills} kills: {sum(effects[word] for word in ONCE)} effects, none lost, none doubled")
