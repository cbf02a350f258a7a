"""Jobs and runs as tools and pages show them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from homeport_scheduler.choosing import blocked_by
from homeport_scheduler.definitions import TASK, Trigger
from homeport_scheduler.records import Job
from homeport_scheduler.results import (
    Figures,
    JobDetail,
    JobList,
    JobRow,
    Next,
    Occurrence,
    Preview,
    RunRow,
    Runs,
    Status,
)
from homeport_scheduler.schedules import Schedule, note_on, schedule_of, upcoming, zone_of
from homeport_scheduler.store import Books, Store
from homeport_scheduler.ticking import Rules, state_of
from homeport_shared import paging
from homeport_shared.clock import Clock, iso
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError
from homeport_shared.gateway import Gateway

MOST_PAST = 500


class Showing:
    """What can be seen of the jobs.

    Args:
        context: The server's context.
        store: The tables.
        gateway: Knows the state of tasks.
        rules: Returns the settings as they are now.
        problem: Returns why the scheduler cannot work; empty when it can.
    """

    def __init__(
        self,
        context: ServerContext,
        store: Store,
        gateway: Gateway,
        rules: Callable[[], Rules],
        problem: Callable[[], str],
    ) -> None:
        self._clock: Clock = context.clock
        self._store = store
        self._gateway = gateway
        self._rules = rules
        self._problem = problem

    async def jobs(self, query: str, filters: dict[str, str | int], limit: int, cursor: str) -> JobList:
        """Return one page of jobs by name.

        Raises:
            HomeportError: `invalid` for a cursor that is not ours.
        """
        after = str(paging.decode(cursor).get("name", ""))

        def work(books: Books) -> list[JobRow]:
            return [_row(books, job) for job in books.search(query, filters, after, limit + 1)]

        rows = await self._store.read(work)
        following = paging.encode({"name": rows[limit - 1].name}) if len(rows) > limit else ""
        return JobList(jobs=rows[:limit], next=following)

    async def row(self, job: Job) -> JobRow:
        """Return a job as a row."""
        return await self._store.read(lambda books: _row(books, job))

    async def job(self, job: Job) -> JobDetail:
        """Return everything about a job."""
        now, rules = self._clock.now(), self._rules()
        zone = job.definition.time_zone or rules.zone

        tasks = [name for name in job.definition.after if name.startswith(TASK)]
        known = await self._gateway.states(tasks) if tasks else {}

        def work(books: Books) -> JobDetail:
            states = blocked_by(job, lambda name: state_of(books, name, lambda task: known.get(task, "gone")))
            return JobDetail(
                job=_row(books, job),
                definition=job.definition,
                created=job.created,
                updated=job.updated,
                time_zone=zone,
                upcoming=_coming(job, now, zone),
                after=[{"name": name, "state": state} for name, state in states],
                figures=figures(books.totals(job.id, "")),
                recent=[RunRow.of(run) for _, run in books.history({"job": job.id}, 0, 20)],
            )

        return await self._store.read(work)

    async def runs(self, filters: dict[str, str], limit: int, cursor: str) -> Runs:
        """Return one page of the history, newest first.

        Raises:
            HomeportError: `invalid` for a cursor that is not ours.
        """
        before = int(paging.decode(cursor).get("seq", 0))
        page = await self._store.read(lambda books: books.history(filters, before, limit + 1))
        following = paging.encode({"seq": page[limit - 1][0]}) if len(page) > limit else ""
        return Runs(runs=[RunRow.of(run) for _, run in page[:limit]], next=following)

    async def run(self, identifier: str) -> RunRow:
        """Return one run with its event and its earlier attempts.

        Raises:
            HomeportError: `not_found`.
        """
        run = await self._store.read(lambda books: books.run(identifier))
        if run is None:
            raise HomeportError("not_found", f"There is no run {identifier[:80]!r}.", "List the runs.")
        return RunRow.of(run, whole=True)

    async def preview(self, trigger: Trigger, time_zone: str, count: int, past_days: int) -> Preview:
        """Say when a trigger is due, and when it would have been in past days or on which recorded events.

        Raises:
            HomeportError: `invalid`, naming what does not fit.
        """
        now, rules = self._clock.now(), self._rules()
        zone = zone_of(time_zone or rules.zone)
        schedule, since = schedule_of(trigger, zone), now - timedelta(days=past_days)
        past = schedule.latest(since, now, MOST_PAST) if schedule and past_days else []
        events: list[dict[str, object]] = []
        if trigger.event and past_days:
            notes = await self._store.read(lambda books: books.notes(0, rules.most_events, iso(since)))
            events = [note.as_dict() for note in notes if trigger.fits(note.as_dict())][-MOST_PAST:]
        shown = occurrences(schedule, now, zone, count) if schedule else []
        return Preview(upcoming=shown, past=[occurrence(each, zone) for each in past], events=events)

    async def status(self) -> Status:
        """Return how the scheduler is."""
        now, rules, problem = self._clock.now(), self._rules(), self._problem()
        day = iso(now - timedelta(days=1))

        def work(books: Books) -> Status:
            paused = books.fact("paused")
            jobs, enabled = books.counts()
            waiting = books.history({"state": "queued"}, 0, 1_000)
            failed = books.history({"state": "failed", "since": day}, 0, 200)
            why = problem or (f"Paused since {paused}." if paused else "" if rules.enabled else "Off by its settings.")
            return Status(
                state="error" if problem else "running" if rules.enabled and not paused else "paused",
                why=why,
                time_zone=rules.zone,
                jobs=jobs,
                enabled=enabled,
                queued=len(waiting),
                running=len(books.running()),
                day=figures(books.totals("", day)),
                coming=[Next(id=job.id, name=job.definition.name, at=job.next) for job in books.coming(5)],
                failing=sorted({run.name for _, run in failed}),
            )

        return await self._store.read(work)


def occurrence(instant: datetime, zone: ZoneInfo) -> Occurrence:
    """Return an instant as it is shown."""
    local = instant.astimezone(zone).isoformat(timespec="seconds")
    return Occurrence(at=iso(instant), local=local, note=note_on(instant, zone))


def occurrences(schedule: Schedule, now: datetime, zone: ZoneInfo, count: int) -> list[Occurrence]:
    """Return the next instants as they are shown."""
    return [occurrence(instant, zone) for instant in upcoming(schedule, now, count)]


def figures(totals: Iterable[tuple[str, int, float, float, float]]) -> Figures:
    """Return numbers by state and the times of the completed runs."""
    rows = list(totals)
    done = next((row for row in rows if row[0] == "completed"), ("", 0, 0.0, 0.0, 0.0))
    return Figures(runs={row[0]: row[1] for row in rows}, average=round(done[2], 3), shortest=done[3], longest=done[4])


def _coming(job: Job, now: datetime, zone: str) -> list[Occurrence]:
    try:
        where = zone_of(zone)
        schedule = schedule_of(job.definition.trigger, where, job.definition.dst)
    except HomeportError:  # an update of the time zones took this one away, say
        return []
    return occurrences(schedule, now, where, 5) if schedule and job.enabled else []


def _row(books: Books, job: Job) -> JobRow:
    definition, last = job.definition, books.last(job.id)
    return JobRow(
        id=job.id,
        name=definition.name,
        kind=job.kind,
        trigger=job.trigger,
        when=definition.trigger.text,
        what=definition.action.text,
        enabled=job.enabled,
        owner=job.owner,
        agreed=job.agreed,
        priority=definition.priority,
        next=job.next,
        last_state=last.state if last else "",
        last_started=last.started if last else "",
        last_seconds=last.seconds if last else 0,
        last_run=last.id if last else "",
        running=bool(last and last.state == "running"),
        version=job.version,
    )
