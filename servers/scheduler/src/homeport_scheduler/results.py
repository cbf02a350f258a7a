"""What the tools return."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from homeport_scheduler.definitions import Definition
from homeport_scheduler.records import Run


class Occurrence(BaseModel):
    """A time at which a job runs: `at` in UTC, `local` in its time zone, `note` about a change of the clocks."""

    at: str
    local: str
    note: str = ""


class RunRow(BaseModel):
    """A run. `category` says why it failed or was skipped, `detail` is its result or what went wrong."""

    id: str
    job: str
    name: str
    kind: str
    cause: str
    state: str
    planned: str
    started: str
    finished: str
    seconds: float
    attempt: int
    category: str
    detail: str
    host_run: str
    event: dict[str, Any] | None = None
    attempts: list[dict[str, str]] = []

    @classmethod
    def of(cls, run: Run, *, whole: bool = False) -> RunRow:
        """Return a run as it is shown; in lists without its event and earlier attempts."""
        fields = {name: getattr(run, name) for name in cls.model_fields}
        if not whole:
            fields |= {"event": None, "attempts": [], "detail": run.detail[:300]}
        return cls(**fields)


class RunDetail(BaseModel):
    """One run with its event and its earlier attempts."""

    run: RunRow


class Runs(BaseModel):
    """Runs, newest first."""

    runs: list[RunRow]
    next: str = ""


class JobRow(BaseModel):
    """A job in a list; `last` is its newest run."""

    id: str
    name: str
    kind: str
    trigger: str
    when: str
    what: str
    enabled: bool
    owner: str
    agreed: bool
    priority: str
    next: str
    last_state: str = ""
    last_started: str = ""
    last_seconds: float = 0
    last_run: str = ""
    running: bool = False
    version: int = 1


class JobList(BaseModel):
    """Jobs by name."""

    jobs: list[JobRow]
    next: str = ""


class Figures(BaseModel):
    """How runs went in the days that are kept: numbers by state, seconds of those completed."""

    runs: dict[str, int]
    average: float = 0
    shortest: float = 0
    longest: float = 0


class JobDetail(BaseModel):
    """A job with everything that is known about it."""

    job: JobRow
    definition: Definition
    created: str
    updated: str
    time_zone: str
    upcoming: list[Occurrence]
    after: list[dict[str, str]]
    figures: Figures
    recent: list[RunRow]


class JobShown(BaseModel):
    """One job."""

    detail: JobDetail


class Checked(BaseModel):
    """Whether a job can be saved; `problems` prevent it, `warnings` do not."""

    ok: bool
    problems: list[str]
    warnings: list[str]
    upcoming: list[Occurrence]


class Saved(BaseModel):
    """The job as it was saved."""

    job: JobRow
    warnings: list[str]
    upcoming: list[Occurrence]


class Changed(BaseModel):
    """Names of the jobs that were changed, and a sentence for each that was not."""

    changed: list[str]
    failed: list[str] = []


class Preview(BaseModel):
    """When a trigger is due; with past days when it would have been, and on which events."""

    upcoming: list[Occurrence]
    past: list[Occurrence] = []
    events: list[dict[str, Any]] = []


class Started(BaseModel):
    """The run that was started."""

    run_id: str


class Exported(BaseModel):
    """Jobs as a document."""

    document: dict[str, Any]


class Next(BaseModel):
    """A job that runs soon."""

    id: str
    name: str
    at: str


class Paused(BaseModel):
    """Whether everything is paused."""

    paused: bool


class Status(BaseModel):
    """The scheduler: `why` when it is paused or in error; figures of the last 24 hours."""

    state: Literal["running", "paused", "error"]
    why: str = ""
    time_zone: str
    jobs: int
    enabled: int
    queued: int
    running: int
    day: Figures
    coming: list[Next]
    failing: list[str] = []


class StatusNow(BaseModel):
    """How the scheduler is now."""

    status: Status
