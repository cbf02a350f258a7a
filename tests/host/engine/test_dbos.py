"""The engine on DBOS: what a durable run promises."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from sqlalchemy import update
from tests.patience import PATIENCE

from homeport_host.database import Database
from homeport_host.engine.dbos import MOST_STARTS, DbosEngine
from homeport_host.engine.protocol import Body, Steps
from homeport_host.engine.records import Records, accepted
from homeport_host.engine.workers import Workers
from homeport_shared.clock import SystemClock
from homeport_shared.errors import HomeportError

LEASE = 3_600.0  # seconds: no beat but the first one while a test runs
pytestmark = pytest.mark.anyio


@asynccontextmanager
async def engine_with(place: Any, *given_up: Any, shared: Any = None, **bodies: Body) -> AsyncGenerator[DbosEngine]:
    database = Database(place.database)
    await database.open()
    async with anyio.create_task_group() as tasks:
        lease = {"clock": shared, "lease": LEASE} if shared else {}
        engine = DbosEngine(place.engine, database, tasks, **lease)
        engine.on_given_up.extend(given_up)
        for kind, body in bodies.items():
            engine.register(kind, body)
        await engine.launch()
        try:
            with anyio.fail_after(PATIENCE):
                yield engine
        finally:
            await engine.aclose()
            await database.aclose()
            tasks.cancel_scope.cancel()


class Leaping(SystemClock):
    """A clock that runs on while the process that reads it is frozen."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


