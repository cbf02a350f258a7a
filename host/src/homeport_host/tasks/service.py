"""The one list of tasks, whoever works on them, and each of them in detail."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, cast

from homeport_host.agents.runs import PRIORITIES, TYPES, Run, RunStore, Wanted
from homeport_host.documents import CallTool
from homeport_host.engine.protocol import FINAL
from homeport_host.tasks.details import STEP, Details
from homeport_host.tasks.plans import Planning
from homeport_host.tasks.problems import category_of
from homeport_host.tasks.serverjobs import SEPARATOR, ServerJobs
from homeport_host.tasks.statistics import Group, statistics
from homeport_shared.errors import HomeportError

Json = dict[str, Any]
SCHEDULED = "scheduled"  # the state of a job of the scheduler that waits for its time
MOST_COUNTED = 10_000  # runs that statistics look at, the newest


@dataclass
class Tasks:
    """What people see of tasks.

    Attributes:
        store: Where runs are kept.
        details: Gathers what there is to see of one.
        jobs: The long work of servers.
        planning: Checks and starts new ones.
        call: Calls a tool for a person; asked for the jobs of the scheduler.
    """

    store: RunStore
    details: Details
    jobs: ServerJobs
    planning: Planning
    call: CallTool

    async def list(self, wanted: Wanted, *, offset: int = 0, limit: int = 100) -> Json:
        """Return tasks: jobs of servers under way first, then the newest; counted by state, `total` in all.

        Args:
            wanted: Which ones; the state `scheduled` gives the jobs that the scheduler will start.
            offset: How many to leave out first.
            limit: Most rows to return.
        """
        if wanted.states == (SCHEDULED,):
            rows = await self._scheduled()
            return {"rows": rows[offset : offset + limit], "counts": {SCHEDULED: len(rows)}, "total": len(rows)}
        jobs = await self.jobs.list(wanted)
        kept, left = jobs[offset : offset + limit], max(offset - len(jobs), 0)
        runs = await self.store.latest(wanted, limit=limit - len(kept), offset=left) if len(kept) < limit else []
        counts = Counter(await self.store.count(wanted)) + Counter(job["state"] for job in jobs)
        rows = [*kept, *[await self.row(run) for run in runs]]
        return {"rows": rows, "counts": dict(counts), "total": sum(counts.values())}

    async def row(self, run: Run) -> Json:
        """Return a run as it stands in the list."""
        shown = {**asdict(run), "own_tags": run.own_tags, "waits_for": run.waits_for, "server": ""}
        return {**shown, "progress": await self.details.brief(run)}

    async def get(self, task: str) -> Json:
        """Return everything about a task: its row, and what `Details` gathers.

        Raises:
            HomeportError: `not_found`.
        """
        if STEP in task:
            return {"task": await self.details.step(task)}
        if SEPARATOR in task:
            return {"task": await self._job(task)}
        run, details = await self.store.get(task), self.details
        return {
            "task": await self.row(run),
            "inputs": await details.inputs(run),
            "progress": await details.progress(run),
            "resources": await details.resources(run),
            "artifacts": await details.artifacts(run),
            "relations": await details.relations(run),
            "problem": await details.problem(run),
        }

    async def statistics(self, wanted: Wanted, group_by: Group) -> Json:
        """Return how the wanted runs went; see `statistics`."""
        return statistics(await self.store.latest(wanted, limit=MOST_COUNTED), group_by)

    async def filters(self) -> Json:
        """Return the values by which tasks can be filtered, and those that some task has."""
        return {
            "states": ["queued", "running", "waiting", "paused", *sorted(FINAL), SCHEDULED],
            "types": list(TYPES),
            "priorities": list(PRIORITIES),
            "servers": self.jobs.servers(),
            "used": await self.store.used_values(),
        }

    async def _job(self, task: str) -> Json:
        row = await self.jobs.get(task)
        if row["error"]:
            row["category"], row["suggestions"] = category_of(row["error"]["code"])
        return row

    async def _scheduled(self) -> list[Json]:
        try:
            found = await self.call("scheduler__list_jobs", {"limit": 200})
        except HomeportError:
            return []  # there is no scheduler, or it restarts
        jobs = cast("list[Json]", found["jobs"])
        return [_of_schedule(job) for job in jobs if job["enabled"] and job["next"]]


def _of_schedule(job: Json) -> Json:
    """Return a job of the scheduler in the form of a run."""
    kind = {"workflow": "workflow", "agent": "agent"}.get(job["kind"], "automation")
    return {
        "id": f"job/{job['name']}", "kind": "schedule", "type": kind, "server": "scheduler", "agent": "",
        "title": job["name"], "prompt": job["what"], "state": SCHEDULED, "created": job["next"], "started": "",
        "finished": "", "origin": "schedule", "priority": PRIORITIES.index(job["priority"]), "parent": "", "tags": [],
        "own_tags": [kind, job["priority"]], "waits_for": job["when"], "steps": 0, "session_id": "",
        "last_run": job["last_run"], "last_state": job["last_state"],
        "progress": {"percent": None, "basis": "scheduled", "eta_seconds": None, "text": job["when"]},
    }  # fmt: skip
