"""The templates that come with Homeport, on a host as it is installed."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.anyio, pytest.mark.subprocess]


async def test_each_template_is_valid_or_names_the_server_it_needs(house: Any) -> None:
    rows = (await house.call("workflow_templates"))["rows"]
    assert len(rows) >= 8
    for row in rows:
        errors = [problem for problem in row["problems"] if problem["level"] == "error"]
        assert all(any(f"the server {server} is" in each["message"] for server in row["needs"]) for each in errors), row
        assert bool(errors) == bool(row["needs"]), (row["name"], errors)
        warnings = [problem for problem in row["problems"] if problem["level"] == "warning"]
        assert warnings == [], row["name"]
    assert {row["name"] for row in rows if row["needs"]} == {"Inbox triage to tasks", "Backup and verify"}


async def test_a_template_becomes_a_workflow_that_runs(house: Any) -> None:
    house.replies("- Ada mends the roof until Friday")
    notes = house.host.home / "workspace" / "notes.md"
    await house.host.call("files__write", {"path": "workspace/notes.md", "content": "Ada: roof, Friday."})
    [graph] = [r["graph"] for r in (await house.call("workflow_templates"))["rows"] if r["name"].startswith("Meet")]
    await house.call("workflow_save", graph=graph)
    run = await house.start(graph["name"], parameters={"notes": "workspace/notes.md"})
    await house.until(run, "waiting", "failed")
    [hold] = (await house.call("list_approvals"))["approvals"]
    await house.call("decide_approval", approval_id=hold["id"], approve=True)
    row = await house.until(run)
    assert (row.state, row.error) == ("completed", None)
    assert notes.with_name("notes.md.actions.md").read_text("utf-8") == "- Ada mends the roof until Friday"
