"""Jobs as tools, resources and pages show them."""

from __future__ import annotations

from pydantic import BaseModel

from homeport_shared.jobs import Job, Jobs
from homeport_shared.paths import show


class JobRow(BaseModel):
    """A piece of long work; `notes` are its problems, or what it found out."""

    job_id: str
    kind: str
    state: str
    done: int
    total: int
    message: str
    counters: dict[str, float]
    notes: list[str]
    paths: list[str]
    seconds: float
    error: str
    created: str
    finished: str


class JobRows(BaseModel):
    """Jobs, newest first."""

    jobs: list[JobRow]


def job_row(jobs: Jobs, job: Job) -> JobRow:
    """Return `job`, one of `jobs`, as it is shown."""
    return JobRow(
        job_id=job.id,
        kind=job.kind,
        state=job.state,
        done=job.done,
        total=job.total,
        message=job.message,
        counters=job.counters,
        notes=job.notes,
        paths=[show(str(path)) for path in job.params.get("paths") or ()],
        seconds=jobs.elapsed(job),
        error=job.error,
        created=job.created,
        finished=job.finished,
    )
