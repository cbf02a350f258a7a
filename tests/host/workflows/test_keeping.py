"""Workflows kept: versions, copies, import and export, what is made of tasks, who starts them, and what they tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import pytest
from tests.patience import PATIENCE

from homeport_host.governance.calls import Caller
from homeport_host.workflows.making import suggested
from homeport_host.workflows.task import KIND
from homeport_shared.errors import HomeportError
from homeport_shared.testing.model import call

pytestmark = [pytest.mark.anyio, pytest.mark.subprocess]
END = {"end": {"kind": "end", "result": "{{ word }}"}}
WORD = {"word": {"type": "text", "default": "one"}}


@pytest.mark.slow
async def test_versions_are_compared_rolled_back_copied_and_deleted(house: Any) -> None:
    first = await house.save(END, "end", variables=WORD)
    second = await house.call(
        "workflow_save",
        graph={**first["graph"], "variables": {"word": {"type": "text", "default": "two"}}},
        workflow="Test",
        note="two",
        expected_version=1,
    )
    assert second["version"] == 2
    with pytest.raises(HomeportError, match="has version 2 by now"):
        await house.call("workflow_save", graph=first["graph"], workflow="Test", expected_version=1)
    with pytest.raises(HomeportError, match="already"):
        await house.save(END, "end", variables=WORD)
    [change] = (await house.call("workflow_versions", workflow="Test", before=1))["rows"]
    assert (change["place"], change["before"], change["after"]) == ("variables.word.default", "one", "two")
    await house.call("workflow_rollback", workflow="Test", version=1)
    assert [row["note"] for row in (await house.call("workflow_versions", workflow="Test"))["rows"]] == [
        "version 1 again", "two", ""]  # fmt: skip
    assert (await house.done()).answer == "one"
    assert (await house.done(version=2)).answer == "two"
    await house.call("workflow_duplicate", workflow="Test")
    rows = (await house.call("list_workflows"))["rows"]
    assert [row["name"] for row in rows] == ["Test", "Test (copy)"]
    assert (rows[0]["version"], rows[0]["last_run"]["state"], rows[0]["steps"]) == (3, "completed", 1)
    with pytest.raises(HomeportError, match="does not repeat"):
        await house.call("workflow_delete", workflow="Test (copy)", confirm="yes")
    await house.call("workflow_delete", workflow="Test (copy)", confirm="Test (copy)")
    statistics = (await house.call("workflow_get", workflow="Test"))["statistics"]
    assert (statistics["runs"], statistics["completed"], statistics["success"]) == (2, 2, 1.0)
    assert statistics["slowest"][0]["node"] == "end"


async def test_what_goes_out_comes_in_equal_and_what_is_missing_is_told_first(house: Any) -> None:
    await house.save({**END, "end": {**END["end"], "position": [10, 20]}}, "end", variables=WORD)
    document = await house.call("workflow_export", workflow="Test")
    await house.call("workflow_delete", workflow="Test", confirm="Test")
    brought = await house.call("workflow_import", document=document)
    assert await house.call("workflow_export", workflow=brought["id"]) == document
    document = {**document, "nodes": {"end": {"kind": "tool", "tool": "mail__send", "arguments": {}}}}
    refused = await house.call("workflow_import", document=document)
    assert (refused["id"], refused["problems"][0]["node"]) == ("", "end")
    assert "the server mail is missing" in refused["problems"][0]["message"]
    assert (await house.call("workflow_import", document=document, anyway=True))["id"]
    with pytest.raises(HomeportError, match="cannot run: end: There is no tool"):
        await house.start("Test 2")
    with pytest.raises(HomeportError, match="cannot run"):
        await house.call("workflow_activate", workflow="Test 2")
    problems = (await house.call("workflow_check", graph=document))["rows"]
    assert problems == refused["problems"]


async def test_a_task_becomes_a_workflow_as_one_step_or_call_by_call(house: Any) -> None:
    house.replies(call("ledger__look", words=["x"]), "The word is x.")
    run = (await house.call("run_start", prompt="Look it up", title="Look"))["run_id"]
    assert (await house.until(run)).state == "completed"
    made = await house.call("workflow_from_task", run_id=run)
    assert made["problems"] == []
    await house.call("workflow_save", graph=made["graph"])
    assert (await house.done("Look")).answer == "The word is x."
    calls = await house.call("workflow_from_task", run_id=run, name="Calls", how="calls")
    await house.call("workflow_save", graph=calls["graph"])
    row = await house.done("Calls")
    assert (await house.steps(row.id))["result"]["output"] == {"words": ["x"]}


async def test_a_sentence_becomes_a_graph_that_is_checked(house: Any) -> None:
    graph = '{"name": "S", "start": "a", "nodes": {"a": {"kind": "tool", "tool": "ledger__lost"}}}'
    house.replies(f"```json\n{graph}\n```")
    run = (await house.call("workflow_suggest", sentence="Do something"))["run_id"]
    row = await house.until(run)
    assert row.state == "completed"
    made = await house.call("workflow_from_task", run_id=run)
    assert "There is no tool 'ledger__lost'" in made["problems"][0]["message"]
    with pytest.raises(HomeportError, match="no graph"):
        suggested(replace(row, answer="I cannot do that."))
    with pytest.raises(HomeportError, match="no JSON"):
        suggested(replace(row, answer="{nodes}"))


async def test_a_job_starts_an_active_workflow_and_its_event_is_there(house: Any) -> None:
    nodes = {
        "note": {"kind": "tool", "tool": "ledger__note", "arguments": {"word": "{{ word }}"}, "next": "wipe"},
        "wipe": {"kind": "tool", "tool": "ledger__wipe", "arguments": {"day": "{{ word }}"}, "catch": "end"},
        "end": {"kind": "end", "result": "{{ trigger.kind }}: {{ error.code }}"},
    }
    await house.save(nodes, "note", variables=WORD)
    action = {"workflow": "Test", "arguments": {"word": "{{event.data.word}}"}}
    job = {"name": "On it", "trigger": {"event": "it.came"}, "action": action}
    told = await house.host.call("scheduler__validate_job", {"definition": job})
    assert any("is a draft" in each for each in (*told["problems"], *told["warnings"])), told
    await house.call("workflow_activate", workflow="Test")
    await house.host.call("scheduler__add_job", {"definition": job})
    emit = {"name": "Emit", "action": {"event": "it.came", "arguments": {"word": "came"}}}
    await house.host.call("scheduler__add_job", {"definition": emit})
    await house.host.call("scheduler__run_job", {"job": "Emit"})
    with anyio.fail_after(PATIENCE):
        while not (runs := (await house.call("list_runs", kind=KIND, tag="automation"))["runs"]):
            await anyio.sleep(0.02)
    row = await house.until(runs[0]["id"])
    # Nobody can be asked: what cannot be taken back is refused, for its argument was not stated by a person.
    assert (row.state, row.origin, row.answer) == ("completed", "event", "it.came: denied")
    assert house.noted() == {"came": 1}


async def test_a_program_runs_an_active_workflow_only_and_follows_it(house: Any) -> None:
    await house.save(END, "end", variables=WORD)
    client = Caller("client", "cursor")

    async def run() -> dict[str, Any]:
        return await house.host.dispatcher.call_tool(client, "homeport__workflow_run", {"workflow": "Test"})

    assert "is a draft" in (await run())["content"][0]["text"]
    await house.call("workflow_activate", workflow="Test")
    run_id = (await run())["structuredContent"]["run_id"]
    row = await house.until(run_id)
    assert (row.origin, row.owner, row.answer) == ("client", "client:cursor", "one")
    refused = await house.host.dispatcher.call_tool(client, "homeport__workflow_save", {"graph": {}})
    assert refused["isError"]
    private = {"name": "Test", "start": "end", "nodes": END, "variables": WORD, "visibility": "private"}
    await house.call("workflow_save", workflow="Test", graph=private)
    assert "There is no workflow" in (await run())["content"][0]["text"]
    listed = await house.host.dispatcher.read_resource(client, "workflows://")
    assert "Test" not in listed["contents"][0]["text"]


async def test_resources_are_twins_of_tools_and_steps_are_events_of_the_run(house: Any) -> None:
    person = Caller("person", "test")
    saved = await house.save(END, "end", variables=WORD)
    row = await house.done()

    async def read(uri: str) -> str:
        return (await house.host.dispatcher.read_resource(person, uri))["contents"][0]["text"]

    assert '"Test"' in await read("workflows://")
    assert '"outline"' in await read(f"workflow://{saved['id']}")
    assert '"discriminator"' in await read("workflows://schema")
    assert "Daily digest" in await read("workflows://templates")
    assert '"end"' in await read(f"run://{row.id}/nodes")
    assert '"success": 1.0' in await read(f"workflow://{saved['id']}/metrics")
    events = [event.data for event in (await house.host.runs.events(row.id))[0] if event.kind == "step"]
    assert [(event["path"], event["state"]) for event in events] == [("end", "completed")]
    await house.call("run_forget", run_ids=[row.id])
    with pytest.raises(HomeportError):
        await house.call("workflow_steps", run_id=row.id)
