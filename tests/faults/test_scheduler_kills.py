"""kill -9 of the host while jobs run every second: no due run is lost, and no call of a foreign tool is made twice.

The calls are noted by a third party's server in a file of its own. Its tool says nothing about repetition, so a call
that was under way at a kill is not repeated: its run fails and says that nobody knows.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.patience import PATIENCE

from homeport.connection import call as use

KILLS = 3
pytestmark = [pytest.mark.anyio, pytest.mark.faults, pytest.mark.timeout(360)]


async def all_runs(client: Any, job: str) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = await use(client, "scheduler__list_runs", job=job, limit=200, cursor=cursor)
        runs += page["runs"]
        if not (cursor := page["next"]):
            return runs


async def test_jobs_lose_and_double_nothing_by_kills_of_the_host(machine: Any, tmp_path: Path) -> None:
    effects = tmp_path / "effects.txt"
    effects.touch()
    machine.home.mkdir()
    # The ledger's tool counts as one whose effect can be taken back, so that a job may use it with what an event says.
    (machine.home / "homeport.toml").write_text('[host.labels]\nledger__append = ["can-be-taken-back"]\n')
    machine.start()
    async with machine.client() as client:
        await machine.add_strange(client, "ledger", "ledger", str(effects))
        catching_up = {"missed": "all", "missed_most": 1000, "overlap": "queue"}
        timer = {"name": "Timer", "trigger": {"every": "1s"}, "action": {"event": "tick.tock"}, **catching_up}
        append = {"tool": "ledger__append", "arguments": {"text": "{{event.at}}"}}
        note = {"name": "Note", "trigger": {"event": "tick.*"}, "action": append, "overlap": "queue"}
        for definition in (note, timer):
            await use(client, "scheduler__add_job", definition=definition)
    chance = random.Random(4)
    for _ in range(KILLS):
        await anyio.sleep(chance.uniform(0.5, 2.5))  # the moment is what the test is about
        machine.kill()
        machine.start()
    async with machine.client() as client:
        await use(client, "scheduler__change_jobs", names=["Timer"], action="disable")
        with anyio.fail_after(PATIENCE):
            while True:
                ticks, notes = await all_runs(client, "Timer"), await all_runs(client, "Note")
                open_ = [run for run in (*ticks, *notes) if run["state"] in {"queued", "running"}]
                if not open_ and len(ticks) == len(notes):
                    break
                await anyio.sleep(0.2)
        details = [(await use(client, "scheduler__get_run", run_id=run["id"]))["run"] for run in notes]
    assert machine.stop() == 0
    planned = sorted(datetime.fromisoformat(run["planned"]) for run in ticks)
    assert len(ticks) >= KILLS
    assert {run["state"] for run in ticks} == {"completed"}
    assert [(later - planned[0]).total_seconds() for later in planned] == list(range(len(planned))), "no second lost"
    noted = Counter(effects.read_text().splitlines())
    assert [line for line, times in noted.items() if times > 1] == []
    for run in details:
        if run["state"] == "completed":
            assert noted[run["event"]["at"]] == 1
        else:
            assert "not known" in run["detail"], run
    unknown = [run for run in details if run["state"] != "completed"]
    assert len(unknown) <= KILLS
    print(f"\n{KILLS} kills: {len(ticks)} due runs, {noted.total()} effects, {len(unknown)} told as unknown")
