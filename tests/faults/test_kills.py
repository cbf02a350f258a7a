"""kill -9 of the host at random moments of indexing, of runs with tool calls, and of writes: nothing lost or doubled.

All three go on at once, so each kill hits all of them. The effects are noted by a third party's server in a file of
its own, which knows nothing of ledgers.
"""

from __future__ import annotations

import os
import random
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.patience import PATIENCE

from homeport.connection import call as use
from homeport_rag.server import build_server
from homeport_shared.folders import is_temporary
from homeport_shared.testing.clients import connected
from homeport_shared.testing.model import Recorded, Reply, Script, call, on

KILLS = int(os.environ.get("HOMEPORT_KILLS", "3"))  # how often; `make soak` can ask for more
CALLS, DOCUMENTS = 8, 15
pytestmark = [pytest.mark.anyio, pytest.mark.faults, pytest.mark.timeout(120 + 30 * KILLS)]


def next_call(request: Recorded) -> Reply:
    """Note one line more; the text tells run and step."""
    return Reply(calls=[call("ledger__append", text=f"{request.question} step {request.step}")], delay=0.02)


def write_documents(folder: Path, number: int) -> None:
    folder.mkdir(exist_ok=True)
    for each in range(DOCUMENTS):
        lines = [f"Paragraph {line} of document {number}-{each}.\n" for line in range(60)]
        (folder / f"note {number}-{each}.md").write_text(f"# Note {number}-{each}\n\n" + "\n".join(lines))


def content_of(name: str) -> str:
    return f"{name}\n" * 4_000


class Storm:
    """What goes on while the host is killed."""

    def __init__(self, machine: Any, folder: Path, written: Path, effects: Path) -> None:
        self.machine, self.folder, self.written, self.effects = machine, folder, written, effects
        self.runs: dict[str, str] = {}
        self.tried: set[str] = set()
        self.acknowledged: set[str] = set()
        self.asked: dict[str, bool] = {}

    async def settle(self, client: Any) -> None:
        """Let all runs end; a person who is asked about a call of unknown fate looks what has happened, and says."""

        async def ended() -> bool:
            for hold in (await use(client, "homeport__list_approvals"))["approvals"]:
                text = hold["arguments"]["text"]
                assert "not known" in hold["reason"], hold
                self.asked[text] = text in self.effects.read_text().splitlines()
                await use(client, "homeport__decide_approval", approval_id=hold["id"], approve=not self.asked[text])
            runs = (await use(client, "homeport__list_runs", limit=200))["runs"]
            return all(run["state"] in {"completed", "failed", "cancelled"} for run in runs)

        await self.machine.eventually(ended)

    async def round(self, number: int, moment: float) -> None:
        """Let everything begin, and kill the host at `moment`, seconds after that."""
        write_documents(self.folder, number)
        try:
            async with self.machine.client() as client, anyio.create_task_group() as tasks:
                tasks.start_soon(self._index, client)
                for each in ("a", "b"):
                    tasks.start_soon(self.ask, client, f"{number}{each}")
                tasks.start_soon(self._write, client, number)
                await anyio.sleep(moment)  # the moment is what the test is about
                self.machine.kill()
                tasks.cancel_scope.cancel()
        except* Exception:  # whatever the connection says when its other end is gone
            if self.machine.host is not None:
                raise

    async def ask(self, client: Any, key: str) -> None:
        """Start a run; done again with the same key, it must be the same run."""
        started = await use(
            client, "homeport__run_start", prompt=f"storm {key}", model="ollama/qwen3:8b",
            yes=["ledger__append"], idempotency_key=key,
        )  # fmt: skip
        assert self.runs.setdefault(key, started["run_id"]) == started["run_id"], "a run was lost"

    async def _index(self, client: Any) -> None:
        await use(client, "homeport__add_folder", path=str(self.folder))

    async def _write(self, client: Any, number: int) -> None:
        for each in range(1_000):
            name = f"written {number}-{each}.log"
            self.tried.add(name)
            await use(client, "files__write", path=f"written/{name}", content=content_of(name))
            self.acknowledged.add(name)


