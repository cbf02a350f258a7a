"""When runs begin, and what people do with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import anyio
import pytest
from tests.patience import PATIENCE

from homeport_host.agents.admission import Admission
from homeport_host.agents.runs import Wanted
from homeport_shared.errors import HomeportError

pytestmark = pytest.mark.anyio


class Gate:
    """A model whose answers wait until they are let through; it notes whose turn it was."""

    def __init__(self, answer: Callable[[str], Any]) -> None:
        self._answer = answer
        self.asked: list[str] = []
        self.open = anyio.Event()

    async def __call__(self, request: Any) -> Any:
        self.asked.append(request.messages[-1].content)
        await self.open.wait()
        return self._answer("Done.")

    async def was_asked(self, count: int) -> list[str]:
        with anyio.fail_after(PATIENCE):
            while len(self.asked) < count:
                await anyio.sleep(0.01)
        return self.asked


async def settled(stage: Any, run: str, state: str) -> Any:
    with anyio.fail_after(PATIENCE):
        while (row := await stage.runs.get(run)).state != state:
            await anyio.sleep(0.01)
    return row


async def test_of_the_runs_that_wait_the_most_important_begins_first_then_the_older(staged: Any, say: Any) -> None:
    gate = Gate(say)
    async with staged(gate) as stage:
        first = await stage.runs.start("first", kind="job")
        await gate.was_asked(1)
        later = [await stage.runs.start(name, kind="job", priority=n) for name, n in (("low", 0), ("a", 1), ("b", 1))]
        urgent = await stage.runs.start("urgent", kind="job", priority=3)
        assert {(await stage.runs.get(run)).state for run in (*later, urgent)} == {"queued"}
        gate.open.set()
        for run in (first, *later, urgent):
            assert (await stage.ended(run)).state == "completed"
        assert gate.asked == ["first", "urgent", "a", "b", "low"]


async def test_a_run_that_waits_in_the_queue_can_be_preferred(staged: Any, say: Any) -> None:
    gate = Gate(say)
    async with staged(gate) as stage:
        await stage.runs.start("first", kind="job")
        await gate.was_asked(1)
        await stage.runs.start("second", kind="job")
        third = await stage.runs.start("third", kind="job")
        await stage.steering.label(third, priority=2, title="The third", tags=["b", "a", "a"])
        gate.open.set()
        await gate.was_asked(3)
        assert gate.asked == ["first", "third", "second"]
        row = await stage.ended(third)
        assert (row.title, row.tags, row.priority) == ("The third", ["a", "b"], 2)


async def test_an_agent_works_on_no_more_runs_at_once_than_its_file_says(staged: Any, say: Any) -> None:
    gate = Gate(say)
    async with staged(gate) as stage:
        stage.agents.save("slow", "---\nat_once: 1\n---\nBe slow.")
        runs = [await stage.runs.start(name, agent="slow") for name in ("one", "two")]
        await stage.runs.start("other")
        assert set(await gate.was_asked(2)) == {"one", "other"}
        gate.open.set()
        assert [(await stage.ended(run)).state for run in runs] == ["completed", "completed"]


async def test_a_run_waits_until_those_it_depends_on_are_completed(staged: Any, say: Any) -> None:
    gate = Gate(say)
    async with staged(gate) as stage:
        before = [await stage.runs.start(name) for name in ("one", "two")]
        after = await stage.runs.start("three", after=tuple(before))
        assert (await settled(stage, after, "waiting")).after == before
        await gate.was_asked(2)
        gate.open.set()
        assert (await stage.ended(after)).state == "completed"
        assert gate.asked[-1] == "three"


async def test_a_run_fails_when_one_that_it_depends_on_was_cancelled(staged: Any, say: Any) -> None:
    gate = Gate(say)
    async with staged(gate) as stage:
        before = await stage.runs.start("one")
        after = await stage.runs.start("two", after=(before,))
        await settled(stage, after, "waiting")
        await stage.steering.act(before, "cancel")
        row = await stage.ended(after)
        assert row.state == "failed"
        assert before in row.error["message"]
        with pytest.raises(HomeportError, match="There is no run"):
            await stage.runs.start("three", after=("nothing",))


async def test_a_paused_run_waits_before_its_next_step_and_goes_on(staged: Any, desk: Any, say: Any, call: Any) -> None:
    reached, go = anyio.Event(), anyio.Event()

    async def wait() -> str:
        reached.set()
        await go.wait()
        return "read"

    desk.add("files__read", wait)
    async with staged(say("", call("files__read", {})), "Done.") as stage:
        run = await stage.runs.start("Read")
        with anyio.fail_after(PATIENCE):
            await reached.wait()
        await stage.steering.act(run, "pause")
        go.set()
        await settled(stage, run, "paused")
        with pytest.raises(HomeportError, match="is paused: pause is not possible") as refused:
            await stage.steering.act(run, "pause")
        assert refused.value.hint == "Possible: resume, cancel."
        await _until(lambda: _left(stage, run))
        assert len(await stage.engine.steps(run)) == 3
        assert len(stage.model.requests) == 1, "the step that had begun ended, the next one did not begin"
        await stage.steering.act(run, "resume")
        assert (await stage.ended(run)).answer == "Done."
        changes = await stage.events(run, "state")
        assert [event.data.get("by", "") for event in changes] == ["", "you", "you", "", ""]
        assert all(event.at for event in changes)
        states = [event.data["state"] for event in changes]
        assert states == ["running", "paused", "queued", "running", "completed"]


async def test_a_run_paused_before_a_restart_stays_paused_after_it(staged: Any, say: Any) -> None:
    gate = Gate(say)
    async with staged(gate) as stage:
        await stage.runs.start("first", kind="job")
        await gate.was_asked(1)
        run = await stage.runs.start("second", kind="job")
        await stage.steering.act(run, "pause")
    async with staged("Done.") as stage:
        await stage.engine.launch()
        assert (await settled(stage, run, "paused")).finished == ""
        await _until(lambda: _is_paused(stage, run))
        await stage.steering.act(run, "resume")
        assert (await stage.ended(run)).answer == "Done."


async def test_a_cancelled_run_stops_within_its_step_and_can_be_retried(staged: Any, say: Any) -> None:
    gate = Gate(say)
    async with staged(gate) as stage:
        run = await stage.runs.start("Try", kind="job", title="A try")
        await gate.was_asked(1)
        with anyio.fail_after(PATIENCE):  # the model would never answer
            await stage.steering.act(run, "cancel")
        assert (await stage.runs.get(run)).state == "cancelled"
        gate.open.set()
        again = await stage.ended(await stage.steering.act(run, "retry"))
        assert (again.state, again.title, again.prompt, again.kind) == ("completed", "A try", "Try", "job")


async def test_a_retry_is_a_new_run_of_the_same_task(staged: Any) -> None:
    async with staged("First.", "Second.") as stage:
        first = await stage.ask("Try", title="A try", tags=("x",))
        again = await stage.ended(await stage.steering.act(first.id, "retry"))
        assert (again.answer, again.parent, again.title, again.tags) == ("Second.", first.id, "A try", ["x"])
        assert (await stage.runs.get(first.id)).answer == "First."
        assert [run.id for run in (await stage.runs.list(Wanted(parent=first.id)))[0]] == [again.id]


async def test_ended_runs_are_forgotten_by_hand_or_after_a_while(staged: Any, say: Any) -> None:
    gate = Gate(say)
    async with staged("Done.", "Done.", gate) as stage:
        first, second = await stage.ask("One"), await stage.ask("Two")
        running = await stage.runs.start("Three")
        await gate.was_asked(1)
        await stage.steering.forget(first.id)
        with pytest.raises(HomeportError, match="There is no run"):
            await stage.runs.get(first.id)
        with pytest.raises(HomeportError, match="Cancel it first"):
            await stage.steering.forget(running)
        assert await stage.steering.sweep(timedelta(days=1)) == 0
        assert await stage.steering.sweep(timedelta(seconds=-1)) == 1
        assert [run.id for run in (await stage.runs.list())[0]] == [running]
        assert await stage.store.events(second.id) == []
        assert await stage.engine.steps(second.id) == []


async def test_runs_are_found_by_what_they_are(staged: Any) -> None:
    async with staged("Done.") as stage:
        report = await stage.ask("Write the 100% report", tags=("money",), kind="job")
        await stage.ask("Say hello")

        async def found(**wanted: Any) -> list[str]:
            return [run.title for run in (await stage.runs.list(Wanted(**wanted)))[0]]

        assert await found(text="REPORT write") == ["Write the 100% report"]
        assert await found(text="1%0") == []
        assert await found(tag="money") == await found(kinds=("job", "other")) == ["Write the 100% report"]
        assert await found(since=report.created[:10], states=("completed",), agent="assistant") == [
            "Say hello",
            "Write the 100% report",
        ]
        assert await found(until=report.created) == await found(states=("failed",)) == []
        assert await stage.store.count(Wanted(tag="money")) == {"completed": 1}


async def test_room_is_given_back_when_a_waiting_run_is_cancelled() -> None:
    admission = Admission({"job": 1})
    await admission.enter("one", "job", "a", at_once=0, priority=1, since="1")
    with anyio.move_on_after(0):
        await admission.enter("two", "job", "a", at_once=0, priority=1, since="2")
    admission.leave("one")
    with anyio.fail_after(PATIENCE):
        await admission.enter("three", "job", "a", at_once=0, priority=1, since="3")
    assert admission.works("three")


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(PATIENCE):
        while not await holds():
            await anyio.sleep(0.01)


async def _left(stage: Any, run: str) -> bool:
    """Whether a paused run has given back its room: it waits now."""
    return not stage.admission.works(run)


async def _is_paused(stage: Any, run: str) -> bool:
    return stage.admission.is_paused(run)


async def test_a_run_is_done_anew_from_one_of_its_steps_on(staged: Any, desk: Any, say: Any, call: Any) -> None:
    desk.add("shop__price", lambda: "9 euro")
    async with staged(say("", call("shop__price", {})), "It costs 9 euro.", "It costs nine euro.") as stage:
        run = await stage.ask("What does it cost?")
        with anyio.fail_after(PATIENCE):
            while len(steps := await stage.runs.steps(run.id)) < 5:  # the last is recorded after its effect is seen
                await anyio.sleep(0.01)
        assert [step["name"].split(" ")[0] for step in steps] == ["window", "model", "tool", "model", "finish"]
        assert all(step["started"] <= step["completed"] for step in steps)
        again = await stage.ended(await stage.steering.act(run.id, "retry", step=steps[3]["number"]))
        assert (run.answer, again.answer, again.parent) == ("It costs 9 euro.", "It costs nine euro.", run.id)
        assert len(desk.calls) == 1, "what came before the step is taken over, not done again"
        assert (again.usage["turns"], again.usage["tool_calls"]) == (2, 1)
        with pytest.raises(HomeportError, match="has no step 99"):
            await stage.steering.act(run.id, "retry", step=99)
