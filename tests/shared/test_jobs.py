"""Long work: progress, cancellation, resumption, several processes on one table."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from mcp.server.subscriptions import ResourceUpdated
from tests.patience import PATIENCE

from homeport_shared import jobs
from homeport_shared.context import ServerContext, open_context
from homeport_shared.errors import HomeportError
from homeport_shared.events import Event
from homeport_shared.jobs import Handler, Job, Jobs, Run

pytestmark = pytest.mark.anyio


class Collected:
    def __init__(self) -> None:
        self.events: list[Event] = []

    async def publish(self, event: Event) -> None:
        self.events.append(event)


@asynccontextmanager
async def opened(
    home: Path, handler: Handler, sink: Collected | None = None
) -> AsyncGenerator[tuple[Jobs, ServerContext]]:
    with anyio.fail_after(PATIENCE):
        async with open_context("demo", home=home, events=sink) as context:
            yield Jobs(context, {"count": handler}), context


async def count_to_three(run: Run) -> None:
    for number in range(3):
        run.progress(done=number + 1, total=3, message=f"number {number}", counters={"seen": number + 1})


async def never_ends(run: Run) -> None:
    run.progress(message="waiting")
    await anyio.sleep_forever()


async def until(work: Jobs, job: Job, state: str) -> Job:
    while (found := await work.get(job.id)).state != state:
        await anyio.sleep(0.01)
    return found


async def test_a_finished_job_keeps_its_last_progress_and_tells_so(tmp_path: Path) -> None:
    sink = Collected()
    async with opened(tmp_path, count_to_three, sink) as (work, _):
        job = await work.start("count", {"to": 3})
        done = await work.wait(job.id)
    assert (done.state, done.done, done.total, done.counters) == ("completed", 3, 3, {"seen": 3})
    assert done.params == {"to": 3}
    assert done.created <= done.started <= done.finished
    assert [(event.kind, event.subject) for event in sink.events] == [("count.finished", f"job://{job.id}")]


async def test_a_failure_that_was_foreseen_is_told_in_its_own_words(tmp_path: Path) -> None:
    async def fails(run: Run) -> None:
        raise HomeportError("not_found", "There is no folder /x.", "Check the path.")

    sink = Collected()
    async with opened(tmp_path, fails, sink) as (work, _):
        job = await work.wait((await work.start("count", {})).id)
    assert (job.state, job.error) == ("failed", "There is no folder /x. Check the path.")
    assert [event.kind for event in sink.events] == ["count.failed"]


async def test_a_bug_in_a_handler_ends_its_job_and_not_the_lane(tmp_path: Path) -> None:
    async def fails_once(run: Run) -> None:
        if run.job.params["bad"]:
            raise KeyError("secret detail")

    async with opened(tmp_path, fails_once) as (work, _):
        bad = await work.wait((await work.start("count", {"bad": True})).id)
        good = await work.wait((await work.start("count", {"bad": False})).id)
    assert (bad.state, good.state) == ("failed", "completed")
    assert "secret detail" not in bad.error
    assert bad.id in bad.error


async def test_cancelling_stops_the_running_work_and_the_next_job_begins(tmp_path: Path) -> None:
    stopped = anyio.Event()

    async def first_never_ends(run: Run) -> None:
        if run.job.params["first"]:
            try:
                await anyio.sleep_forever()
            finally:
                stopped.set()

    sink = Collected()
    async with opened(tmp_path, first_never_ends, sink) as (work, _):
        first = await work.start("count", {"first": True})
        await until(work, first, "running")
        second = await work.start("count", {"first": False})
        cancelled = await work.cancel(first.id)
        assert cancelled.state == "cancelled"
        assert stopped.is_set()
        assert (await work.wait(second.id)).state == "completed"
    assert [event.kind for event in sink.events] == ["count.cancelled", "count.finished"]


async def test_a_waiting_job_is_cancelled_without_ever_starting(tmp_path: Path) -> None:
    async with opened(tmp_path, never_ends) as (work, _):
        await until(work, await work.start("count", {"n": 1}), "running")
        waiting = await work.start("count", {"n": 2})
        assert (await work.cancel(waiting.id)).state == "cancelled"
        assert (await work.get(waiting.id)).started == ""


async def test_a_finished_job_cannot_be_cancelled(tmp_path: Path) -> None:
    async with opened(tmp_path, count_to_three) as (work, _):
        job = await work.wait((await work.start("count", {})).id)
        with pytest.raises(HomeportError, match="completed already"):
            await work.cancel(job.id)
        with pytest.raises(HomeportError, match="no job 'nonsense'"):
            await work.get("nonsense")


async def test_the_same_job_is_queued_once_while_it_is_unfinished(tmp_path: Path) -> None:
    async with opened(tmp_path, never_ends) as (work, _):
        first = await work.start("count", {"a": 1, "b": 2}, once=True)
        assert (await work.start("count", {"b": 2, "a": 1}, once=True)).id == first.id
        other = await work.start("count", {"a": 2}, once=True)
        assert other.id != first.id
        await work.cancel(first.id)
        assert (await work.start("count", {"a": 1, "b": 2}, once=True)).id != first.id


async def test_a_job_interrupted_by_a_stop_goes_on_at_the_next_start(tmp_path: Path) -> None:
    async with opened(tmp_path, never_ends) as (work, _):
        job = await work.start("count", {})
        await until(work, job, "running")
    async with opened(tmp_path, count_to_three) as (work, _):
        done = await work.wait(job.id)
    assert (done.state, done.done) == ("completed", 3)


async def test_progress_reaches_subscribers_at_most_ten_times_a_second(tmp_path: Path) -> None:
    async def busy(run: Run) -> None:
        for number in range(400):
            run.progress(done=number)
            await anyio.sleep(0.001)

    updates: list[str] = []
    async with opened(tmp_path, busy) as (work, context):
        context.changes.subscribe(
            lambda event: updates.append(str(event.uri)) if isinstance(event, ResourceUpdated) else None
        )
        job = await work.start("count", {})
        done = await work.wait(job.id)
    seconds = work.elapsed(done)
    assert set(updates) == {f"job://{job.id}", "job://recent"}, "the job, and the list of them with it"
    updates = [uri for uri in updates if uri != "job://recent"]
    assert 2 <= len(updates) <= seconds / jobs.TICK_SECONDS + 3


async def test_nothing_is_opened_before_there_is_a_job(tmp_path: Path) -> None:
    async with opened(tmp_path, count_to_three):
        await anyio.wait_all_tasks_blocked()
    assert not (tmp_path / "demo" / "jobs.db").exists()


async def test_old_finished_jobs_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "KEPT_JOBS", 3)
    async with opened(tmp_path, count_to_three) as (work, _):
        for number in range(6):
            await work.wait((await work.start("count", {"n": number})).id)
        assert [job.params["n"] for job in await work.latest()] == [5, 4, 3]


PROGRAM = """
import sys, anyio
from pathlib import Path
from homeport_shared.context import open_context
from homeport_shared.jobs import Jobs, Run

