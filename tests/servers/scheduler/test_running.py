"""What runs when: policies, pauses, retries, limits, dependencies, events; and what is told about it."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from tests.patience import PATIENCE

from homeport_shared.errors import HomeportError
from homeport_shared.gateway import Happened
from homeport_shared.testing.clock import SetClock

from .conftest import START, Desk, Works, opened

pytestmark = pytest.mark.anyio


async def started(desk: Desk, count: int) -> None:
    """Wait until `count` orders were begun."""
    with anyio.fail_after(PATIENCE):
        while len(desk.works.done) < count:
            await anyio.sleep(0.01)


@pytest.mark.parametrize(
    ("trigger", "kind"),
    [
        ({"cron": "30 8 * * *"}, "cron"),
        ({"every": "20m"}, "interval"),
        ({"at": "2026-11-02T08:20"}, "date"),
        ({"event": "job.completed", "where": {"data.name": "Before"}}, "event"),
        ({}, "manual"),
    ],
)
async def test_each_kind_of_trigger_starts_a_job(desk: Desk, trigger: dict[str, object], kind: str) -> None:
    job = await desk.add("Look", trigger=trigger)
    assert job["trigger"] == kind
    await desk.add("Before")
    await desk.pass_time(minutes=31)
    if kind in {"event", "manual"}:
        assert (await desk.call("list_runs", job="Look"))["runs"] == []
        await desk.call("run_job", job="Before" if kind == "event" else "Look")
    [run] = await desk.runs(1, job="Look")
    assert (run["state"], run["cause"]) == ("completed", kind if kind in {"event", "manual"} else "schedule")


async def test_a_due_job_runs_once_and_its_result_is_in_the_history(desk: Desk) -> None:
    await desk.add("Look", trigger={"cron": "0 9 * * *"})
    await desk.pass_time(hours=1)
    [run] = await desk.runs(1)
    assert (run["state"], run["cause"], run["detail"], run["host_run"]) == (
        "completed", "schedule", "did files__list", "run-1",
    )  # fmt: skip
    assert run["id"].endswith("-20261102T090000Z")
    await desk.pass_time(seconds=1)
    assert len(desk.works.done) == 1
    [row] = (await desk.call("list_jobs"))["jobs"]
    assert (row["last_state"], row["next"][:10]) == ("completed", "2026-11-03")


@pytest.mark.parametrize(
    ("missed", "runs"), [("skip", ["skipped"]), ("once", ["completed"]), ("all", ["completed"] * 3)]
)
async def test_runs_missed_while_off_follow_the_jobs_policy(tmp_path: Path, missed: str, runs: list[str]) -> None:
    clock = SetClock(START)
    async with opened(tmp_path, clock=clock) as desk:
        await desk.add("Look", trigger={"cron": "30 * * * *"}, missed=missed, missed_most=3)
    clock.at += timedelta(hours=6)
    async with opened(tmp_path, clock=clock) as desk:
        found = await desk.runs(len(runs))
        assert [run["state"] for run in found] == runs
        assert found[-1]["planned"] == "2026-11-02T13:30:00.000Z"


@pytest.mark.parametrize(("overlap", "begun"), [("", 1), ("skip", 1), ("queue", 1), ("allow", 2)])
async def test_a_run_that_comes_while_one_is_under_way_follows_the_jobs_policy(
    desk: Desk, overlap: str, begun: int
) -> None:
    desk.works.hold = anyio.Event()
    await desk.add("Slow", trigger={"every": "1m"}, overlap=overlap)
    await desk.pass_time(minutes=1)
    await started(desk, 1)
    await desk.pass_time(minutes=1)
    await started(desk, begun)
    assert len(desk.works.done) == begun
    desk.works.hold.set()
    states = [run["state"] for run in await desk.runs(2)]
    assert states == ["completed", "skipped" if overlap in {"", "skip"} else "completed"]


async def test_of_events_that_come_while_a_run_is_under_way_none_is_lost(desk: Desk) -> None:
    desk.works.hold = anyio.Event()
    await desk.add("News", action={"event": "news.there"})
    await desk.add("Read", trigger={"event": "news.there"})
    for number in range(1, 4):
        await desk.call("run_job", job="News")
        await desk.runs(number, job="News")
    await started(desk, 1)
    desk.works.hold.set()
    assert [run["state"] for run in await desk.runs(3, job="Read")] == ["completed"] * 3


async def test_a_failed_run_is_tried_again_with_growing_pauses_then_told(desk: Desk) -> None:
    desk.works.fail = [HomeportError("unavailable", "It is down.") for _ in range(3)]
    await desk.add("Shaky", trigger={"at": "2026-11-02T09:00"}, retries=2, back_off=60)
    await desk.pass_time(hours=1)
    await started(desk, 1)
    await desk.runs(1, state="queued")
    for number, seconds in ((2, 60), (3, 120)):
        await desk.pass_time(seconds=seconds - 1)
        assert len(desk.works.done) == number - 1
        await desk.pass_time(seconds=1)
        await started(desk, number)
        await desk.runs(1, state="queued" if number < 3 else "failed")
    [run] = await desk.runs(1)
    assert (run["state"], run["category"], run["attempt"], run["detail"]) == ("failed", "unavailable", 3, "It is down.")
    whole = (await desk.call("get_run", run_id=run["id"]))["run"]
    assert [attempt["error"] for attempt in whole["attempts"]] == ["It is down."] * 2
    assert len({order.id for order in desk.works.done}) == 3
    [told] = [event for event in desk.told.events if event.kind == "job.failed"]
    assert told.data["notify"]
    assert (await desk.call("status"))["status"]["failing"] == ["Shaky"]


async def test_what_policy_refuses_is_not_tried_again(desk: Desk) -> None:
    desk.works.fail = [HomeportError("denied", "A job may not do that.")]
    await desk.add("Wild", retries=5)
    await desk.call("run_job", job="Wild")
    [run] = await desk.runs(1)
    assert (run["state"], run["attempt"], run["category"]) == ("failed", 1, "denied")


async def test_a_run_over_its_time_limit_is_stopped_and_says_so(desk: Desk) -> None:
    desk.works.hold = anyio.Event()
    await desk.add("Long", timeout=1)
    run_id = (await desk.call("run_job", job="Long"))["run_id"]
    [run] = await desk.runs(1)
    assert (run["state"], run["category"]) == ("failed", "timeout")
    assert "longer than its 1 s" in run["detail"]
    assert desk.works.abandoned == [run_id]


async def test_a_run_is_stopped_on_demand(desk: Desk) -> None:
    desk.works.hold = anyio.Event()
    await desk.add("Long")
    run_id = (await desk.call("run_job", job="Long"))["run_id"]
    await started(desk, 1)
    await desk.call("stop_run", run_id=run_id)
    [run] = await desk.runs(1)
    assert run["state"] == "cancelled"
    assert desk.works.abandoned == [run_id]


async def test_an_event_that_is_handed_over_starts_a_job_once_under_its_key(desk: Desk) -> None:
    await desk.add("Look", action={"tool": "files__read", "arguments": {"path": "{{event.data.path}}"}})
    handed = {"job": "Look", "event": {"kind": "file.created", "data": {"path": "a.pdf"}}, "key": "event-1"}
    assert await desk.call("start_job", **handed) == await desk.call("start_job", **handed)
    [run] = await desk.runs(1)
    assert (run["state"], run["cause"]) == ("completed", "event")
    [order] = desk.works.done
    assert order.arguments == {"path": "a.pdf"}


async def test_run_now_starts_any_job_and_a_pause_keeps_every_state_over_a_restart(tmp_path: Path) -> None:
    clock = SetClock(START)
    async with opened(tmp_path, clock=clock) as desk:
        await desk.add("Hourly", trigger={"cron": "0 * * * *"})
        await desk.call("pause")
        assert (await desk.call("status"))["status"]["state"] == "paused"
    async with opened(tmp_path, clock=clock) as desk:
        await desk.pass_time(hours=3, minutes=30)
        assert (await desk.call("status"))["status"]["state"] == "paused"
        assert desk.works.done == []
        await desk.call("run_job", job="Hourly")
        [manual] = await desk.runs(1)
        assert manual["cause"] == "manual"
        await desk.call("pause", paused=False)
        await desk.pass_time(minutes=30)
        runs = await desk.runs(2)
        assert runs[-1]["planned"] == "2026-11-02T12:00:00.000Z"


async def test_a_disabled_job_keeps_its_schedule_and_goes_on_when_enabled(desk: Desk) -> None:
    await desk.add("Hourly", trigger={"cron": "0 * * * *"})
    await desk.call("change_jobs", names=["Hourly"], action="disable")
    await desk.pass_time(hours=2)
    await desk.call("change_jobs", names=["Hourly"], action="enable")
    assert desk.works.done == []
    await desk.pass_time(hours=1)
    assert [run["planned"][11:16] for run in await desk.runs(1)] == ["11:00"]


async def test_limits_hold_and_the_most_urgent_waits_least(tmp_path: Path) -> None:
    works = Works(hold=anyio.Event())
    async with opened(tmp_path, works, max_concurrent=3, max_tools=2) as desk:
        for name, priority in (("a", "low"), ("b", "critical"), ("c", "normal"), ("d", "high")):
            await desk.add(name, trigger={"cron": "0 9 * * *"}, priority=priority)
        await desk.add("talk", trigger={"cron": "0 9 * * *"}, action={"prompt": "Say hello."})
        await desk.pass_time(hours=1)
        await started(desk, 3)
        assert Counter(order.title for order in works.done) == Counter(["b", "d", "talk"])
        assert len(await desk.runs(2, state="queued")) == 2
        assert works.hold
        works.hold.set()
        await desk.runs(5)


async def test_a_job_waits_until_those_before_it_have_succeeded(desk: Desk) -> None:
    await desk.add("Fetch", trigger={"cron": "5 9 * * *"})
    await desk.add("Index", trigger={"cron": "0 9 * * *"}, after=["Fetch"])
    await desk.pass_time(hours=1, minutes=1)
    await desk.runs(1, state="queued", job="Index")
    assert (await desk.call("get_job", job="Index"))["detail"]["after"] == [{"name": "Fetch", "state": "never"}]
    await desk.pass_time(minutes=5)
    runs = await desk.runs(2)
    assert [order.title for order in desk.works.done] == ["Fetch", "Index"]
    assert {run["state"] for run in runs} == {"completed"}


@pytest.mark.parametrize(("on_failed", "state"), [("skip", "skipped"), ("run", "completed"), ("wait", "queued")])
async def test_a_failed_job_before_it_is_handled_as_configured(desk: Desk, on_failed: str, state: str) -> None:
    desk.works.fail = [HomeportError("unavailable", "It is down.")]
    await desk.add("Fetch")
    await desk.call("run_job", job="Fetch")
    await desk.runs(1)
    await desk.add("Index", trigger={"cron": "0 9 * * *"}, after=["Fetch"], on_failed=on_failed)
    await desk.pass_time(hours=1)
    [run] = await desk.runs(1, job="Index", state=state)
    assert (run["category"] == "dependency") == (state == "skipped")


@pytest.mark.parametrize(("ends", "runs"), [("completed", True), ("failed", False), ("gone", False)])
async def test_a_job_waits_for_a_task_of_the_host_and_its_failure_is_handled(desk: Desk, ends: str, runs: bool) -> None:
    desk.works.tasks["run://t1"] = "running"
    definition = {"name": "Index", "action": {"tool": "files__list"}, "after": ["run://t2"]}
    assert "There is no task 'run://t2' to come after" in await desk.refused("add_job", definition=definition)
    await desk.add("Index", trigger={"cron": "0 9 * * *"}, after=["run://t1"], on_failed="skip")
    await desk.pass_time(hours=1)
    await desk.runs(1, state="queued")
    assert (await desk.call("get_job", job="Index"))["detail"]["after"] == [{"name": "run://t1", "state": "running"}]
    desk.works.tasks["run://t1"] = ends
    await desk.pass_time(seconds=1)
    [run] = await desk.runs(1, state="completed" if runs else "skipped")
    assert runs or run["detail"] == f"What it comes after did not succeed: run://t1 ({ends})."


async def test_jitter_delays_a_run_within_its_bounds(desk: Desk) -> None:
    await desk.add("Spread", trigger={"cron": "0 9 * * *"}, jitter=600)
    await desk.pass_time(hours=1)
    assert desk.works.done == []
    await desk.pass_time(seconds=600)
    await desk.runs(1)


async def test_an_event_starts_a_job_once_and_fills_its_blanks(tmp_path: Path) -> None:
    event = Happened(7, "2026-11-02T07:59:00.000Z", "mail.received", "mail://1", {"from": "Ann@x.org", "subject": "Hi"})
    other = Happened(8, "2026-11-02T07:59:00.000Z", "mail.received", "mail://2", {"from": "bob@x.org"})
    works = Works(feed=[event, other])
    async with opened(tmp_path) as desk:
        action = {
            "tool": "tasks__add",
            "arguments": {"title": "Answer {{event.data.subject}}", "mail": "{{event.data}}"},
        }
        trigger = {"event": "mail.*", "where": {"data.from": ["ann@*", "eve@*"]}}
        await desk.add("Answer", trigger=trigger, action=action)
    for _ in range(2):  # the same events again, as after a crash before the cursor was stored
        async with opened(tmp_path, works) as desk:
            [run] = await desk.runs(1)
            assert run["cause"] == "event"
            whole = (await desk.call("get_run", run_id=run["id"]))["run"]
            assert whole["event"]["subject"] == "mail://1"
    [order] = works.done
    assert order.arguments == {"title": "Answer Hi", "mail": event.data}
    assert order.stated == action["arguments"]


async def test_a_job_is_started_by_the_end_of_another_and_a_circle_of_events_ends(desk: Desk) -> None:
    await desk.add("Ping", trigger={"event": "job.completed", "where": {"data.name": "Pong"}}, overlap="allow")
    await desk.add("Pong", trigger={"event": "job.completed", "where": {"data.name": "Ping"}}, overlap="allow")
    await desk.call("run_job", job="Ping")
    with anyio.fail_after(PATIENCE):
        while not (await desk.call("list_runs", state="skipped"))["runs"]:
            await anyio.sleep(0.02)
    [skipped] = (await desk.call("list_runs", state="skipped"))["runs"]
    assert skipped["category"] == "circle"
    assert 2 < len(desk.works.done) < 12


async def test_a_timer_emits_an_event_that_others_wait_for(desk: Desk) -> None:
    await desk.add(
        "Timer", trigger={"cron": "0 9 * * *"}, action={"event": "report.wanted", "arguments": {"kind": "day"}}
    )
    await desk.add("Write", trigger={"event": "report.wanted", "where": {"data.kind": "day"}})
    await desk.pass_time(hours=1)
    await desk.runs(1, job="Write")
    assert [order.title for order in desk.works.done] == ["Write"]
    assert "report.wanted" in {event.kind for event in desk.told.events}
    seen = await desk.call("preview", trigger={"event": "report.*"}, past_days=7)
    assert [event["data"]["kind"] for event in seen["events"]] == ["day"]


async def test_an_agent_gets_the_event_with_its_task(desk: Desk) -> None:
    await desk.add("Timer", action={"event": "news.there", "arguments": {"title": "Rain"}})
    await desk.add("Sum up", trigger={"event": "news.*"}, action={"agent": "writer", "prompt": "Sum this up."})
    await desk.call("run_job", job="Timer")
    await desk.runs(1, job="Sum up")
    [order] = desk.works.done
    assert (order.agent, order.prompt.splitlines()[0]) == ("writer", "Sum this up.")
    assert '"Rain"' in order.prompt


async def test_a_clock_that_is_put_back_or_forward_loses_and_doubles_nothing(desk: Desk) -> None:
    await desk.add("Minute", trigger={"cron": "* * * * *"}, missed="all", missed_most=100, overlap="queue")
    await desk.pass_time(minutes=5)
    await desk.runs(5)
    await desk.pass_time(hours=-1)  # the same instants come again
    with anyio.fail_after(PATIENCE):
        while (await desk.call("list_jobs"))["jobs"][0]["next"] != "2026-11-02T07:06:00.000Z":
            await anyio.sleep(0.01)  # it was seen
    await desk.pass_time(minutes=57)
    await desk.pass_time(minutes=8)
    planned = [run["planned"] for run in await desk.runs(65, limit=200)]  # type: ignore[arg-type]
    assert len(set(planned)) == 65
    assert min(planned) == "2026-11-02T07:06:00.000Z"


async def test_the_history_is_searched_filtered_and_forgotten_in_time(desk: Desk) -> None:
    desk.works.fail = [HomeportError("unavailable", "The printer is down.")]
    await desk.add("Print")
    await desk.call("run_job", job="Print")
    await desk.runs(1)
    await desk.call("run_job", job="Print")
    await desk.runs(2)
    assert [run["state"] for run in (await desk.call("list_runs", query="printer"))["runs"]] == ["failed"]
    assert len((await desk.call("list_runs", job="Print", limit=1))["runs"]) == 1
    assert (await desk.call("list_runs", since="2026-11-03"))["runs"] == []
    figures = (await desk.call("get_job", job="Print"))["detail"]["figures"]
    assert figures["runs"] == {"completed": 1, "failed": 1}
    await desk.pass_time(days=91)
    assert (await desk.call("list_runs"))["runs"] == []


async def test_settings_take_effect_in_the_running_scheduler(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        await desk.add("Hourly", trigger={"cron": "0 * * * *"})
        (tmp_path / "homeport.toml").write_text("[scheduler]\nenabled = false\n", encoding="utf-8")
        await desk.pass_time(hours=2)
        assert desk.works.done == []
        status = (await desk.call("status"))["status"]
        assert (status["state"], status["why"]) == ("paused", "Off by its settings.")
        (tmp_path / "homeport.toml").write_text("[scheduler]\nenabled = true\nmax_tools = 1\n", encoding="utf-8")
        await desk.pass_time(seconds=1)
        await desk.runs(1)


async def test_changes_are_told_as_resources_and_shown_by_them(desk: Desk) -> None:
    heard: set[str] = set()
    async with desk.client.listen(resource_subscriptions=["scheduler://jobs", "scheduler://status"]) as news:
        await desk.add("Look")
        await desk.call("run_job", job="Look")
        with anyio.fail_after(PATIENCE):
            async for change in news:
                heard.add(str(change.uri))
                if len(heard) == 2:
                    break
    await desk.runs(1)
    [row] = (await desk.read("scheduler://jobs"))["jobs"]
    assert row["last_state"] == "completed"
    assert (await desk.read(f"scheduler://jobs/{row['id']}"))["recent"][0]["id"] == row["last_run"]
    assert (await desk.read(f"scheduler://runs/{row['last_run']}"))["state"] == "completed"
    status = await desk.read("scheduler://status")
    assert (status["state"], status["day"]["runs"]) == ("running", {"completed": 1})
    assert (await desk.read("scheduler://runs"))["runs"][0]["name"] == "Look"