async def test_nothing_is_lost_or_doubled_by_kills_at_random_moments(machine: Any, tmp_path: Path) -> None:
    folder, written, effects = tmp_path / "docs", tmp_path / "written", tmp_path / "effects.txt"
    effects.touch()
    machine.model.script = Script.of([on("storm", *[next_call] * CALLS, "All noted.")])
    chance = random.Random(20261121)
    storm = Storm(machine, folder, written, effects)
    for each in (folder, written, machine.home):
        each.mkdir()
    # Its results are the test's own: without this, the second call of a run would be denied as tainted.
    labels = '[host.labels]\nledger__append = ["destructive"]\n'
    (machine.home / "homeport.toml").write_text(f"{labels}[files]\nroots = ['{written}']\n")
    machine.start()
    async with machine.client() as client:
        await machine.add_strange(client, "ledger", "ledger", str(effects))
    for number in range(KILLS):
        if number:
            machine.start()
        await storm.round(number, chance.uniform(0, 2))

    machine.start()
    async with machine.client() as client:
        for number in range(KILLS):
            await storm.ask(client, f"{number}a")
            await storm.ask(client, f"{number}b")
        await storm.settle(client)
        await machine.add_folder(client, folder)
        await check_runs(client, storm)
        check_written(storm)
        await check_documents(client, folder, tmp_path / "untouched")
        assert (await use(client, "homeport__list_audit", verify=True))["broken_at"] is None
    assert machine.stop() == 0
    for file in machine.home.rglob("*.db"):
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",), file


async def check_runs(client: Any, storm: Storm) -> None:
    """Compare what the runs say of their calls with what the other party has noted.

    Lost: a call that was not noted, whatever its run says of it. Doubled: one that was noted twice.
    """
    noted = Counter(storm.effects.read_text().splitlines())
    doubled = [line for line, times in noted.items() if times > 1]
    known = {run["id"] for run in (await use(client, "homeport__list_runs", limit=200))["runs"]}
    assert known == set(storm.runs.values()), "each question has one run"
    lost: list[str] = []
    for key, run in storm.runs.items():
        row = await use(client, "homeport__run_get", run_id=run)
        assert (row["state"], row["answer"]) == ("completed", "All noted."), row
        events = (await use(client, "homeport__run_events", run_id=run, limit=2000))["events"]
        calls = [event["data"] for event in events if event["kind"] == "call"]
        made = {call["arguments"]["text"]: call for call in calls}  # the last word on each
        for text in (f"storm {key} step {step}" for step in range(CALLS)):
            if not noted[text]:
                lost.append(text)
            assert made[text]["state"] == ("denied" if storm.asked.get(text) else "ok"), made[text]
    happened = sum(storm.asked.values())
    print(
        f"\n{KILLS} kills: {len(storm.runs)} runs, {len(storm.runs) * CALLS} calls, {noted.total()} effects; lost "
        f"{len(lost)}, doubled {len(doubled)}; a person was asked about {len(storm.asked)} ({happened} of them had "
        f"happened); {len(storm.acknowledged)} files acknowledged"
    )
    assert (lost, doubled) == ([], [])
    assert noted.total() == len(storm.runs) * CALLS, "nothing that nobody asked for"
    assert len(storm.asked) <= KILLS * (KILLS + 1), "at each kill at most one call of each of the runs begun by then"


def check_written(storm: Storm) -> None:
    """No file is torn. What a killed writer had not finished may stay beside them for an hour, hidden by its name."""
    found = {path.name: path.read_text() for path in storm.written.iterdir() if not is_temporary(path.name)}
    assert all(found[name] == content_of(name) for name in found)
    assert len(list(storm.written.iterdir())) - len(found) <= KILLS, "at most one of each kill"
    assert storm.acknowledged <= found.keys() <= storm.tried


async def check_documents(client: Any, folder: Path, elsewhere: Path) -> None:
    """What was indexed through all kills is what an undisturbed server indexes."""

    async def documents(client: Any, server: str = "") -> tuple[Counter[str], int]:
        found, cursor = Counter[str](), ""
        while True:
            page = await use(client, f"{server}list_documents", collection="default", cursor=cursor)
            found.update(one["title"] for one in page["documents"])
            if not (cursor := page["next_cursor"]):
                break
        known = (await use(client, f"{server}stats"))["collections"]
        return found, next(one["chunks"] for one in known if one["name"] == "default")

    async with connected(build_server, "rag", elsewhere, flags={"folders": [str(folder)]}) as alone:
        job = await use(alone, "sync_folder", path=str(folder))
        with anyio.fail_after(PATIENCE):
            while (await use(alone, "jobs", job_id=job["id"]))["jobs"][0]["state"] not in {"done", "completed"}:
                await anyio.sleep(0.05)
        expected = await documents(alone)
    assert len(expected[0]) == KILLS * DOCUMENTS
    assert await documents(client, "rag__") == expected
