"""A process that runs one workflow with a node of each kind and kills itself.

`python crashing.py FOLDER AFTER WHEN [URL]` dies at the AFTER-th record of a step, WHEN = `before` or `after` it is
written, and prints how the run ended when it ends first; URL is a PostgreSQL database instead of SQLite files. Its
tools note what they do in `effects.log`: nothing of Homeport knows that file.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import anyio

sys.path.insert(0, str(Path(__file__).parents[3]))
sys.path.insert(0, str(Path(__file__).parents[1]))
from conftest import Desk, Place, Scripted, Stage
from homeport_host.database import Database
from homeport_host.dialects import parse
from homeport_host.engine.protocol import FINAL
from homeport_host.workflows.journal import Journal, Step
from homeport_shared.errors import HomeportError

RUN = "the-run"
FOUND = {"hits": []}


def note(word: str, following: str = "", **more: Any) -> dict[str, Any]:
    return {"kind": "tool", "tool": "desk__note", "arguments": {"word": word}, "next": following, **more}


KNOWN = {"kind": "timer", "seconds": 0}  # where a branch goes on when a person says that its effect had happened
INNER = {"name": "Inner", "start": "write", "nodes": {"write": note("inner", "end"), "end": {"kind": "end"}}}
GRAPH = {
    "name": "Outer",
    "start": "first",
    "nodes": {
        "first": note("first", "choose"),
        "choose": {"kind": "condition", "choices": [{"when": "first.word == 'first'", "next": "each"}]},
        "each": {"kind": "loop", "over": ["a", "b"], "body": "in_loop", "next": "both"},
        "in_loop": note("loop-{{ item }}"),
        "both": {"kind": "parallel", "branches": ["left", "right"], "next": "all"},
        "left": note("left", "left2", catch="left2"),
        "left2": note("left2", catch="known_left"),
        "known_left": KNOWN,
        "right": note("right", catch="known_right"),
        "known_right": KNOWN,
        "all": {"kind": "map", "over": ["x", "y"], "body": "in_map", "next": "wait"},
        "in_map": note("map-{{ item }}", catch="known"),
        "known": KNOWN,
        "wait": {"kind": "timer", "seconds": 0.01, "next": "find"},
        "find": {"kind": "rag", "query": "roof", "next": "ask"},
        "ask": {"kind": "agent", "prompt": "What?", "next": "sure"},
        "sure": {"kind": "approval", "question": "Go on?", "next": "inner"},
        "inner": {"kind": "workflow", "workflow": "Inner", "next": "undone"},
        "undone": note("to-undo", "fail", undo={"tool": "desk__note", "arguments": {"word": "undone"}}),
        "fail": {"kind": "tool", "tool": "desk__fail", "retry": {"attempts": 2, "seconds": 0}, "next": "end"},
        "end": {"kind": "end"},
    },
}


class Killing(Journal):
    """A journal whose process dies at one of its records."""

    left, when = 0, ""

    async def put(self, run: str, step: Step) -> None:
        Killing.left -= 1
        if Killing.left == 0 and Killing.when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        await super().put(run, step)
        if Killing.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def desk_for(folder: Path) -> Desk:
    def write(word: str) -> dict[str, str]:
        handle = os.open(folder / "effects.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(handle, f"{word}\n".encode())
        os.close(handle)
        return {"word": word}

    def fail() -> str:
        write("fail")
        raise HomeportError("unavailable", "It does not work.")

    desk = Desk()
    desk.add("desk__note", write, "can-be-taken-back", word={"type": "string"})
    desk.add("desk__fail", fail, "can-be-taken-back")
    desk.add("rag__search", lambda query, collections, k: FOUND, query={}, collections={}, k={})
    return desk


async def main(folder: Path, url: str = "") -> None:
    place = Place(parse(url), parse(url)) if url else Place(folder / "host.db", folder / "engine.db")
    database = Database(place.database)
    await database.open()
    desk = desk_for(folder)
    async with anyio.create_task_group() as tasks:
        stage = Stage(folder, place, tasks, database, Scripted(["That."]), desk)
        workflows, library = stage.workflows, stage.workflows.library
        journal = workflows._journal = workflows._means.journal = Killing(database)
        if not await library.store.list():
            await library.save(INNER)
            await library.save(GRAPH)
        await stage.engine.launch()
        await workflows.start("Outer", {}, run=RUN)
        while (row := await stage.runs.get(RUN)).state not in FINAL:
            for hold in await stage.approvals.list():
                # Beside each other a kill may leave the fate of an effect unknown: then the person who is asked looks.
                happened = (folder / "effects.log").read_text().split() if (folder / "effects.log").exists() else []
                await stage.approvals.decide(hold.id, hold.arguments.get("word") not in happened, by="test")
            await anyio.sleep(0.01)
        steps = {step.path: step.state for step in await journal.steps(RUN)}
        sys.stdout.write(json.dumps({"state": row.state, "error": row.error, "steps": steps}) + "\n")
        await stage.engine.aclose()
        tasks.cancel_scope.cancel()
    await database.aclose()


if __name__ == "__main__":
    Killing.left, Killing.when = int(sys.argv[2]), sys.argv[3]
    anyio.run(main, Path(sys.argv[1]), *sys.argv[4:])
