"""What the scheduler orders from the host: durable runs under the policy for jobs, and the host's events."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.patience import PATIENCE

from homeport_host.governance.calls import Caller
from homeport_host.host import Host, open_host
from homeport_shared.errors import HomeportError
from homeport_shared.events import Event
from homeport_shared.gateway import Order
from homeport_shared.identity import Identity

pytestmark = pytest.mark.anyio
AGENT = Caller("chat", "assistant", Identity(agent="helper"))
DIARY = Path(__file__).parents[2] / "ledger.py"


@pytest.fixture
async def host(tmp_path: Path) -> AsyncGenerator[Host]:
    async with open_host(tmp_path) as host:
        yield host


@pytest.fixture
async def with_diary(tmp_path: Path) -> AsyncGenerator[Host]:
    """A host with a third-party server whose tool says nothing about itself: it counts as destructive."""
    entry = {"command": sys.executable, "args": [str(DIARY), str(tmp_path / "wiped")]}
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"diary": entry}}), "utf-8")
    async with open_host(tmp_path) as host:
        with anyio.fail_after(PATIENCE):
            while host.routing.tool("diary__wipe") is None:
                await anyio.sleep(0.05)
        yield host


async def add(host: Host, name: str, tool: str = "", arguments: Any = None, **fields: Any) -> dict[str, Any]:
    action = {"tool": tool, "arguments": arguments or {}} if tool else fields.pop("action")
    definition = {"name": name, "action": action, **fields}
    return (await host.call("scheduler__add_job", {"definition": definition}))["job"]


async def ended(host: Host, job: str, count: int = 1) -> list[dict[str, Any]]:
    """Return the newest runs of a job once that many have ended."""
    with anyio.fail_after(PATIENCE):
        while True:
            runs = (await host.call("scheduler__list_runs", {"job": job}))["runs"]
            if sum(run["state"] not in {"queued", "running"} for run in runs) >= count:
                return runs
            await anyio.sleep(0.05)


async def test_a_job_is_a_run_of_the_host_with_the_same_state_and_result(host: Host) -> None:
    await add(host, "List", "files__list", {"path": ""}, trigger={"every": "1s"}, overlap="queue")
    run = next(run for run in await ended(host, "List") if run["finished"])
    assert run["state"] == "completed"
    row = await host.runs.get(run["host_run"])
    assert (row.title, row.origin, row.tags) == ("List", "schedule", ["automation"])
    assert (row.id, row.kind, row.state, row.prompt) == (run["id"], "job", "completed", 'files__list {"path": ""}')
    assert row.answer[:300] == run["detail"]
    assert "workspace" in row.answer
    listed = (await host.call("homeport__list_runs", {}))["runs"]
    assert run["id"] in {each["id"] for each in listed}
    assert await host.busy(), "the host stays while there are jobs"
    with pytest.raises(HomeportError, match="Run its job again"):
        await host.steering.act(run["id"], "retry")


async def test_a_job_may_take_back_able_changes_that_it_names_and_the_audit_log_shows_it(host: Host) -> None:
    written = {"path": "workspace/a.txt", "content": "hello", "overwrite": True}
    await add(host, "Write", "files__write", written)
    await host.call("scheduler__run_job", {"job": "Write"})
    [run] = await ended(host, "Write")
    assert run["state"] == "completed", run
    rows = await host.audit.latest(50, run=run["id"])
    assert {row["target"] for row in rows} == {"files__write"}
    assert rows[0]["decision"] == "allow: approved/reversible/job"


@pytest.mark.slow
async def test_what_cannot_be_taken_back_needs_a_person_who_saved_exactly_that(
    with_diary: Host, tmp_path: Path
) -> None:
    host, wipe = with_diary, ("diary__wipe", {"day": "Monday"})
    await add(host, "By a person", *wipe)
    definition = {"name": "By an agent", "action": {"tool": wipe[0], "arguments": wipe[1]}}
    result = await host.dispatcher.call_tool(AGENT, "scheduler__add_job", {"definition": definition})
    assert result["structuredContent"]["job"]["owner"] == "agent:helper"
    outcomes = {}
    for name in ("By a person", "By an agent"):
        await host.call("scheduler__run_job", {"job": name})
        [run] = await ended(host, name)
        outcomes[name] = run["category"]
    assert outcomes == {"By a person": "", "By an agent": "denied"}
    # An agent that starts or changes a person's job gets no more by it than it may itself.
    await host.dispatcher.call_tool(AGENT, "scheduler__run_job", {"job": "By a person"})
    assert (await ended(host, "By a person", 2))[0]["category"] == "denied"
    assert (tmp_path / "wiped").read_text("utf-8") == "Monday\n"
    changes = {"action": {"tool": wipe[0], "arguments": {"day": "Tuesday"}}}
    edited = await host.dispatcher.call_tool(AGENT, "scheduler__edit_job", {"job": "By a person", "changes": changes})
    assert not edited["structuredContent"]["job"]["agreed"]


@pytest.mark.slow
async def test_a_job_has_read_what_the_agent_that_made_it_has_read(with_diary: Host) -> None:
    host = with_diary
    labels = frozenset({"reads-private", "untrusted-content"})
    tainted = Caller("chat", "assistant", Identity(agent="helper", run="run-that-read"))
    await host.dispatcher._taints.mark("run-that-read", labels)
    definition = {
        "name": "Leak",
        "action": {
            "tool": "scheduler__validate_job",
            "arguments": {"definition": {"name": "x", "action": {"event": "a.b"}}},
        },
    }  # which brings nothing in itself
    await host.dispatcher.call_tool(tainted, "scheduler__add_job", {"definition": definition})
    await host.call("scheduler__run_job", {"job": "Leak"})
    [run] = await ended(host, "Leak")
    assert run["state"] == "completed"
    assert await host.dispatcher._taints.is_tainted(run["host_run"])
    await host.call("scheduler__edit_job", {"job": "Leak", "changes": {"description": "A person looked at it."}})
    await host.call("scheduler__run_job", {"job": "Leak"})
    run = (await ended(host, "Leak", 2))[0]
    assert not await host.dispatcher._taints.is_tainted(run["host_run"])


async def test_an_agents_task_without_a_model_is_refused_when_it_is_saved(host: Host) -> None:
    with pytest.raises(HomeportError, match="No model is chosen"):
        await add(host, "Ask", action={"prompt": "Say hello."})
    with pytest.raises(HomeportError, match="only for a person"):
        await add(host, "Sneak", "files__add_root", {"folder": "/"})
    with pytest.raises(HomeportError, match="There is no tool"):
        await add(host, "Fly", "files__fly")


async def test_an_event_of_the_host_starts_a_job_with_the_event_as_input(host: Host) -> None:
    action = {"tool": "files__write", "arguments": {"path": "workspace/log.txt", "content": "{{event.data.path}}"}}
    await add(host, "Log", trigger={"event": "file.created", "where": {"data.path": "*.md"}}, action=action)
    await host.events.publish(
        Event("file.created", "files://workspace/x.md", {"path": "workspace/x.md"}), source="files"
    )
    await host.events.publish(
        Event("file.created", "files://workspace/x.txt", {"path": "workspace/x.txt"}), source="files"
    )
    [run] = await ended(host, "Log")
    assert (run["cause"], run["state"]) == ("event", "completed")
    assert (await host.call("files__read", {"path": "workspace/log.txt"}))["text"] == "workspace/x.md"
    with anyio.fail_after(PATIENCE):
        while "job.completed" not in {event.kind for event in await host.events.latest(20)}:
            await anyio.sleep(0.05)


async def test_the_same_order_is_carried_out_once_and_a_stopped_one_says_so(host: Host) -> None:
    written = {"path": "workspace/once.txt", "content": "1", "overwrite": True}
    order = Order("sched-x-1", "Once", "files__write", written, stated=written, agreed=True)
    first, second = await host.orders.carry_out(order), await host.orders.carry_out(order)
    assert first == second
    history = await host.call("files__history", {"path": "workspace/once.txt"})
    assert len(history["versions"]) == 1
    with pytest.raises(HomeportError, match="There is no tool"):
        await host.orders.carry_out(Order("sched-x-2", "Gone", "files__gone"))
    await host.orders.abandon("sched-never")