async def never_ends(run: Run):
    run.progress(done=1, total=2)
    print("running", flush=True)
    await anyio.sleep_forever()

async def main():
    async with open_context("demo", home=Path(sys.argv[1])) as context:
        work = Jobs(context, {"count": never_ends})
        if sys.argv[2] == "start":
            await work.start("count", {})
        await anyio.sleep_forever()

anyio.run(main)
"""


@asynccontextmanager
async def another_process(home: Path, what: str) -> AsyncGenerator[Process]:
    process = await anyio.open_process([sys.executable, "-c", PROGRAM, str(home), what], stderr=None)
    assert process.stdout is not None
    try:
        assert (await process.stdout.receive()).strip() == b"running"
        yield process
    finally:
        with suppress(ProcessLookupError):  # a test may have killed it
            process.kill()
        await process.aclose()


@pytest.mark.slow
@pytest.mark.subprocess
async def test_a_job_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    async with another_process(tmp_path, "start") as process:
        os.kill(process.pid, signal.SIGKILL)
        async with opened(tmp_path, count_to_three) as (work, _):
            (job,) = await work.latest()
            assert job.state == "running"
            done = await work.wait(job.id)
    assert (done.state, done.done) == ("completed", 3)


@pytest.mark.subprocess
async def test_a_job_that_another_process_runs_is_left_to_it_and_can_be_cancelled_from_here(tmp_path: Path) -> None:
    async with another_process(tmp_path, "start"), opened(tmp_path, count_to_three) as (work, _):
        (job,) = await work.latest()
        await anyio.sleep(jobs.BEAT_SECONDS)
        assert (await work.get(job.id)).state == "running"
        assert (await work.cancel(job.id)).state == "cancelled"


async def test_a_damaged_table_is_one_clear_sentence(tmp_path: Path) -> None:
    async with opened(tmp_path, count_to_three) as (work, _):
        await work.wait((await work.start("count", {})).id)
    for file in (tmp_path / "demo").glob("jobs.db*"):
        file.unlink()
    (tmp_path / "demo" / "jobs.db").write_bytes(b"not a database at all, but long enough to be read as one" * 20)
    async with opened(tmp_path, count_to_three) as (work, _):
        with pytest.raises(HomeportError, match="is damaged") as caught:
            await work.start("count", {})
    assert caught.value.code == "damaged"
    assert not isinstance(caught.value, sqlite3.Error)