class Journal:
    """Notes what really happened, so that a test sees when something happens twice."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.begun, self.ended = anyio.Event(), anyio.Event()

    async def note(self, what: str) -> str:
        self.done.append(what)
        self.begun.set()
        return what


async def test_a_run_does_its_steps_in_order_and_records_each(place: Any) -> None:
    journal = Journal()

    async def body(steps: Steps, parameters: dict[str, Any]) -> None:
        for name in parameters["names"]:
            await steps.step(name, lambda name=name: journal.note(name))
        journal.ended.set()

    async with engine_with(place, work=body) as engine:
        assert await engine.start("work", {"names": ["one", "two"]}, run="r1")
        await journal.ended.wait()
        assert [step["result"] for step in await engine.steps("r1")] == ["one", "two"]
    assert journal.done == ["one", "two"]


async def test_the_same_id_is_not_started_twice(place: Any) -> None:
    journal = Journal()

    async def body(steps: Steps, _: dict[str, Any]) -> None:
        await steps.step("once", lambda: journal.note("once"))
        journal.ended.set()

    async with engine_with(place, work=body) as engine:
        assert await engine.start("work", {}, run="r1")
        assert not await engine.start("work", {}, run="r1")
        await journal.ended.wait()
    assert journal.done == ["once"]


async def test_a_foreseen_error_of_a_step_reaches_the_body_with_code_and_hint(place: Any) -> None:
    seen: list[HomeportError] = []
    ended = anyio.Event()

    async def refuse() -> None:
        raise HomeportError("denied", "No.", "Ask.")

    async def body(steps: Steps, _: dict[str, Any]) -> None:
        try:
            await steps.step("refused", refuse)
        except HomeportError as error:
            seen.append(error)
        ended.set()

    async with engine_with(place, work=body) as engine:
        await engine.start("work", {}, run="r1")
        await ended.wait()
        assert (await engine.steps("r1"))[0]["error"]["code"] == "denied"
    assert (seen[0].code, seen[0].hint) == ("denied", "Ask.")


async def test_a_run_waits_for_its_signals_in_their_order(place: Any) -> None:
    got: list[Any] = []
    ended = anyio.Event()

    async def body(steps: Steps, _: dict[str, Any]) -> None:
        got.extend([await steps.signal("word"), await steps.signal("word"), await steps.signal("never", 0.01)])
        ended.set()

    async with engine_with(place, work=body) as engine:
        await engine.start("work", {}, run="r1")
        await engine.send("r1", "word", "first")
        await engine.send("r1", "word", "second")
        await ended.wait()
    assert got == ["first", "second", None]


async def test_cancel_stops_the_call_that_the_run_is_in(place: Any) -> None:
    inside, stopped = anyio.Event(), anyio.Event()

    async def endless() -> None:
        inside.set()
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()

    async def body(steps: Steps, _: dict[str, Any]) -> None:
        await steps.step("endless", endless)

    async with engine_with(place, work=body) as engine:
        await engine.start("work", {}, run="r1")
        await inside.wait()
        await engine.cancel("r1")
        assert stopped.is_set()
        assert await engine.steps("r1") == []
    async with engine_with(place, work=body) as engine:
        assert engine._dbos is None  # nothing is left to go on with


async def test_a_stopped_engine_goes_on_with_its_runs_at_the_next_launch(place: Any) -> None:
    journal = Journal()
    waiting = anyio.Event()

    async def body(steps: Steps, _: dict[str, Any]) -> None:
        await steps.step("before", lambda: journal.note("before"))
        waiting.set()
        answer = await steps.signal("answer")
        await steps.step("after", lambda: journal.note(f"after {answer}"))
        journal.ended.set()

    async with engine_with(place, work=body) as engine:
        await engine.start("work", {}, run="r1")
        await waiting.wait()
    async with engine_with(place, work=body) as engine:
        await engine.send("r1", "answer", "yes")
        await journal.ended.wait()
    assert journal.done == ["before", "after yes"]


async def test_an_unforeseen_error_ends_the_run_and_leaves_the_engine_usable(place: Any) -> None:
    journal = Journal()

    async def broken(steps: Steps, _: dict[str, Any]) -> None:
        raise ValueError("a bug")

    async def body(steps: Steps, _: dict[str, Any]) -> None:
        journal.ended.set()

    async with engine_with(place, broken=broken, work=body) as engine:
        await engine.start("broken", {}, run="r1")
        await engine.start("work", {}, run="r2")
        await journal.ended.wait()


async def test_a_kind_that_nobody_registered_is_refused(place: Any) -> None:
    async with engine_with(place) as engine:
        with pytest.raises(HomeportError, match="no kind of run 'unknown'"):
            await engine.start("unknown", {}, run="r1")


def test_the_engine_is_imported_without_dbos() -> None:
    code = "import sys, homeport_host.engine.dbos; sys.exit('dbos' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_a_run_that_is_cut_off_again_and_again_at_one_step_is_given_up(place: Any) -> None:
    told: list[str] = []
    inside = anyio.Event()

    async def body(steps: Steps, _: dict[str, Any]) -> None:
        await steps.step("first", lambda: anyio.lowlevel.checkpoint())
        inside.set()
        await steps.step("deadly", anyio.sleep_forever)

    async with engine_with(place, work=body) as engine:
        await engine.start("work", {}, run="r1")
        await inside.wait()
    database = Database(place.database)
    crashed = update(accepted).values(starts=MOST_STARTS)  # as many crashes leave it; a stop is none
    await database.write(lambda connection: connection.execute(crashed))
    await database.aclose()
    gone = anyio.Event()

    async def given_up(run: str, error: HomeportError) -> None:
        told.append(f"{run}: {error}")
        gone.set()

    async with engine_with(place, given_up, work=body):
        await gone.wait()
    assert len(told) == 1 and "cut off 20 times" in told[0]


async def test_a_fork_takes_over_what_was_recorded_before_its_step(place: Any) -> None:
    journal = Journal()

    async def body(steps: Steps, parameters: dict[str, Any]) -> None:
        for name in parameters["names"]:
            await steps.step(name, lambda name=name: journal.note(f"{steps.run} {name}"))
        if len(journal.done) >= 5:
            journal.ended.set()

    async with engine_with(place, work=body) as engine:
        await engine.start("work", {"names": ["a", "b", "c"]}, run="r1")
        while len(steps := await engine.steps("r1")) < 3:
            await anyio.sleep(0.01)
        await engine.fork("r1", steps[1]["number"], into="r2")
        await journal.ended.wait()
        assert await engine.parameters("r2") == {"names": ["a", "b", "c"]}
        with pytest.raises(HomeportError, match="no run"):
            await engine.fork("unknown", 1, into="r3")
    assert journal.done == ["r1 a", "r1 b", "r1 c", "r2 b", "r2 c"]


async def test_a_run_that_is_resumed_although_it_has_a_task_never_has_two(place: Any) -> None:
    from dbos import DBOS

    journal = Journal()

    async def only() -> None:
        await journal.note("begin")
        try:
            if len(journal.done) == 1:
                await anyio.sleep_forever()
        finally:
            await journal.note("end")

    async def body(steps: Steps, _: dict[str, Any]) -> None:
        await steps.step("only", only)
        journal.ended.set()

    async with engine_with(place, work=body) as engine:
        await engine.start("work", {}, run="r1")
        await journal.begun.wait()
        await DBOS.resume_workflow_async("r1")
        await journal.ended.wait()
    assert journal.done == ["begin", "end", "begin", "end"]


@pytest.mark.parametrize("taken_over", [True, False])
async def test_a_worker_that_was_silent_begins_no_step_of_a_run_that_it_lost(place: Any, taken_over: bool) -> None:
    journal, clock, in_step, frozen = Journal(), Leaping(), anyio.Event(), anyio.Event()

    async def first() -> str:
        in_step.set()
        await frozen.wait()
        return await journal.note("one")

    async def body(steps: Steps, _: dict[str, Any]) -> None:
        try:
            await steps.step("one", first)
            await steps.step("two", lambda: journal.note("two"))
        finally:
            journal.ended.set()

    async with engine_with(place, shared=clock, work=body) as engine:
        await engine.start("work", {}, run="r1")
        await in_step.wait()
        clock.ahead = LEASE
        if taken_over:
            await take_over(place, "local", "another")
        frozen.set()
        await journal.ended.wait()
    assert journal.done == (["one"] if taken_over else ["one", "two"])


async def take_over(place: Any, dead: str, by: str) -> None:
    """Do what another worker does that has seen the same number of beats for a whole lease."""
    async with anyio.create_task_group() as tasks:
        database = Database(place.database)
        await database.open()
        beats = (await Workers(database).beat(by))[dead]
        assert [run for run, _, _ in await Records(database, tasks).take_over(dead, beats, by)] == ["r1"]
        await database.aclose()


async def test_a_worker_that_has_beaten_meanwhile_keeps_its_runs(place: Any) -> None:
    async with anyio.create_task_group() as tasks:
        database = Database(place.database)
        await database.open()
        records, workers = Records(database, tasks), Workers(database)
        await records.accept("r1", "work", {}, "slow")
        await workers.beat("slow")
        seen = (await workers.beat("fast"))["slow"]
        await workers.beat("slow")
        assert await records.take_over("slow", seen, "fast") == []
        assert await records.take_over("slow", seen + 1, "fast") == [("r1", "work", {})]
        assert await records.take_over("slow", seen + 1, "third") == [], "somebody was faster"
        assert await records.lost(["r1"], "slow") == {"r1"}
        await database.aclose()
