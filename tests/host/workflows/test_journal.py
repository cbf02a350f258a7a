"""Workflows on both databases: what is recorded, refused, resumed and counted."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from homeport_host.database import Database
from homeport_host.workflows.journal import Journal, Step
from homeport_shared.errors import HomeportError

pytestmark = pytest.mark.anyio


async def test_a_record_that_cannot_be_written_raises_what_the_driver_said(place: Any) -> None:
    database = Database(place.database)
    await database.open()
    journal, step = Journal(database), Step("a", "a", "tool", started="2026-11-21T08:00:00Z")
    await journal.put("r", step)
    await database.write(lambda c: c.exec_driver_sql("ALTER TABLE workflow_steps RENAME TO gone") and None)
    with pytest.raises(DBAPIError):
        await journal.put("r", step)
    await database.write(lambda c: c.exec_driver_sql("ALTER TABLE gone RENAME TO workflow_steps") and None)
    assert await journal.steps("r") == [step]
    await database.aclose()


async def test_a_run_is_resumed_and_counted_the_same_on_both_databases(staged: Any, desk: Any) -> None:
    def fail() -> None:
        raise HomeportError("unavailable", "It does not work.")

    desk.add("desk__note", lambda word: {"word": word}, "can-be-taken-back", word={"type": "string"})
    desk.add("desk__fail", fail, "can-be-taken-back")
    graph = {
        "name": "Both",
        "start": "each",
        "variables": {"words": {"type": "list", "default": ["a", "b"]}},
        "nodes": {
            "each": {"kind": "map", "over": "{{ words }}", "body": "note", "next": "sure"},
            "note": {"kind": "tool", "tool": "desk__note", "arguments": {"word": "{{ item }}"}},
            "sure": {"kind": "approval", "question": "Go on?", "next": "fail"},
            "fail": {"kind": "tool", "tool": "desk__fail", "catch": "end"},
            "end": {"kind": "end", "result": "{{ each.count }}: {{ error.code }}"},
        },
    }
    async with staged("Yes.") as stage:
        library = stage.workflows.library
        saved = await library.save(graph)
        await library.save({**graph, "description": "newer"}, workflow="Both", expected=1)
        with pytest.raises(HomeportError, match="version 2 by now"):
            await library.save(graph, workflow="Both", expected=1)
        run = await stage.workflows.start("Both", {})
        await stage.ended(run, "waiting")
    async with staged("Yes.") as stage:
        await stage.ended(run, "waiting")
        [hold] = await stage.approvals.list()
        await stage.approvals.decide(hold.id, True, by="test")
        row = await stage.ended(run)
        assert (row.state, row.answer) == ("completed", "2: unavailable")
        assert [call for call in desk.calls if call[0] == "desk__note"] == [
            ("desk__note", {"word": "a"}),
            ("desk__note", {"word": "b"}),
        ]
        metrics = await stage.workflows.metrics(saved.id)
        assert (metrics["runs"], metrics["success"], metrics["used"]["tool_calls"]) == (1, 1.0, 3)
        assert {each["node"]: each["failed"] for each in metrics["slowest"]}["fail"] == 1
        assert [version.version for version in await stage.workflows.library.store.versions(saved.id)] == [2, 1]
        assert {line.path for line in await stage.workflows.log(run)} > {"", "each[0]/note", "each[1]/note", "sure"}
