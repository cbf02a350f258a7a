"""Automations with a model: drafts that a person saves, and the ways in which a workflow is started."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.patience import PATIENCE

from homeport_host.agents.runs import Run
from homeport_host.engine.protocol import FINAL
from homeport_host.events.drafting import drafted
from homeport_host.governance.calls import Caller
from homeport_host.host import Host, open_host
from homeport_shared.errors import HomeportError
from homeport_shared.events import Event
from homeport_shared.identity import Identity
from homeport_shared.testing.model import ModelDouble, on

pytestmark = [pytest.mark.anyio]
JOB = {"job": {"name": "Digest", "trigger": {"cron": "0 18 * * *"}, "action": {"tool": "files__list"}}}
SUBSCRIPTION = {
    "subscription": {
        "name": "Bills",
        "kind": "mail.received",
        "where": {"data.subject": "*bill*"},
        "start": {"prompt": "Sum up {{event.data.subject}}."},
    }
}
WRONG = {"subscription": {"name": "Wrong", "kind": "mail.exploded", "start": {"prompt": "x"}}}
GRAPH = {
    "name": "Greet",
    "start": "end",
    "variables": {"who": {"type": "text", "default": "you"}},
    "nodes": {"end": {"kind": "end", "result": "Hello {{ who }}"}},
}


async def own(host: Host, tool: str, **arguments: Any) -> dict[str, Any]:
    return await host.call(f"homeport__{tool}", arguments)


async def ended(host: Host, run: str) -> Run:
    with anyio.fail_after(PATIENCE):
        while (row := await host.runs.get(run)).state not in FINAL:
            await anyio.sleep(0.02)
    return row


async def opened(host: Host) -> None:
    with anyio.fail_after(PATIENCE):
        while any(host.routing.tool(name) is None for name in ("scheduler__add_job", "files__list")):
            await anyio.sleep(0.02)


async def test_a_sentence_becomes_a_checked_draft_that_only_a_person_saves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = [
        on("every evening", f"```json\n{json.dumps(JOB)}\n```"),
        on("a bill", json.dumps(SUBSCRIPTION)),
        on("explodes", json.dumps(WRONG)),
    ]
    async with ModelDouble(script, default="I cannot.") as double:
        monkeypatch.setenv("OLLAMA_HOST", double.ollama_url)
        (tmp_path / "homeport.toml").write_text('[models]\ndefault = "ollama/qwen3:8b"\n', "utf-8")
        async with open_host(tmp_path) as host:
            await opened(host)

            async def draft(sentence: str) -> dict[str, Any]:
                started = await own(host, "automation_draft", sentence=sentence)
                row = await ended(host, started["run_id"])
                with pytest.raises(HomeportError, match="The draft is running"):
                    drafted(replace(row, state="running"))
                return await own(host, "automation_drafted", **started)

            job = await draft("List my files every evening.")
            assert job == {**JOB, "problems": []}
            subscription = await draft("Tell me when a bill comes.")
            assert subscription == {**SUBSCRIPTION, "problems": []}
            assert "no type of event" in (await draft("When mail explodes"))["problems"][0]
            with pytest.raises(HomeportError, match="The draft is no JSON"):
                await draft("Fly to the moon")
            assert (await host.call("scheduler__list_jobs", {}))["jobs"] == []
            assert (await own(host, "list_subscriptions"))["rows"] == []
            await host.call("scheduler__add_job", {"definition": job["job"]})
            saved = await own(host, "save_subscription", definition=subscription["subscription"])
            assert saved["enabled"]
            with pytest.raises(HomeportError, match="drafted nothing"):
                await own(host, "automation_drafted", run_id=await host.runs.start("Hello"))


async def test_a_workflow_is_started_in_every_way_and_the_run_says_by_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ModelDouble(default="Hello") as double:
        monkeypatch.setenv("OLLAMA_HOST", double.ollama_url)
        (tmp_path / "homeport.toml").write_text('[models]\ndefault = "ollama/qwen3:8b"\n', "utf-8")
        async with open_host(tmp_path) as host:
            await opened(host)
            await own(host, "workflow_activate", workflow=(await own(host, "workflow_save", graph=GRAPH))["id"])
            await own(host, "workflow_run", workflow="Greet", parameters={"who": "user"})
            for who in (Caller("client", "cursor"), Caller("chat", "assistant", Identity(agent="assistant", run="r1"))):
                name = "client" if who.kind == "client" else "agent"
                arguments = {"workflow": "Greet", "parameters": {"who": name}}
                assert not (await host.dispatcher.call_tool(who, "homeport__workflow_run", arguments)).get("isError")
            for who, trigger in (("schedule", {"every": "1s"}), ("sensor", {"event": "webhook.*"})):
                action = {"workflow": "Greet", "arguments": {"who": who}}
                definition = {"name": who, "trigger": trigger, "action": action}
                await host.call("scheduler__add_job", {"definition": definition})
            start = {"workflow": "Greet", "parameters": {"who": "event"}}
            for kind in ("mail.received", "file.created", "run.completed", "report.wanted"):
                where = {"data.agent": "assistant"} if kind == "run.completed" else {}
                definition = {"name": kind, "kind": kind, "where": where, "start": start}
                await own(host, "save_subscription", definition=definition)
            await raise_all(host)
            wanted = {"user", "client", "agent", "schedule", "sensor", "event"}
            with anyio.fail_after(PATIENCE):
                while True:
                    rows = (await own(host, "list_runs", kind="workflow", limit=200))["runs"]
                    found = {(row["answer"].removeprefix("Hello "), row["origin"]) for row in rows if row["answer"]}
                    counts = [row["counts"] for row in (await own(host, "list_subscriptions"))["rows"]]
                    if {who for who, _ in found} == wanted and all(counts):
                        break
                    await anyio.sleep(0.05)
            assert found == {
                ("user", "user"), ("client", "client"), ("agent", "agent"), ("schedule", "schedule"),
                ("sensor", "event"), ("event", "event"),
            }  # fmt: skip


async def raise_all(host: Host) -> None:
    """Let a mail come, a file appear, a task end, something of one's own happen, and a webhook be called."""
    mail = {"account": "home", "folder": "INBOX", "sender": "ann@x", "subject": "Hi"}
    await host.events.publish(Event("mail.received", "mail://1", mail), source="mail")
    await host.events.publish(Event("webhook.build", "event://x", {"ok": True}))
    await host.call("files__write", {"path": "workspace/new.txt", "content": "x"})
    await own(host, "event_emit", kind="report.wanted")
    await own(host, "run_start", prompt="Greet them")
