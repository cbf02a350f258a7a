"""The schedule of a workflow is its job's: whatever changes one changes the other, over MCP, without any page."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from tests.patience import PATIENCE

from homeport_shared.errors import HomeportError

pytestmark = pytest.mark.anyio
NODES = {"end": {"kind": "end", "result": "{{ path }}"}}
PATH = {"path": {"type": "text", "default": "none"}}
NINE = {"cron": "0 9 * * 1-5", "parameters": {"path": "a.txt"}}


async def jobs(house: Any) -> dict[str, dict[str, Any]]:
    """Return the jobs by name, each with its definition."""
    found = {}
    for job in (await house.host.call("scheduler__list_jobs", {"kind": "workflow"}))["jobs"]:
        detail = (await house.host.call("scheduler__get_job", {"job": job["id"]}))["detail"]
        found[job["name"]] = {**detail["definition"], "id": job["id"], "enabled": job["enabled"]}
    return found


async def trigger(house: Any, workflow: str = "Test") -> dict[str, Any]:
    return (await house.call("workflow_get", workflow=workflow))["graph"].get("trigger", {})


async def change(house: Any, name: str, **changes: Any) -> None:
    await house.host.call("scheduler__edit_job", {"job": name, "changes": changes})


async def scheduled(house: Any, **more: Any) -> dict[str, Any]:
    """Save and activate a workflow that runs at nine."""
    with anyio.fail_after(PATIENCE):
        while house.host.routing.tool("scheduler__add_job") is None:
            await anyio.sleep(0.05)
    saved = await house.save(NODES, "end", variables=PATH, **{"trigger": NINE, **more})
    await house.call("workflow_activate", workflow=saved["id"])
    return saved


async def test_a_change_in_either_place_shows_in_the_other(house: Any) -> None:
    saved = await house.save(NODES, "end", variables=PATH, trigger=NINE)
    assert await jobs(house) == {}, "a draft gets its job when it is activated"
    await house.call("workflow_activate", workflow=saved["id"])
    [(name, job)] = (await jobs(house)).items()
    assert (name, job["trigger"]["cron"], job["action"]["arguments"], job["enabled"]) == (
        "Test", "0 9 * * 1-5", {"path": "a.txt"}, True,
    )  # fmt: skip

    await change(house, "Test", retries=3, trigger={"every": "2h"})
    assert await trigger(house) == {"every": "2h", "parameters": {"path": "a.txt"}}
    [row] = (await house.call("list_workflows"))["rows"]
    assert row["trigger"] == await trigger(house)
    assert (await house.call("workflow_export", workflow="Test"))["trigger"] == row["trigger"]
    start = (await jobs(house))["Test"]["trigger"]["start"]

    graph = (await house.call("workflow_get", workflow="Test"))["graph"]
    await house.call("workflow_save", workflow="Test", graph={**graph, "description": "said"})
    job = (await jobs(house))["Test"]
    assert (job["trigger"]["start"], job["retries"]) == (start, 3), "what was not changed stays"
    without = {name: value for name, value in graph.items() if name != "trigger"}
    await house.call("workflow_save", workflow="Test", graph=without)
    assert await trigger(house) == {"every": "2h", "parameters": {"path": "a.txt"}}, "it said nothing of it"

    event = {"event": "file.created", "where": {"data.path": "*.pdf"}, "parameters": {"path": "{{event.data.path}}"}}
    saved = await house.call("workflow_save", workflow="Test", graph={**graph, "name": "Renamed", "trigger": event})
    assert [each for each in saved["problems"] if each["field"] == "trigger"] == []
    job = (await jobs(house))["Renamed"]
    assert (job["trigger"]["event"], job["trigger"]["every"], job["retries"]) == ("file.created", "", 3)
    assert job["action"]["workflow"] == "Renamed" and job["enabled"]
    assert await trigger(house, "Renamed") == event

    await house.call("workflow_save", workflow="Renamed", graph={**graph, "name": "Renamed", "trigger": NINE})
    assert await trigger(house, "Renamed") == NINE
    await house.call("workflow_save", workflow="Renamed", graph={**graph, "name": "Renamed", "trigger": event})
    await house.call("workflow_save", workflow="Renamed", graph={**graph, "name": "Renamed", "trigger": {}})
    assert await jobs(house) == {} and await trigger(house, "Renamed") == {}
    back = await house.host.call("scheduler__change_jobs", {"names": [job["id"]], "action": "restore"})
    assert back["failed"] == [] and await trigger(house, "Renamed") == event, "the job is there again, off"
    await house.host.call("scheduler__change_jobs", {"names": ["Renamed"], "action": "delete"})
    assert await trigger(house, "Renamed") == {}


async def test_a_draft_has_its_job_off_and_gets_back_the_schedule_that_it_had_last(house: Any) -> None:
    await scheduled(house)
    await change(house, "Test", trigger={"cron": "0 10 * * *"})
    await house.call("workflow_activate", workflow="Test", active=False)
    assert not (await jobs(house))["Test"]["enabled"]
    with pytest.raises(HomeportError, match="is a draft"):
        await house.host.call("scheduler__edit_job", {"job": "Test", "changes": {"enabled": True}})
    on = await house.host.call("scheduler__change_jobs", {"names": ["Test"], "action": "enable"})
    assert on["changed"] == [] and "is a draft" in on["failed"][0]
    await change(house, "Test", trigger={"cron": "0 11 * * *"})
    assert (await trigger(house))["cron"] == "0 11 * * *"
    graph = (await house.call("workflow_get", workflow="Test"))["graph"]
    await house.call("workflow_save", workflow="Test", graph={**graph, "trigger": {**NINE, "cron": "0 12 * * *"}})
    await house.call("workflow_activate", workflow="Test")
    job = (await jobs(house))["Test"]
    assert job["enabled"] and job["trigger"]["cron"] == "0 12 * * *"

    copy = await house.call("workflow_duplicate", workflow="Test")
    assert (await trigger(house, copy["id"]))["cron"] == "0 12 * * *" and len(await jobs(house)) == 1
    await house.host.call("scheduler__change_jobs", {"names": ["Test"], "action": "delete"})
    await house.call("workflow_activate", workflow="Test", active=False)
    await house.call("workflow_activate", workflow="Test")
    assert await jobs(house) == {}, "a schedule that was ended does not come back"

    await house.call("workflow_activate", workflow=copy["id"])
    assert set(await jobs(house)) == {"Test (copy)"}
    broken = {
        **graph,
        "name": "Test (copy)",
        "nodes": {"end": {"kind": "tool", "tool": "ledger__lost"}},
        "start": "end",
    }
    await house.call("workflow_save", workflow=copy["id"], graph=broken)
    assert not (await jobs(house))["Test (copy)"]["enabled"], "with errors it is a draft"
    await house.call("workflow_delete", workflow=copy["id"], confirm="Test (copy)")
    assert await jobs(house) == {}


async def test_a_schedule_that_cannot_be_is_told_and_the_workflow_is_saved(house: Any) -> None:
    await scheduled(house)
    graph = (await house.call("workflow_get", workflow="Test"))["graph"]
    saved = await house.call("workflow_save", workflow="Test", graph={**graph, "trigger": {"cron": "61 9 * * *"}})
    [problem] = [each for each in saved["problems"] if each["field"] == "trigger"]
    assert "61 9 * * *" in problem["message"] and saved["version"] == 2
    assert (await trigger(house))["cron"] == NINE["cron"], "what counts is what its job has"


async def test_a_trigger_that_cannot_be_is_said_before_anything_starts_by_it(house: Any) -> None:
    graph = {"name": "Test", "start": "end", "trigger": {"cron": "61 9 * * *"}, "nodes": {"end": {"kind": "end"}}}
    refused = await house.call("workflow_import", document=graph)
    assert (refused["id"], [each["field"] for each in refused["problems"]]) == ("", ["trigger"])
    assert "Bad minute" in (await house.call("workflow_check", graph=graph))["rows"][0]["message"]
    draft = await house.call("workflow_save", graph=graph)
    assert "Bad minute" in draft["problems"][0]["message"]


async def test_a_sample_event_shows_what_would_start_with_which_input(house: Any) -> None:
    given = {"path": "{{event.data.path}}"}
    waits = {"event": "file.created", "where": {"data.path": "*.pdf"}, "parameters": given}
    await scheduled(house, trigger=waits)
    start = {"workflow": "Test", "parameters": given}
    await house.call("save_subscription", definition={"name": "Other", "kind": "file.*", "start": start})

    async def tried(path: str) -> list[tuple[str, bool, Any]]:
        rows = (await house.call("event_try", kind="file.created", data={"path": path}))["rows"]
        return [(row["name"], row["would_start"], row["input"]) for row in rows]

    filled = {"workflow": "Test", "parameters": {"path": "a.pdf"}}
    assert await tried("a.pdf") == [("Other", True, filled), ("Test", True, filled)]
    assert (await tried("a.txt"))[1] == ("Test", False, None), "its filter leaves this one out"
    await house.call("workflow_activate", workflow="Test", active=False)
    assert (await tried("a.pdf"))[1] == ("Test", False, filled), "a draft would not start"
    assert (await house.call("list_runs"))["runs"] == [], "nothing was started"
    await house.call("delete_subscription", subscription="Other")
