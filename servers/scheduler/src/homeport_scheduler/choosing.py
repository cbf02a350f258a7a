"""Which of the waiting runs may start now: overlap, dependencies and limits. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from homeport_scheduler.definitions import Kind
from homeport_scheduler.records import Job, Run

StateOf = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Limits:
    """How many runs may be under way, in all and of one kind; emitting an event is no load."""

    total: int
    tool: int
    agent: int

    def of(self, kind: Kind) -> int:
        """Return the limit of one kind."""
        return {"tool": self.tool, "agent": self.agent, "workflow": self.total, "event": 1_000_000}[kind]


@dataclass(slots=True)
class Choice:
    """What becomes of the waiting runs; those in neither list go on waiting.

    Attributes:
        start: To be started, the most urgent first.
        skip: Never to be started, with category and reason.
    """

    start: list[Run] = field(default_factory=list[Run])
    skip: list[tuple[Run, str, str]] = field(default_factory=list[tuple[Run, str, str]])


def choose(
    waiting: Iterable[Run],
    running: Iterable[Run],
    jobs: Mapping[str, Job],
    state: StateOf,
    limits: Limits,
) -> Choice:
    """Decide on the waiting runs, which come in the order of their urgency.

    Args:
        waiting: Runs that may start by the time.
        running: Runs that are under way.
        jobs: Id → job, for every job that a waiting run is of and that is not deleted.
        state: Name of a job, or address of a task → the state of its newest run that was not skipped, or of the task.
        limits: How many at once.
    """
    under_way = list(running)
    busy = Counter(run.job for run in under_way)
    kinds = Counter(run.kind for run in under_way)
    choice = Choice()
    for run in waiting:
        job = jobs.get(run.job)
        if job is None:
            choice.skip.append((run, "deleted", "The job was deleted before it could run."))
            continue
        verdict = "" if run.cause == "manual" else _dependencies(job, state)
        if verdict == "skip":
            choice.skip.append((run, "dependency", f"What it comes after did not succeed: {_failed(job, state)}."))
        elif verdict == "wait" or (busy[run.job] and job.definition.overlaps != "allow"):
            continue
        elif kinds.total() < limits.total and kinds[run.kind] < limits.of(run.kind):
            choice.start.append(run)
            busy[run.job] += 1
            kinds[run.kind] += 1
    return choice


def blocked_by(job: Job, state: StateOf) -> list[tuple[str, str]]:
    """Return the jobs and tasks that `job` comes after, each with its state; `never` for a job that did not run yet."""
    return [(name, state(name)) for name in job.definition.after]


def _dependencies(job: Job, state: StateOf) -> str:
    states = {each for _, each in blocked_by(job, state)}
    if states & {"never", "queued", "running", "waiting", "paused"}:
        return "wait"
    if states - {"completed"}:
        return {"wait": "wait", "skip": "skip", "run": ""}[job.definition.on_failed]
    return ""


def _failed(job: Job, state: StateOf) -> str:
    return ", ".join(f"{name} ({each})" for name, each in blocked_by(job, state) if each != "completed")
