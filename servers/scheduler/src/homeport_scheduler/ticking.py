"""One look at the clock: what became due is written down as runs, then runs are taken up. All in one transaction.

A run is recorded before it starts, and its id follows from job and instant or event: so none is lost, and none is
made twice, by how many processes ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from homeport_scheduler.choosing import Limits, StateOf, choose
from homeport_scheduler.definitions import PRIORITIES, TASK
from homeport_scheduler.policies import jitter, plan
from homeport_scheduler.records import Cause, Job, Note, Run
from homeport_scheduler.schedules import schedule_of, zone_of
from homeport_scheduler.store import Books
from homeport_shared.clock import iso
from homeport_shared.errors import HomeportError

AT_ONCE = 1_000  # jobs, events and runs that one look takes; more are taken by the next
PAUSED = "paused"
CURSOR = "events"
KEPT_EVERY = timedelta(hours=1)
DEEPEST = 8  # jobs that start each other by events: a longer chain is a circle


@dataclass(slots=True)
class Look:
    """What a look at the clock came to.

    Attributes:
        start: Runs that this process took up, each with its job; None where that is gone.
        stop: Ids of runs of this process that somebody wants stopped.
        jobs: Ids of the jobs whose state changed.
        more: There is more to do at once.
        wait_until: When something becomes due next; empty when nothing does.
    """

    start: list[tuple[Run, Job | None]] = field(default_factory=list[tuple[Run, Job | None]])
    stop: list[str] = field(default_factory=list[str])
    jobs: set[str] = field(default_factory=set[str])
    more: bool = False
    wait_until: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say, as they are now.

    Attributes:
        zone: Of jobs that name none.
        keep: How long runs and events are kept.
    """

    enabled: bool
    zone: str
    limits: Limits
    keep: timedelta
    most_events: int


def look(books: Books, now: datetime, rules: Rules, process: str, alive: Callable[[str], bool], task: StateOf) -> Look:
    """Look at the clock.

    Args:
        books: The tables, in a transaction.
        now: The time.
        rules: The settings.
        process: The token of this process.
        alive: Says whether the process with a token is alive.
        task: Returns the state of a task of the host by its address.
    """
    found = Look()
    active = rules.enabled and not books.fact(PAUSED)
    running = _take_over(books, process, alive, found)
    _events(books, now, found, active=active)
    known = _due_jobs(books, now, rules, found) if active else {}
    _take_up(books, now, rules, running, process, found, known, task, active=active)
    _forget(books, now, rules)
    found.wait_until = books.first_wait(iso(now)) if active else ""
    return found


def realign(books: Books, now: datetime, zone: str) -> None:
    """Give every job the first instant after `now`: after a pause, and when the clock was put back.

    Instants that come again make no second run: their ids are there already.
    """
    for job in books.all():
        following = next_of(job, now, zone)
        if following != job.next:
            books.set_next(job.id, following)


def next_of(job: Job, now: datetime, zone: str) -> str:
    """Return the first instant of a job after `now` as it is stored; empty when there is none."""
    definition = job.definition
    try:
        schedule = schedule_of(definition.trigger, zone_of(definition.time_zone or zone), definition.dst)
    except HomeportError:  # an update of the time zones took this one away, say: the page shows the problem
        return ""
    following = schedule.after(now) if schedule else None
    return iso(following) if following else ""


def state_of(books: Books, name: str, task: StateOf) -> str:
    """Return the state of what a job comes after: a task, or the newest run of a job; `never` when it did not run."""
    if name.startswith(TASK):
        return task(name)
    run = books.last(books.named(name))
    return run.state if run else "never"


def new_run(job: Job, key: str, planned: datetime, now: datetime, cause: Cause) -> Run:
    """Return a run of `job` that waits; its id is `sched-<job>-<key>`."""
    definition = job.definition
    identifier = f"sched-{job.id}-{key}"
    delay = jitter(identifier, definition.jitter) if cause == "schedule" else timedelta()
    return Run(
        identifier, job.id, definition.name, job.kind, cause, "queued", iso(planned), iso(max(planned + delay, now)),
        PRIORITIES[definition.priority], agreed=job.agreed,
    )  # fmt: skip


def skipped(run: Run, now: datetime, category: str, detail: str) -> Run:
    """Return `run` as one that never starts."""
    return replace(run, state="skipped", finished=iso(now), category=category, detail=detail)


