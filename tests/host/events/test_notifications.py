"""Whom events are told to."""

from __future__ import annotations

from typing import Any

import pytest

from homeport_host.agents.runs import Run, RunStore
from homeport_host.database import Database
from homeport_host.events.bus import EventBus
from homeport_host.events.notifications import Notifications
from homeport_shared.changes import ChangeBus
from homeport_shared.errors import HomeportError
from homeport_shared.events import Event

pytestmark = pytest.mark.anyio


@pytest.fixture
async def kept(database: Database, bus: EventBus, clock: Any, tasks: Any) -> Notifications:
    store = RunStore(database)
    for run, tags in (("r1", []), ("dry", ["dry run"])):
        await store.add(Run(run, "ask", "", "", "Look.", "", "running", store.now(), title="Look at it", tags=tags))
    return Notifications(tasks, database, bus, ChangeBus(), clock, long_run_seconds=600)


async def raised(bus: EventBus, kind: str, run: str, source: str = "homeport", /, **data: Any) -> None:
    await bus.publish(Event(kind, f"run://{run}", {"kind": "ask", **data}), source=source, cause=run)
    await bus.drain()


async def test_a_chosen_task_tells_its_moments_to_who_chose_them(kept: Notifications, bus: EventBus) -> None:
    assert await kept.watch("r1", "ann", ["waiting", "failed"]) == ["failed", "waiting"]
    await kept.watch("r1", "bob", ["completed"])
    await raised(bus, "run.waiting", "r1", waits_for="time")  # it goes on by itself
    for state in ("waiting", "completed"):
        await raised(bus, f"run.{state}", "r1")
    await raised(bus, "run.failed", "r1", title="Look at it", detail="The model is away.")
    found, unread = await kept.list("ann")
    assert [(each.level, each.title, each.text, each.link) for each in found] == [
        ("error", "Look at it", "The model is away.", "/tasks/r1"),
        ("warn", "Look at it", "It waits for you.", "/tasks/r1"),
    ]
    assert unread == 2
    assert [each.text for each in (await kept.list("bob"))[0]] == ["It is done."]
    assert await kept.list("") == ([], 0)
    await kept.watch("r1", "ann", [])
    await raised(bus, "run.waiting", "r1")
    assert (await kept.list("ann"))[1] == 2 and await kept.watched("r1", "bob") == ["completed"]
    with pytest.raises(HomeportError, match="There is no task"):
        await kept.watch("r9", "ann", ["failed"])


async def test_the_end_of_a_long_task_a_failed_job_and_a_failed_step_are_told(
    kept: Notifications, bus: EventBus
) -> None:
    await raised(bus, "run.completed", "r1", seconds=599.9, title="Short")
    await raised(bus, "run.completed", "r1", seconds=600.0, title="Long")
    await raised(bus, "run.completed", "r1", seconds=900.0, title="Of a program", owner="client:x")
    job = {"job": "j", "name": "Digest", "run": "sched-j-1", "state": "failed", "detail": "No mail."}
    await raised(bus, "job.failed", "", "scheduler", notify=False, **job)
    await raised(bus, "job.failed", "", "scheduler", notify=True, **job)
    for run in ("dry", "r1"):
        await raised(bus, "workflow.node_failed", run, node="send", error={"message": "Refused."})
    await raised(bus, "alert.raised", "", metric="disk", value=0.97, limit=0.9)
    assert [(each.title, each.text, each.link) for each in (await kept.list(""))[0]] == [
        ("Something needs attention", "disk is 0.97.", "/events/8"),
        ("Look at it: the step send failed", "Refused.", "/workflow-runs/r1"),
        ("The job Digest failed", "No mail.", "/automation"),
        ("Long", "It is done.", "/tasks/r1"),
    ]


async def test_notifications_are_marked_one_by_one_or_all_by_their_owner_only(
    kept: Notifications, bus: EventBus
) -> None:
    for user in ("ann", "bob"):
        await kept.watch("r1", user, ["completed"])
    for _ in range(3):
        await raised(bus, "run.completed", "r1")
    (first, *_), _ = await kept.list("ann")
    assert await kept.mark("ann", [first.id]) == 1
    assert [len((await kept.list(user, unread=True))[0]) for user in ("ann", "bob")] == [2, 3]
    assert await kept.mark("bob", [first.id]) == 0
    assert await kept.mark("ann", [first.id], read=False) == 1
    assert await kept.mark("ann") == 3
    assert [(await kept.list(user))[1] for user in ("ann", "bob")] == [0, 3]
