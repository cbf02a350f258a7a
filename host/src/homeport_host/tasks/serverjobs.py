"""The long work of servers as tasks: whatever a bundled server's tool `jobs` tells, under the id `server:job`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, cast

from homeport_host.agents.runs import TaskType, Wanted
from homeport_host.documents import CallTool
from homeport_host.governance.calls import Tool
from homeport_shared.clock import Clock, iso
from homeport_shared.errors import HomeportError
from homeport_shared.jobs import NEWS

Json = dict[str, Any]
TYPES: Mapping[str, TaskType] = {"rag": "knowledge", "files": "file", "mail": "mail"}
UNFINISHED = ("queued", "running")
SEPARATOR = ":"


class ServerJobs:
    """Reads and stops the jobs of servers.

    Args:
        tools: Returns the tools there are.
        call: Calls a tool for a person.
        clock: Tells the time.
    """

    def __init__(self, tools: Callable[[], Iterable[Tool]], call: CallTool, clock: Clock) -> None:
        self._tools = tools
        self._call = call
        self._clock = clock

    @staticmethod
    def news(resources: Iterable[Mapping[str, Any]]) -> str | None:
        """Return the address of the resource that changes with the jobs of a server; None when it tells no news."""
        told = (each for each in resources if next(iter(NEWS)) in cast("Json", each.get("_meta") or {}))
        return next((str(each["uri"]) for each in told), None)

    def servers(self) -> list[str]:
        """Return the servers whose tool `jobs` gives jobs and whose tool `cancel_job` stops one."""
        names = {tool.name for tool in self._tools()}
        found = [tool for tool in self._tools() if tool.own == "jobs" and f"{tool.server}__cancel_job" in names]
        return sorted(tool.server for tool in found if _gives_jobs(tool))

    async def list(self, wanted: Wanted) -> list[Json]:
        """Return the wanted jobs of all servers, those under way first, then the newest; a silent server has none."""
        rows: list[Json] = []
        for server in self.servers():
            try:
                found = await self._call(f"{server}__jobs", {})
            except HomeportError:
                continue  # it restarts; its jobs are there again when it is
            rows += [self._row(server, job) for job in cast("list[Json]", found["jobs"])]
        rows = [row for row in rows if _fits(row, wanted)]
        rows.sort(key=lambda row: row["created"], reverse=True)
        return sorted(rows, key=lambda row: row["state"] not in UNFINISHED)

    async def get(self, task: str) -> Json:
        """Return one job.

        Raises:
            HomeportError: `not_found`.
        """
        server, job = self._parts(task)
        found = cast("list[Json]", (await self._call(f"{server}__jobs", {"job_id": job}))["jobs"])
        return self._row(server, found[0])

    async def cancel(self, task: str) -> Json:
        """Stop a job.

        Raises:
            HomeportError: `not_found`, or what the server says.
        """
        server, job = self._parts(task)
        await self._call(f"{server}__cancel_job", {"job_id": job})
        return await self.get(task)

    def _parts(self, task: str) -> tuple[str, str]:
        server, _, job = task.partition(SEPARATOR)
        if server not in self.servers():
            raise HomeportError("not_found", f"There is no task {task[:64]!r}.", "List the tasks.")
        return server, job

    def _row(self, server: str, job: Mapping[str, Any]) -> Json:
        """Return a job in the form of a run."""
        seconds = float(job.get("seconds") or 0)
        created = str(job.get("created") or iso(self._clock.now() - timedelta(seconds=seconds)))
        begun = job["state"] != "queued"
        finished = str(job.get("finished") or "")
        if job["state"] not in UNFINISHED and not finished:
            finished = iso(datetime.fromisoformat(created) + timedelta(seconds=seconds))
        done, total = int(job.get("done") or 0), int(job.get("total") or 0)
        percent = 100.0 if job["state"] == "completed" else round(100 * done / total, 1) if total else None
        words = str(job["kind"]).replace("_", " ")
        error = {"code": "internal", "message": str(job["error"]), "hint": ""} if job.get("error") else None
        return {
            "id": f"{server}{SEPARATOR}{job['job_id']}", "kind": "server", "type": TYPES.get(server, "custom"),
            "server": server, "agent": "", "model": "", "title": f"{server}: {words}", "state": job["state"],
            "prompt": ", ".join(job.get("paths") or ()), "answer": "\n".join(job.get("notes") or ()),
            "created": created, "started": created if begun else "", "finished": finished, "error": error,
            "steps": done, "origin": "user", "priority": 1, "parent": "", "after": [], "tags": [],
            "own_tags": [TYPES.get(server, "custom"), server], "waits_for": "", "session_id": "", "citations": [],
            "usage": {"seconds": seconds, **(job.get("counters") or {})},
            "progress": {"percent": percent, "basis": "steps", "eta_seconds": _left(seconds, done, total),
                         "text": str(job.get("message") or "")},
        }  # fmt: skip


def _gives_jobs(tool: Tool) -> bool:
    schema = cast("Json", tool.definition.get("outputSchema") or {})
    return "jobs" in cast("Json", schema.get("properties") or {})


def _left(seconds: float, done: int, total: int) -> float | None:
    return round(seconds * (total - done) / done, 1) if done and total > done else None


def _fits(row: Json, wanted: Wanted) -> bool:
    text = f"{row['title']} {row['prompt']}".lower()
    return (
        not (wanted.owner or wanted.agent or wanted.parent or wanted.kinds)
        and (not wanted.states or row["state"] in wanted.states)
        and (not wanted.types or row["type"] in wanted.types)
        and (not wanted.origin or row["origin"] == wanted.origin)
        and (not wanted.tag or wanted.tag in row["own_tags"])
        and (not wanted.since or row["created"] >= wanted.since)
        and (not wanted.until or row["created"] < wanted.until)
        and all(word in text for word in wanted.text.lower().split())
    )
