"""Events of real servers in a real host: what they start, what people see of them, and how they are asked for."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest
from tests.patience import PATIENCE

from homeport_host.governance.calls import Caller
from homeport_host.host import Host, open_host
from homeport_shared.errors import HomeportError
from homeport_shared.events import Event
from homeport_shared.identity import Identity

pytestmark = pytest.mark.anyio
GRAPH = {
    "name": "Note",
    "start": "write",
    "variables": {"path": {"type": "text", "required": True}},
    "nodes": {
        "write": {
            "kind": "tool",
            "tool": "files__write",
            "arguments": {"path": "workspace/noted.txt", "content": "{{ path }}", "overwrite": True},
            "next": "end",
        },
        "end": {"kind": "end", "result": "noted {{ path }}"},
    },
}


@pytest.fixture
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Host]:
    async with open_host(tmp_path_factory.mktemp("home")) as host:
        with anyio.fail_after(PATIENCE):
            while not {"files", "scheduler"} <= {each.name for each in host.upstreams.all() if each.state == "ready"}:
                await anyio.sleep(0.05)
        yield host


async def own(host: Host, tool: str, **arguments: Any) -> dict[str, Any]:
    return await host.call(f"homeport__{tool}", arguments)


async def read(host: Host, uri: str) -> dict[str, Any]:
    found = await host.dispatcher.read_resource(Caller("person", "test"), uri)
    return json.loads(found["contents"][0]["text"])


async def chain_of(host: Host, kind: str, states: set[str]) -> dict[str, Any]:
    """Return the newest event of a kind with its chain, once all that it started is in one of these states."""
    with anyio.fail_after(PATIENCE):
        while True:
            if rows := (await own(host, "find_events", kinds=kind))["rows"]:
                found = await own(host, "get_event", event=rows[-1]["seq"])
                now = {row["state"] for row in found["chain"]["deliveries"] if row["subscription"]}
                if now and now <= states:
                    return found
            await anyio.sleep(0.05)


async def test_a_written_file_starts_a_workflow_and_a_job_and_one_id_leads_to_their_results(host: Host) -> None:
    saved = await own(host, "workflow_save", graph=GRAPH)
    await own(host, "workflow_activate", workflow=saved["id"])
    action = {"tool": "files__info", "arguments": {"path": "{{event.data.path}}"}}
    await host.call("scheduler__add_job", {"definition": {"name": "Look at it", "action": action}})
    where = {"data.path": "*.md"}
    for name, start in (
        ("Note new ones", {"workflow": "Note", "parameters": {"path": "{{event.data.path}}"}}),
        ("Look at new ones", {"job": "Look at it"}),
    ):
        definition = {"name": name, "kind": "file.created", "where": where, "start": start}
        await own(host, "save_subscription", definition=definition)
    tried = await own(host, "event_try", kind="file.created", data={"path": "a.md"})
    assert [(row["would_start"], row["input"]) for row in tried["rows"]][1] == (
        True, {"workflow": "Note", "parameters": {"path": "a.md"}},
    )  # fmt: skip
    other = await own(host, "event_try", kind="file.created", data={"path": "a.txt"})
    assert [row["would_start"] for row in other["rows"]] == [False, False]
    await host.call("files__write", {"path": "workspace/x.md", "content": "hello"})
    found = await chain_of(host, "file.created", {"completed"})
    assert found["event"]["source"] == "files"
    deliveries = {row["name"]: row for row in found["chain"]["deliveries"] if row["name"]}
    assert {row["event"] for row in deliveries.values()} == {found["event"]["seq"]}
    results = {row["id"]: row["answer"] for row in found["chain"]["runs"]}
    assert results[deliveries["Note new ones"]["run"]] == "noted workspace/x.md"
    assert "x.md" in results[deliveries["Look at new ones"]["run"]]
    happened = [event["kind"] for event in found["chain"]["events"]]
    assert happened[0] == "file.created" and {"run.completed", "job.completed"} <= {*happened}
    noted = next(event for event in found["chain"]["events"] if event["data"].get("path") == "workspace/noted.txt")
    assert noted["cause"] == deliveries["Note new ones"]["run"], "what the workflow wrote belongs to the same chain"
    row = await host.runs.get(deliveries["Note new ones"]["run"])
    assert row.origin == "event"
    again = {"replay_id": "r", "events": [found["event"]["seq"]], "subscription": "Note new ones"}
    assert (await own(host, "event_replay", **again))["new"] == 1
    assert (await own(host, "event_replay", **again))["new"] == 0
    listed = (await read(host, "events://subscriptions"))["rows"]
    assert [(row["name"], row["starts"], row["enabled"]) for row in listed] == [
        ("Look at new ones", "job Look at it", True), ("Note new ones", "workflow Note", True),
    ]  # fmt: skip
    assert (await read(host, f"events://{found['event']['seq']}"))["event"] == found["event"]
    assert (await read(host, "events://recent"))["events"][0]["seq"] == (await host.events.latest(1))[0].seq
    kinds = {row["kind"] for row in (await read(host, "events://statistics"))["kinds"]}
    assert "file.created" in kinds and (await read(host, "events://types"))["rows"][0]["schema"]["required"] == ["path"]


async def test_a_failed_job_and_a_failed_step_are_notifications(host: Host) -> None:
    action = {"tool": "files__read", "arguments": {"path": "workspace/none.txt"}}
    await host.call("scheduler__add_job", {"definition": {"name": "Read", "action": action}})
    await host.call("scheduler__run_job", {"job": "Read"})
    node = {"kind": "tool", **action, "next": "end"}
    graph = {"name": "Broken", "start": "read", "nodes": {"read": node, "end": {"kind": "end", "result": ""}}}
    saved = await own(host, "workflow_save", graph=graph)
    run = (await own(host, "workflow_try", workflow=saved["id"], dry=False))["run_id"]
    await own(host, "notify_me", run_id=run, moments=["failed"])
    with anyio.fail_after(PATIENCE):
        while (found := await read(host, "notifications://recent"))["unread"] < 3:
            await anyio.sleep(0.05)
    assert {each["title"] for each in found["notifications"]} == {
        "The job Read failed", "Broken: the step read failed", "Broken",
    }  # fmt: skip
    assert {"none.txt" in each["text"] for each in found["notifications"]} == {True}
    assert (await own(host, "mark_notifications"))["changed"] == 3
    assert (await own(host, "list_notifications", unread=True)) == {"notifications": [], "unread": 0}


async def test_a_task_that_waits_for_a_person_raises_an_event_and_so_does_the_decision(host: Host) -> None:
    nodes = {"ask": {"kind": "approval", "question": "Go on?", "next": "end"}, "end": {"kind": "end", "result": "on"}}
    saved = await own(host, "workflow_save", graph={"name": "Ask", "start": "ask", "nodes": nodes})
    run = (await own(host, "workflow_try", workflow=saved["id"], dry=False))["run_id"]
    with anyio.fail_after(PATIENCE):
        while not (found := (await own(host, "find_events", kinds="run.waiting"))["rows"]):
            await anyio.sleep(0.05)
        assert [(row["cause"], row["correlation"]) for row in found] == [(run, run)]
        while not (held := await host.approvals.list()):
            await anyio.sleep(0.05)
        await host.call("homeport__decide_approval", {"approval_id": held[0].id, "approve": True})
        while (await host.runs.get(run)).state != "completed":
            await anyio.sleep(0.05)
        await host.events.drain()
    told = {row["kind"] for row in (await own(host, "find_events", correlation=run))["rows"]}
    assert told >= {"run.waiting", "approval.requested", "approval.decided", "run.completed"}


async def test_only_a_person_writes_subscriptions_and_raises_events(host: Host) -> None:
    agent = Caller("chat", "assistant", Identity(agent="helper"))
    definition = {"name": "Mine", "kind": "a.b", "start": {"prompt": "Delete all."}}
    for tool, arguments in (("save_subscription", {"definition": definition}), ("event_emit", {"kind": "a.b"})):
        assert (await host.dispatcher.call_tool(agent, f"homeport__{tool}", arguments))["isError"]
    with pytest.raises(HomeportError, match="may not raise"):
        await own(host, "event_emit", kind="run.completed", data={"kind": "ask"})
    await own(host, "event_emit", kind="report.wanted", data={"day": 1})
    [row] = (await own(host, "find_events", kinds="report.*"))["rows"]
    assert (row["source"], row["data"]) == ("tool:person", {"day": 1})
    for start, why in (({"job": "None"}, "There is no job"), ({"workflow": "None"}, "There is no workflow")):
        with pytest.raises(HomeportError, match=why):
            await own(host, "save_subscription", definition={"name": "Wrong", "kind": "a.b", "start": start})
    with pytest.raises(HomeportError, match="No model is chosen"):
        await own(host, "save_subscription", definition=definition)


async def test_a_server_cannot_speak_for_another(host: Host) -> None:
    await host.events.source("rag").publish(Event("mail.received", "mail://1", {"account": "a"}))
    await host.events.drain()
    [row] = (await own(host, "find_events", kinds="event.refused"))["rows"]
    assert row["data"] == {
        "kind": "mail.received", "source": "rag",
        "reason": "rag may not raise mail.received. Events of your own are named otherwise, such as a.b.",
    }  # fmt: skip
    assert (await own(host, "event_statistics"))["since_start"]["refused"] == 1
    assert 'homeport_events{what="refused"} 1' in await host.metrics()
