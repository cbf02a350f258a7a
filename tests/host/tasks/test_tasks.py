"""The one list of tasks: what it shows of runs, workflows, jobs of servers and of the scheduler."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import anyio
import pytest
from tests.patience import PATIENCE

from homeport_host.agents.metering import Metered
from homeport_host.agents.progress import Doing, estimate
from homeport_host.agents.runs import PRIORITIES, TYPES, Run, Wanted
from homeport_host.providers.protocol import ModelInfo
from homeport_host.tasks.problems import category_of
from homeport_host.tasks.statistics import bottlenecks, groups, statistics
from homeport_shared import identity
from homeport_shared.errors import HomeportError

pytestmark = pytest.mark.anyio
NOW = "2026-11-21T10:00:00.000Z"


def run_of(name: str = "r", **fields: Any) -> Run:
    begun = {"state": "running", "created": NOW, "started": NOW, "agent": "assistant"}
    given = {**begun, **fields}
    return Run(
        name,
        given.pop("kind", "ask"),
        given.pop("agent"),
        "",
        "",
        "",
        given.pop("state"),
        given.pop("created"),
        **given,
    )


async def shows(stage: Any, run: str, state: str) -> Run:
    return await stage.ended(run, state)


# Types, origins, tags


async def test_a_task_has_a_type_an_origin_and_tags_of_its_own(staged: Any) -> None:
    async with staged("Done.") as stage:
        asked = await stage.ask("Look", priority=2, tags=("mine",))
        job = await stage.ask("Tidy", kind="job", type="file")
        assert (asked.type, asked.origin, asked.own_tags) == ("agent", "user", ["agent", "assistant", "high"])
        assert (job.type, (await stage.ask("Nightly", kind="job")).type) == ("file", "automation")
        assert job.type in TYPES and asked.own_tags[-1] in PRIORITIES

        async def found(**wanted: Any) -> list[str]:
            return [row["title"] for row in (await stage.tasks.list(Wanted(**wanted)))["rows"]]

        assert await found(tag="high") == await found(tag="mine") == ["Look"]
        assert await found(tag="file") == await found(types=("file", "mail")) == ["Tidy"]
        assert await found(tag="assistant", text="LOOK", since=asked.created[:10], states=("completed",)) == ["Look"]
        assert await found(origin="schedule") == []
        filters = await stage.tasks.filters()
        assert filters["used"]["type"] == ["agent", "automation", "file"]
        assert set(filters["states"]) >= {"queued", "running", "waiting", "paused", "completed", "failed", "cancelled"}


async def test_the_list_is_read_in_windows_and_counted(staged: Any) -> None:
    async with staged("Done.") as stage:
        titles = [(await stage.ask(f"Number {n}")).title for n in range(5)][::-1]
        whole = await stage.tasks.list(Wanted())
        assert [row["title"] for row in whole["rows"]] == titles
        window = await stage.tasks.list(Wanted(), offset=2, limit=2)
        assert [row["title"] for row in window["rows"]] == titles[2:4]
        assert (window["total"], window["counts"]) == (5, {"completed": 5})


# Progress


@pytest.mark.parametrize(
    ("doing", "typical", "percent", "basis", "eta"),
    [
        (Doing("x", NOW, steps=3, total=4), None, 75.0, "steps", 10.0),
        (Doing("x", NOW, steps=4, total=4), (9, 99), 95.0, "steps", 0.0),
        (Doing("x", NOW, steps=1, share=0.5), (3, 50.0), 50.0, "earlier runs", 20.0),
        (Doing("x", NOW, steps=9), (3, 20.0), 95.0, "earlier runs", 0.0),
        (Doing("x", NOW, steps=9, used=0.25), None, 25.0, "limits", 90.0),
        (None, (3, 40.0), None, "unknown", 10.0),
    ],
)
def test_progress_is_estimated_from_what_is_known(
    doing: Doing | None, typical: Any, percent: float | None, basis: str, eta: float
) -> None:
    assert estimate(run_of(), doing, typical, 30.0) == {"percent": percent, "basis": basis, "eta_seconds": eta}


def test_only_what_is_completed_is_done_by_100_percent() -> None:
    assert estimate(run_of(state="completed", finished=NOW), None, None, None)["percent"] == 100
    assert estimate(run_of(state="queued", started=""), None, None, None)["percent"] == 0
    assert estimate(run_of(state="failed", finished=NOW), None, None, None)["percent"] is None


async def test_the_progress_of_a_tool_is_the_progress_of_its_run(staged: Any, desk: Any, say: Any, call: Any) -> None:
    reached, go = anyio.Event(), anyio.Event()
    told: list[str] = []

    async def copy(progress: Any) -> str:
        await progress(3, 4, "the third of four")
        reached.set()
        await go.wait()
        return "copied"

    desk.add("disk__copy", lambda: None)
    desk.with_progress["disk__copy"] = copy
    async with staged(say("", call("disk__copy", {})), "Done.") as stage:
        stage.changes.subscribe(lambda event: told.append(str(getattr(event, "uri", event))))
        run = await stage.runs.start("Copy")
        with anyio.fail_after(PATIENCE):
            await reached.wait()
        await stage.recorder.drain()
        progress = (await stage.tasks.get(run))["progress"]
        assert progress["text"] == "disk__copy: the third of four"
        assert progress["basis"] == "limits" and 0 < progress["percent"] < 95
        assert [step["title"] for step in progress["substeps"]] == ["answer 1 of the model", "disk__copy"]
        assert progress["substeps"][1]["state"] == "running"
        assert progress["updated"] and progress["timeline"][0]["text"] == "running"
        assert stage.recorder.doing[run].share == 0.75
        with anyio.fail_after(PATIENCE):
            while not any(f"task://{run}/progress" in uri for uri in told):
                await anyio.sleep(0.01)
        go.set()
        await stage.ended(run)
        progress = (await stage.tasks.get(run))["progress"]
        assert (progress["percent"], progress["text"]) == (100.0, "")
        assert [entry["steps"] for entry in progress["timeline"]] == [0, 1, 2, 3, 3]
        assert run not in stage.recorder.doing


# Resources


async def test_what_a_run_uses_is_measured_for_it_alone(staged: Any, desk: Any, say: Any, call: Any) -> None:
    desk.add("math__grind", lambda: str(sum(n * n for n in range(600_000))))
    async with staged(say("", call("math__grind", {})), "Done.", "Done.") as stage:
        worked = await stage.ask("Grind")
        rested = await stage.ask("Rest")
        assert worked.usage["cpu_seconds"] > rested.usage["cpu_seconds"] >= 0
        assert worked.usage["memory_mib"] > 1
        used = (await stage.tasks.get(worked.id))["resources"]
        assert (used["prompt_tokens"], used["completion_tokens"], used["tool_calls"]) == (20, 10, 1)
        assert used["model_latency_seconds"] is not None
        assert used["with_subtasks"]["prompt_tokens"] == 20
        assert used["gpu_mib"] is None
        local = await stage.ask("Rest", model="ollama/small")
        stage.loaded = [ModelInfo("ollama/small", gpu_bytes=3 << 20)]
        assert (await stage.tasks.details.resources(local))["gpu_mib"] == 3


async def test_only_the_work_itself_is_metered_and_its_end_and_failure_come_through() -> None:
    async def work(fail: bool) -> str:
        await anyio.sleep(0.05)
        if fail:
            raise ValueError("no")
        with anyio.move_on_after(0.01) as scope:
            await anyio.sleep_forever()
        assert scope.cancelled_caught
        return "done"

    metered = Metered(work(False))
    assert (await metered, metered.seconds < 0.05) == ("done", True)
    with pytest.raises(ValueError, match="no"):
        await Metered(work(True))
    task = asyncio.ensure_future(_awaited(Metered(work(False))))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _awaited(metered: Metered[str]) -> str:
    return await metered


async def test_a_blocked_run_and_a_failing_one_hold_up_nobody(staged: Any, desk: Any, say: Any, call: Any) -> None:
    never = anyio.Event()
    desk.add("slow__wait", never.wait)
    desk.add("bad__break", lambda: 1 / 0)
    blocked, broken = say("", call("slow__wait", {})), say("", call("bad__break", {}))
    async with staged(blocked, broken, "Fine.") as stage:
        first = await stage.runs.start("Wait")
        with anyio.fail_after(PATIENCE):
            while not desk.calls:
                await anyio.sleep(0.01)
        assert (await stage.ask("Break")).state == "failed"
        assert (await stage.ask("Answer")).answer == "Fine."
        assert (await stage.runs.get(first)).state == "running"
        await stage.steering.act(first, "cancel")


# What went wrong


async def test_a_failed_task_says_its_category_what_to_try_and_where_it_broke(
    staged: Any, desk: Any, say: Any, call: Any
) -> None:
    desk.add("bad__break", lambda: 1 / 0)
    async with staged(say("", call("bad__break", {}))) as stage:
        run = await stage.ask("Break")
        problem = (await stage.tasks.get(run.id))["problem"]
        assert problem["category"] == category_of("internal")[0]
        assert problem["suggestions"] and "ZeroDivisionError" in problem["trace"]
    async with staged(say("", call("bad__break", {}))) as stage:
        stopped = await stage.ask("Break", limits={"tool_calls": 0, "turns": 1, "seconds": 0.000001})
        problem = (await stage.tasks.get(stopped.id))["problem"]
        assert problem["category"] == "A limit was reached"
        assert problem["suggestions"][0] == stopped.error["hint"]


# Artifacts


async def test_files_links_and_the_answer_are_artifacts_also_of_subtasks(
    staged: Any, desk: Any, say: Any, call: Any
) -> None:
    link = {"type": "resource_link", "uri": "shop://report/1", "name": "Report", "mimeType": "text/csv"}
    desk.add("shop__report", lambda: {"content": [link]})
    changed: dict[str, list[dict[str, str]]] = {}
    desk.add("files__changes", lambda change_set: {"files": changed[change_set]}, change_set={"type": "string"})
    async with staged(say("", call("shop__report", {})), "The report.") as stage:
        run = await stage.ask("Report")
        changed[run.id] = [{"path": "docs/a.csv", "kind": "create"}, {"path": "docs/b.csv", "kind": "delete"}]
        made = (await stage.tasks.get(run.id))["artifacts"]
        assert [(each["kind"], each["name"]) for each in made] == [
            ("file", "a.csv"),
            ("resource", "Report"),
            ("answer", "answer.md"),
        ]
        assert made[1]["mime_type"] == "text/csv" and made[2]["text"] == "The report."


# Subtasks


async def test_subtasks_link_both_ways_and_the_whole_tree_can_be_read(staged: Any, say: Any) -> None:
    async with staged("Done.") as stage:
        top = await stage.ask("Top")
        child = await stage.steering.act(top.id, "retry")
        await stage.ended(child)
        grandchild = await stage.ended(await stage.steering.act(child, "retry"))
        relations = (await stage.tasks.get(child))["relations"]
        assert relations["parent"]["id"] == top.id
        assert [each["id"] for each in relations["children"]] == [grandchild.id]
        tree = await stage.tasks.details.tree(grandchild)
        assert (tree["id"], tree["children"][0]["id"]) == (top.id, child)
        assert tree["children"][0]["children"][0]["id"] == grandchild.id


async def test_a_task_that_an_agent_creates_is_its_subtask(staged: Any, desk: Any, say: Any, call: Any) -> None:
    async with staged(say("", call("homeport__run_start", {})), "Half done.", "All done.") as stage:

        async def for_the_agent() -> None:
            first = (await stage.runs.list())[0][-1].id
            identity.enter(identity.Identity(agent="chief", run=first, caller="agent"))
            await stage.ask("The first half")

        async def begin() -> str:  # as in a host: the tool's server works in a task of its own
            await asyncio.get_running_loop().create_task(for_the_agent(), context=contextvars.Context())
            return "It is done."

        desk.add("homeport__run_start", begin)
        stage.agents.save("chief", '---\ntools: ["homeport__*"]\n---\nDivide the work.')
        top = await stage.ask("Both halves", agent="chief")
        (child,) = (await stage.tasks.get(top.id))["relations"]["children"]
        assert (child["title"], child["state"]) == ("The first half", "completed")
        below = await stage.tasks.get(child["id"])
        assert (below["relations"]["parent"]["id"], below["task"]["origin"]) == (top.id, "agent")
        used = (await stage.tasks.get(top.id))["resources"]
        assert used["with_subtasks"]["prompt_tokens"] == used["prompt_tokens"] + below["resources"]["prompt_tokens"]


# Review


async def test_a_result_is_accepted_or_sent_back_with_a_remark(staged: Any) -> None:
    async with staged("Too long.", "Short.") as stage:
        run = await stage.runs.start("Write", review=True)
        waiting = await shows(stage, run, "waiting")
        assert (waiting.answer, waiting.waits_for) == ("Too long.", "review")
        with pytest.raises(HomeportError, match="remark is empty"):
            await stage.steering.review(run, accept=False)
        await stage.steering.review(run, accept=False, remark="Make it shorter")
        with anyio.fail_after(PATIENCE):
            while (waiting := await stage.runs.get(run)).answer != "Short." or waiting.waits_for != "review":
                await anyio.sleep(0.01)
        assert "Make it shorter" in stage.model.requests[-1].messages[-1].content
        await stage.steering.review(run, accept=True)
        ended = await stage.ended(run)
        assert (ended.state, ended.answer) == ("completed", "Short.")
        with pytest.raises(HomeportError, match="no answer that waits"):
            await stage.steering.review(run, accept=True)
        told = [(event.data["accept"], event.data["remark"]) for event in await stage.events(run, "reviewed")]
        assert told == [(False, "Make it shorter"), (True, "")]


async def test_a_result_that_waits_for_review_still_waits_after_a_restart(staged: Any) -> None:
    async with staged("First.") as stage:
        run = await stage.runs.start("Write", review=True)
        await shows(stage, run, "waiting")
    async with staged("Second.") as stage:
        assert (await shows(stage, run, "waiting")).answer == "First."
        await stage.steering.review(run, accept=True)
        assert (await stage.ended(run)).answer == "First."


# Drafts and plans


async def test_a_draft_is_stored_and_begins_when_it_is_resumed(staged: Any) -> None:
    async with staged("Done.") as stage:
        made = await stage.tasks.planning.create({"prompt": "Later", "type": "custom"}, draft=True)
        draft = await stage.runs.get(made["run_id"])
        assert (draft.state, draft.started, draft.type) == ("paused", "", "custom")
        assert stage.model.requests == []
        stage.agents.save("writer", "---\ntitle: Writer\n---\nWrite well.")
        assert (await stage.steering.label(draft.id, agent="writer")).agent == "writer"
        await stage.steering.act(draft.id, "resume")
        ended = await stage.ended(draft.id)
        assert (ended.state, ended.agent) == ("completed", "writer")
        assert "Write well." in stage.model.requests[0].messages[0].content
        with pytest.raises(HomeportError, match="has begun"):
            await stage.steering.label(draft.id, agent="assistant")
        again = await stage.ended(await stage.steering.act(draft.id, "retry"))
        assert again.agent == "writer", "a repetition is given to the same agent"


async def test_a_plan_is_checked_as_a_whole_without_running_anything(staged: Any, desk: Any) -> None:
    validated: list[dict[str, Any]] = []

    def validate(definition: dict[str, Any]) -> dict[str, Any]:
        validated.append(definition)
        fine = definition["trigger"].get("cron") != "every day"
        return {"ok": fine, "problems": [] if fine else ["cron: it has five fields"]}

    desk.add("scheduler__validate_job", validate, definition={"type": "object"})
    desk.add("files__read", lambda path: "text", path={"type": "string"})
    async with staged("Done.") as stage:
        stage.agents.save("reader", '---\ntools: ["files__*"]\n---\nRead.')

        async def fields(**plan: Any) -> list[str]:
            _, problems = await stage.tasks.planning.check(plan)
            return [problem["field"] for problem in problems]

        assert await fields(prompt="Look", agent="reader", tools=["files__read"]) == []
        assert await fields(prompt=" ") == ["prompt"]
        assert await fields(prompt="Look", agent="nobody") == ["agent"]
        assert await fields(prompt="Look", agent="reader", tools=["mail__*"]) == ["tools"]
        assert await fields(prompt="Look", type="dance", priority=9) == ["type", "priority"]
        assert await fields(prompt="Look", after=["nothing"]) == ["after"]
        assert await fields(prompt="Look", cron="every day") == ["schedule"]
        assert await fields(prompt="Look", cron="0 9 * * *", priority=3) == []
        assert await fields(prompt="Look", cron="0 9 * * *", at="2026-12-01T09:00") == ["schedule"]
        assert validated[-1]["priority"] == "critical" and validated[-1]["action"]["prompt"] == "Look"
        assert stage.model.requests == [] and (await stage.runs.list())[0] == []
        with pytest.raises(HomeportError, match="prompt: Write what is to be done"):
            await stage.tasks.planning.create({"prompt": ""}, draft=False)


async def test_a_plan_becomes_a_run_or_a_job_of_the_scheduler(staged: Any, desk: Any) -> None:
    desk.add("scheduler__validate_job", lambda definition: {"problems": []}, definition={"type": "object"})
    desk.add(
        "scheduler__add_job",
        lambda definition, enabled: {"job": {"name": definition["name"], "enabled": enabled}},
        definition={"type": "object"},
        enabled={"type": "boolean"},
    )
    desk.add("files__info", lambda path: {"path": path}, path={"type": "string"})
    async with staged("Done.") as stage:
        plan = {"prompt": "Read it", "title": "Reading", "attachments": ["docs/a.txt"], "background": True}
        made = await stage.tasks.planning.create(plan, draft=False)
        run = await stage.ended(made["run_id"])
        assert (run.title, run.kind, made["job"]) == ("Reading", "job", "")
        assert "- docs/a.txt" in stage.model.requests[0].messages[-1].content
        inputs = (await stage.tasks.get(run.id))["inputs"]
        assert inputs["prompt"] == "Read it" and "docs/a.txt" in inputs["context"]
        made = await stage.tasks.planning.create({**plan, "cron": "0 9 * * *"}, draft=False)
        assert made == {"run_id": "", "job": "Reading"}
        definition = desk.calls[-1][1]["definition"]
        assert definition["trigger"] == {"cron": "0 9 * * *"} and "docs/a.txt" in definition["action"]["prompt"]


# Servers and the scheduler


async def test_the_jobs_of_servers_stand_in_the_list_and_can_be_stopped(staged: Any, desk: Any) -> None:
    jobs = [
        {"job_id": "b", "kind": "sync", "state": "running", "done": 3, "total": 12, "message": "a.pdf", "notes": [],
         "counters": {"new": 3}, "error": "", "seconds": 6.0},
        {"job_id": "a", "kind": "rebuild", "state": "failed", "done": 0, "total": 0, "message": "", "notes": [],
         "counters": {}, "error": "The disk is full.", "seconds": 1.0},
    ]  # fmt: skip

    def show(job_id: str = "") -> dict[str, Any]:
        """Show jobs."""
        return {"jobs": [job for job in jobs if job_id in {"", job["job_id"]}]}

    def cancel(job_id: str) -> dict[str, Any]:
        jobs[0]["state"] = "cancelled"
        return {"id": job_id, "state": "cancelled"}

    desk.add("rag__jobs", show)
    desk.tool("rag__jobs").definition["outputSchema"] = {"type": "object", "properties": {"jobs": {"type": "array"}}}
    desk.tool("rag__jobs").definition["inputSchema"] = {"type": "object", "properties": {"job_id": {"type": "string"}}}
    desk.add("rag__cancel_job", cancel, job_id={"type": "string"})
    desk.add("other__jobs", lambda: "no jobs of this kind")
    async with staged("Done.") as stage:
        run = await stage.ask("Something else")
        found = await stage.tasks.list(Wanted())
        assert [row["id"] for row in found["rows"]] == ["rag:b", "rag:a", run.id]
        first = found["rows"][0]
        assert (first["type"], first["state"], first["progress"]["percent"]) == ("knowledge", "running", 25.0)
        assert (first["progress"]["text"], first["progress"]["eta_seconds"]) == ("a.pdf", 18.0)
        assert found["counts"] == {"running": 1, "failed": 1, "completed": 1}
        assert [row["id"] for row in (await stage.tasks.list(Wanted(types=("knowledge",))))["rows"]] == [
            "rag:b",
            "rag:a",
        ]
        assert (await stage.tasks.list(Wanted(), offset=1, limit=1))["rows"][0]["id"] == "rag:a"
        failed = (await stage.tasks.get("rag:a"))["task"]
        assert failed["error"]["message"] == "The disk is full." and failed["suggestions"]
        assert (await stage.tasks.jobs.cancel("rag:b"))["state"] == "cancelled"
        with pytest.raises(HomeportError, match="no task"):
            await stage.tasks.get("nobody:b")


async def test_what_the_scheduler_will_start_stands_under_scheduled(staged: Any, desk: Any) -> None:
    row = {"name": "Report", "kind": "agent", "what": "assistant: Write", "enabled": True, "next": NOW,
           "priority": "high", "when": "0 9 * * *", "last_run": "", "last_state": ""}  # fmt: skip
    off = {**row, "name": "Off", "enabled": False}
    desk.add("scheduler__list_jobs", lambda limit: {"jobs": [row, off]}, limit={"type": "integer"})
    async with staged("Done.") as stage:
        found = await stage.tasks.list(Wanted(states=("scheduled",)))
        assert [(each["title"], each["priority"], each["created"]) for each in found["rows"]] == [("Report", 2, NOW)]
        assert found["counts"] == {"scheduled": 1}


# Statistics


def test_statistics_give_rates_lengths_groups_and_trend() -> None:
    def ended(name: str, state: str, day: int, seconds: int, agent: str = "a", **more: Any) -> Run:
        at = f"2026-11-{day:02}T10:00"
        usage = {"seconds": seconds, "usd": 0.5, "model_seconds": seconds * 0.9}
        return run_of(
            name, state=state, created=f"{at}:00.000Z", started=f"{at}:20.000Z", agent=agent,
            finished=f"{at}:{20 + seconds}.000Z", usage=usage, **more,
        )  # fmt: skip

    runs = [
        ended("1", "completed", 20, 10),
        ended("2", "completed", 21, 20, tags=["x"]),
        ended("3", "failed", 21, 1, agent="b", error={"code": "limit", "message": "", "hint": ""}),
        run_of("4", state="queued", started=""),
    ]
    found = statistics(runs, "agent")
    assert (found["tasks"], found["success_rate"], found["error_rate"]) == (4, 0.667, 0.333)
    assert (found["mean_seconds"], found["usd"], found["errors"]) == (15.0, 1.5, {"limit": 1})
    trend = [(day["day"], day["tasks"], day["usd"]) for day in found["trend"]]
    assert trend == [("2026-11-20", 1, 0.5), ("2026-11-21", 3, 1.0)]
    told = [(group["group"], group["done"], group["all"], group["percent"]) for group in groups(runs, "state")]
    assert told == [("completed", 2, 2, 100.0), ("failed", 0, 1, 0.0), ("queued", 0, 1, 0.0)]
    assert [group["group"] for group in groups(runs, "tag")] == ["none", "x"]
    slow = bottlenecks(runs[:3])
    assert any("wait 20 s" in text for text in slow) and any("waiting for models" in text for text in slow)
    assert statistics([])["success_rate"] is None and bottlenecks([]) == []


async def test_each_step_of_a_workflow_is_a_task_inside_it(staged: Any, desk: Any) -> None:
    desk.add("shop__price", lambda: {"price": 9})
    graph = {
        "format": "homeport.workflow/1",
        "name": "Price",
        "start": "ask",
        "nodes": {"ask": {"kind": "tool", "tool": "shop__price", "arguments": {}, "next": "end"},
                  "end": {"kind": "end", "result": "{{ ask.price }}"}},
    }  # fmt: skip
    async with staged("Done.") as stage:
        saved = await stage.workflows.library.save(graph)
        await stage.workflows.library.set_status(saved.id, "active")
        run = await stage.ended(await stage.workflows.start("Price", {}))
        assert (run.state, run.type) == ("completed", "workflow")
        shown = await stage.tasks.get(run.id)
        assert [step["title"] for step in shown["progress"]["substeps"]] == ["ask", "end"]
        step = (await stage.tasks.get(shown["relations"]["steps"][0]["id"]))["task"]
        assert (step["parent"], step["state"], step["output"]) == (run.id, "completed", {"price": 9})
        assert step["inputs"] == {"tool": "shop__price", "arguments": {}}
        with pytest.raises(HomeportError, match="has no step"):
            await stage.tasks.get(f"{run.id}~nowhere")
