"""The templates that come with Homeport, on a host as it is installed."""

from __future__ import annotations

from pathlib import Path
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


async def test_invoices_come_into_columns_again_and_again(house: Any) -> None:
    house.replies("7; 2026-11-01; Roof Ltd; 120.50; EUR")
    await house.host.call("files__write", {"path": "workspace/invoices/roof.txt", "content": "Invoice 7, 120.50 EUR"})
    [graph] = [r["graph"] for r in (await house.call("workflow_templates"))["rows"] if r["name"].startswith("Invoice")]
    await house.call("workflow_save", graph=graph)
    for _ in range(2):
        row = await house.done(graph["name"], parameters={"type": "txt"})
        assert (row.state, row.answer) == ("completed", "1 invoices are in workspace/invoices/invoices.xlsx.")
    sheet = await house.host.call("files__read", {"path": "workspace/invoices/invoices.xlsx"})
    assert "Number | Date | Supplier | Total | Currency" in sheet["text"]
    assert sheet["text"].count("7 | 2026-11-01 | Roof Ltd | 120.50 | EUR") == 1
    row = await house.done(graph["name"], parameters={"type": "pdf"})
    assert row.answer == "There are no pdf files in workspace/invoices."


async def test_a_folder_is_read_into_the_knowledge_base_after_a_dry_run(house: Any, tmp_path: Path) -> None:
    [graph] = [r["graph"] for r in (await house.call("workflow_templates"))["rows"] if r["name"].startswith("Folder")]
    await house.call("workflow_save", graph=graph)
    dry = await house.done(graph["name"], dry=True, parameters={"folder": "/nowhere"})
    assert (dry.state, dry.error) == ("completed", None)
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "roof.md").write_text("The roof is tight.", "utf-8")
    await house.call("add_folder", path=str(folder))
    row = await house.done(graph["name"], parameters={"folder": str(folder)})
    assert row.state == "completed"
    assert "roof" in row.answer