def instant_key(moment: datetime) -> str:
    """Return an instant as part of an id."""
    return iso(moment).replace("-", "").replace(":", "").replace(".000", "")


def _take_over(books: Books, process: str, alive: Callable[[str], bool], found: Look) -> list[Run]:
    """Take the runs of dead processes; the rest that is under way is returned with them."""
    running: list[Run] = []
    living: dict[str, bool] = {process: True}
    for run in books.running():
        if run.process not in living:
            living[run.process] = alive(run.process)
        if not living[run.process]:
            run = replace(run, process=process, category="again")  # nobody knows how far it came
            books.change(run)
            found.start.append((run, books.job(run.job, deleted=True)))
        elif run.process == process and run.category == "stopping":
            found.stop.append(run.id)
        running.append(run)
    return running


def _events(books: Books, now: datetime, found: Look, *, active: bool) -> None:
    notes = books.notes(int(books.fact(CURSOR, "0")), AT_ONCE)
    if not notes:
        return
    for job in books.waiting_for_events() if active else []:
        for note in notes:
            if note.data.get("job") != job.id and job.definition.trigger.fits(note.as_dict()):
                _add_for(books, job, note, now, found)
    books.remember(CURSOR, str(notes[-1].seq))
    found.more = found.more or len(notes) == AT_ONCE


def _add_for(books: Books, job: Job, note: Note, now: datetime, found: Look) -> None:
    run = replace(
        new_run(job, f"event-{note.seq}", datetime.fromisoformat(note.at), now, "event"), event=note.as_dict()
    )
    if int(note.data.get("depth", 0)) >= DEEPEST:
        run = skipped(run, now, "circle", f"{DEEPEST} jobs started each other by events: this looks like a circle.")
    elif job.definition.overlaps == "skip" and books.unfinished(job.id):
        run = skipped(run, now, "overlap", "The run before it was not finished.")
    books.add(run)
    found.jobs.add(job.id)


def _due_jobs(books: Books, now: datetime, rules: Rules, found: Look) -> dict[str, Job]:
    """Write down what became due; return the jobs that did."""
    due = books.due(iso(now), AT_ONCE)
    for job in due:
        definition = job.definition
        try:
            zone = zone_of(definition.time_zone or rules.zone)
            schedule = schedule_of(definition.trigger, zone, definition.dst)
        except HomeportError:  # a zone that an update of the time zones took away, say: the page shows the problem
            schedule = None
        if schedule is None:
            books.set_next(job.id, "")
            continue
        made = plan(schedule, datetime.fromisoformat(job.next), now, definition.missed, definition.missed_most)
        overlapping = definition.overlaps == "skip" and made.runs and books.unfinished(job.id)
        for planned in made.runs:
            run = new_run(job, instant_key(planned), planned, now, "schedule")
            if overlapping:
                run = skipped(run, now, "overlap", "The run before it was not finished.")
            books.add(run)
        if made.passed is not None:
            run = new_run(job, instant_key(made.passed), made.passed, now, "schedule")
            books.add(skipped(run, now, "missed", "The scheduler was off when it was due."))
        books.set_next(job.id, iso(made.following) if made.following else "")
        found.jobs.add(job.id)
    found.more = found.more or len(due) == AT_ONCE
    return {job.id: job for job in due}


def _take_up(
    books: Books,
    now: datetime,
    rules: Rules,
    running: list[Run],
    process: str,
    found: Look,
    known: dict[str, Job],
    task: StateOf,
    *,
    active: bool,
) -> None:
    waiting = [run for run in books.open(iso(now), AT_ONCE) if active or run.cause == "manual"]
    jobs = {run.job: known.get(run.job) or books.job(run.job) for run in waiting}

    there = {identifier: job for identifier, job in jobs.items() if job is not None}
    choice = choose(waiting, running, there, lambda name: state_of(books, name, task), rules.limits)
    for run, category, detail in choice.skip:
        books.change(skipped(run, now, category, detail))
        found.jobs.add(run.job)
    for run in choice.start:
        taken = replace(run, state="running", started=iso(now), process=process)
        books.change(taken)
        found.start.append((taken, there[run.job]))
        found.jobs.add(run.job)


def _forget(books: Books, now: datetime, rules: Rules) -> None:
    if books.fact("forgot") > iso(now - KEPT_EVERY):
        return
    books.forget(iso(now - rules.keep), rules.most_events)
    books.remember("forgot", iso(now))
