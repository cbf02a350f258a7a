"""kill -9 of the host at random moments of indexing, of runs with tool calls, and of writes: nothing lost or doubled.

All three go on at once, so each kill hits all of them. The effects are noted by a third party's server in a file of
its own, which knows nothing of ledgers.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest

from homeport.connection import call as use
from homeport_rag.server import build_server
from homeport_shared.testing.clients import connected
from homeport_shared.testing.model import Recorded, Reply, Script, call, on

pytestmark = [pytest.mark.anyio, pytest.mark.faults]
KILLS, CALLS, DOCUMENTS = 10, 8, 15


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

    def __init__(self, machine: Any, folder: Path, effects: Path) -> None:
        self.machine, self.folder, self.effects = machine, folder, effects
        self.runs: list[str] = []
        self.tried: set[str] = set()
        self.acknowledged: set[str] = set()

    async def round(self, number: int, moment: float) -> None:
        """Let everything begin, and kill the host a while after the first effect of this round."""
        write_documents(self.folder, number)
        before = len(self.effects.read_text().splitlines())
        try:
            async with self.machine.client() as client, anyio.create_task_group() as tasks:
                await use(client, "homeport__add_folder", path=str(self.folder))
                for each in ("a", "b"):
                    started = await use(
                        client, "homeport__run_start", prompt=f"storm {number}{each}", model="ollama/qwen3:8b",
                        yes=["ledger__append"], idempotency_key=f"{number}{each}",
                    )  # fmt: skip
                    self.runs.append(started["run_id"])
                tasks.start_soon(self._write, client, number)

                async def begun() -> bool:
                    return len(self.effects.read_text().splitlines()) > before

                await self.machine.eventually(begun)
                time.sleep(moment)  # the moment is what the test is about
                self.machine.kill()
                tasks.cancel_scope.cancel()
        except* Exception:  # whatever the connection says when its other end is gone
            if self.machine.host is not None:
                raise

    async def _write(self, client: Any, number: int) -> None:
        for each in range(1_000):
            name = f"written {number}-{each}.log"
            self.tried.add(name)
            await use(client, "files__write", path=f"docs/{name}", content=content_of(name))
            self.acknowledged.add(name)


async def test_nothing_is_lost_or_doubled_by_kills_at_random_moments(machine: Any, tmp_path: Path) -> None:
    folder, effects = tmp_path / "docs", tmp_path / "effects.txt"
    effects.touch()
    machine.model.script = Script.of([on("storm", *[next_call] * CALLS, "All noted.")])
    chance = random.Random(20261121)
    storm = Storm(machine, folder, effects)
    folder.mkdir()
    machine.start()
    async with machine.client() as client:
        await machine.add_strange(client, "ledger", "ledger", str(effects))
    for number in range(KILLS):
        if number:
            machine.start()
        await storm.round(number, chance.uniform(0, 0.4))

    machine.start()
    async with machine.client() as client:
        await machine.all_ended(client)
        await machine.add_folder(client, folder)
        await check_runs(client, storm)
        check_written(storm)
        await check_documents(client, folder, tmp_path / "untouched")
        assert (await use(client, "homeport__list_audit", verify=True))["broken_at"] is None
    assert machine.stop() == 0
    for file in machine.home.rglob("*.db"):
        assert sqlite3.connect(file).execute("PRAGMA integrity_check").fetchone() == ("ok",), file


async def check_runs(client: Any, storm: Storm) -> None:
    lines = Counter(storm.effects.read_text().splitlines())
    assert [line for line, times in lines.items() if times > 1] == [], "doubled"
    asked = 0
    for run in storm.runs:
        row = await use(client, "homeport__run_get", run_id=run)
        assert (row["state"], row["answer"]) == ("completed", "All noted."), row
        events = (await use(client, "homeport__run_events", run_id=run, limit=2000))["events"]
        last = {event["data"]["id"]: event["data"] for event in events if event["kind"] == "call"}
        assert len(last) == CALLS
        for made in last.values():
            text = made["arguments"]["text"]
            if made["state"] == "ok":
                assert lines[text] == 1, f"lost: {text}"
            else:
                assert "not known" in made["error"]["message"], made
                assert made["error"]["hint"]
                asked += 1
    print(f"{KILLS} kills, {sum(lines.values())} effects, {asked} of unknown fate")


def check_written(storm: Storm) -> None:
    found = {path.name: path.read_text() for path in storm.folder.glob("written*")}
    assert all(found[name] == content_of(name) for name in found), "no file is torn"
    assert storm.acknowledged <= found.keys() <= storm.tried
    assert list(storm.folder.glob(".*")) == [], "nothing temporary stays"


async def check_documents(client: Any, folder: Path, elsewhere: Path) -> None:
    """What was indexed through all kills is what an undisturbed server indexes."""

    async def documents(client: Any, tool: str) -> Counter[tuple[str, int]]:
        found, cursor = Counter[tuple[str, int]](), ""
        while True:
            page = await use(client, tool, cursor=cursor)
            found.update((one["title"], one["chunks"]) for one in page["documents"])
            if not (cursor := page["next_cursor"]):
                return found

    async with connected(build_server, "rag", elsewhere, flags={"folders": [str(folder)]}) as alone:
        job = await use(alone, "sync_folder", path=str(folder))
        with anyio.fail_after(60):
            while (await use(alone, "jobs", job_id=job["id"]))["jobs"][0]["state"] not in {"done", "completed"}:
                await anyio.sleep(0.05)
        expected = await documents(alone, "list_documents")
    assert len(expected) > KILLS * DOCUMENTS
    assert await documents(client, "rag__list_documents") == expected
