"""What starts a workflow besides a person: its job of the scheduler, which is what counts; the workflow shows it.

A draft that has no job yet says by its own trigger which one it gets when it is activated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from homeport_host.documents import CallTool
from homeport_host.workflows.checking import errors_of
from homeport_host.workflows.graph import Graph
from homeport_host.workflows.library import WorkflowLibrary
from homeport_host.workflows.parts import Problem
from homeport_host.workflows.store import Workflow
from homeport_shared.errors import HomeportError

Json = dict[str, Any]
WHEN = ("cron", "every", "at", "event", "where")
PAGE = 200
ON_DEMAND = "manual"  # a job that only a person or a subscription starts is no schedule


class Schedules:
    """Keeps workflows and the jobs that start them in step.

    Args:
        library: The workflows.
        call: Calls a tool of the scheduler, for a person.
        there: Whether there is a scheduler.
    """

    def __init__(self, library: WorkflowLibrary, call: CallTool, there: Callable[[], bool]) -> None:
        self._library = library
        self._call = call
        self._there = there

    async def shown(self, workflows: Sequence[tuple[Workflow, Json]]) -> list[Json]:
        """Return the graphs of workflows, each with the trigger that counts now.

        Args:
            workflows: Each with its current graph as it was saved.
        """
        triggers = await self._known(workflow for workflow, _ in workflows)
        return [_with(triggers, workflow, graph) for workflow, graph in workflows]

    async def graph(self, workflow: str) -> Json:
        """Return the graph of one workflow, with the trigger that counts now.

        Raises:
            HomeportError: `not_found`.
        """
        found, version = await self._library.get(workflow)
        return (await self.shown([(found, version.graph)]))[0]

    async def save(
        self, value: Any, *, workflow: str = "", note: str = "", expected: int = 0
    ) -> tuple[Workflow, list[Problem]]:
        """Save a graph as `WorkflowLibrary.save` does, and let its jobs follow; also return what they could not follow.

        A graph without the field `trigger` leaves the schedule as it is; an empty trigger ends it.

        Raises:
            HomeportError: `invalid`, `not_found` or `conflict`: nothing is saved then.
        """
        before, trigger = "", Json()
        if workflow:
            before = (await self._library.store.get(workflow)).name
            trigger = cast("Json", (await self.graph(workflow)).get("trigger") or {})
            if isinstance(value, dict) and "trigger" not in value:
                value = {**cast("Json", value), "trigger": trigger}
        saved = await self._library.save(value, workflow=workflow, note=note, expected=expected)
        try:
            await self._follow(saved, before or saved.name, trigger)
        except HomeportError as error:
            return saved, [Problem("", f"Its schedule could not follow: {error}", "trigger", "warning")]
        return saved, await self.check((await self.graph(saved.id)).get("trigger", {}))

    async def check(self, trigger: Json) -> list[Problem]:
        """Return what the scheduler has against a trigger; nothing where there is none."""
        if not self._there() or not _when(trigger):
            return []
        try:
            await self._call("scheduler__preview", {"trigger": _when(trigger)})
        except HomeportError as error:
            return [Problem("", f"It cannot be started so: {error}", "trigger")] if error.code == "invalid" else []
        return []

    async def check_all(self, value: Any) -> tuple[Graph, list[Problem]]:
        """Check a workflow as `WorkflowLibrary.check` does, and its trigger as well.

        Raises:
            HomeportError: `invalid`, when it is no graph at all.
        """
        graph, problems = await self._library.check(value)
        return graph, [*problems, *await self.check(graph.as_json().get("trigger", {}))]

    async def bring_in(self, value: Any, *, anyway: bool = False) -> tuple[Workflow | None, list[Problem]]:
        """Import an exported workflow; with errors it is only saved when that is wanted `anyway`.

        Returns:
            The saved workflow, None when nothing was saved, and its problems, such as tools that are missing here.

        Raises:
            HomeportError: `invalid`, when it is no graph at all.
        """
        graph, problems = await self.check_all(value)
        if errors_of(problems) and not anyway:
            return None, problems
        return await self._library.bring_in(graph), problems

    async def switch(self, workflow: str, *, active: bool) -> Workflow:
        """Activate a workflow with its jobs, or make it a draft and stop them.

        Raises:
            HomeportError: `not_found`; `invalid`, when it has errors; or what the scheduler says, when it is active but
                nothing starts it.
        """
        trigger = (await self.graph(workflow)).get("trigger", {})
        if not active:
            _, version = await self._library.get(workflow)
            if version.graph.get("trigger", {}) != trigger:  # what is activated later is what it was last
                graph = {**version.graph, "trigger": trigger}
                await self._library.save(graph, workflow=workflow, note="its schedule as it was")
        changed = await self._library.set_status(workflow, "active" if active else "draft")
        jobs = _of(changed, await self._jobs()) if self._there() else []
        if jobs:
            await self._change(jobs, "enable" if active else "disable")
        if active and _when(trigger) and all(job["trigger"] == ON_DEMAND for job in jobs):
            await self._add(changed.name, trigger)
        return changed

    async def remove(self, workflow: Workflow) -> None:
        """Delete a workflow and the jobs that start it."""
        jobs = _of(workflow, await self._jobs()) if self._there() else []
        await self._library.remove(workflow.id)
        await self._change(jobs, "delete")

    async def _known(self, workflows: Iterable[Workflow]) -> dict[str, Json] | None:
        """Return the triggers that jobs give workflows, by id; None when nobody knows."""
        if not self._there():
            return None
        try:
            jobs = await self._jobs()
            own = {workflow.id: job for workflow in workflows if (job := _own(workflow, jobs))}
            given = await self._definitions([job["id"] for job in own.values()])
        except HomeportError:  # it restarts, or a job was deleted in between
            return None
        return {id: _trigger(definition) for id, definition in zip(own, given, strict=True)}

    async def _follow(self, saved: Workflow, before: str, trigger: Json) -> None:
        """Let the jobs of a workflow follow its new version.

        Args:
            saved: The workflow.
            before: What it was called.
            trigger: What it showed before.
        """
        wanted = (await self._library.get(saved.id))[1].graph.get("trigger", {})
        if not self._there():
            if wanted != trigger:
                raise HomeportError("unavailable", "There is no scheduler.", "Save it again when there is.")
            return
        rows = await self._jobs()
        jobs = [*_of(saved, rows), *(_named(before, rows) if before != saved.name else [])]
        if saved.status == "draft":
            await self._change([job for job in jobs if job["enabled"]], "disable")
        for job in jobs if before != saved.name else []:
            name = saved.name if job["name"] == before else job["name"]
            await self._edit(job, name=name, workflow=saved.name)
        timed = [job for job in jobs if job["trigger"] != ON_DEMAND]
        if wanted == trigger or (not timed and saved.status == "draft"):
            return
        if not _when(wanted):
            await self._change(timed, "delete")
        elif not timed:
            await self._add(saved.name, wanted)
        else:
            await self._edit(min(timed, key=_first), workflow=saved.name, trigger=wanted)

    async def _add(self, name: str, trigger: Json) -> None:
        action = {"workflow": name, "arguments": trigger.get("parameters", {})}
        about = f"Runs the workflow {name}."
        definition = {"name": name, "description": about, "trigger": _when(trigger), "action": action}
        await self._call("scheduler__add_job", {"definition": definition, "enabled": True})

    async def _edit(self, job: Json, *, workflow: str, name: str = "", trigger: Json | None = None) -> None:
        [definition] = await self._definitions([job["id"]])
        action, changes = {**definition["action"], "workflow": workflow}, Json()
        if trigger is not None:
            now, changes["trigger"] = definition.get("trigger", {}), _when(trigger)
            if trigger.get("every") and trigger["every"] == now.get("every"):
                changes["trigger"]["start"] = now["start"]  # it goes on in step
            action["arguments"] = trigger.get("parameters", {})
        if name:
            changes["name"] = name
        await self._call("scheduler__edit_job", {"job": job["id"], "changes": {**changes, "action": action}})

    async def _change(self, jobs: Sequence[Json], action: str) -> None:
        if not jobs:
            return
        names = [job["id"] for job in jobs]
        failed = (await self._call("scheduler__change_jobs", {"names": names, "action": action}))["failed"]
        if failed:
            raise HomeportError("conflict", " ".join(failed), "Look at its job on the page Automation.")

    async def _jobs(self) -> list[Json]:
        """Return the jobs that run workflows."""
        found, cursor = list[Json](), ""
        while True:
            page = await self._call("scheduler__list_jobs", {"kind": "workflow", "limit": PAGE, "cursor": cursor})
            found += page["jobs"]
            cursor = page["next"]
            if not cursor:
                return found

    async def _definitions(self, names: list[str]) -> list[Json]:
        if not names:
            return []
        return (await self._call("scheduler__export_jobs", {"names": names}))["document"]["jobs"]


def _with(triggers: dict[str, Json] | None, workflow: Workflow, graph: Json) -> Json:
    """Return a graph with the trigger that counts: that of a job; without one, what a draft says for later."""
    if triggers is None or (workflow.id not in triggers and workflow.status == "draft"):
        return graph
    rest = {name: value for name, value in graph.items() if name != "trigger"}
    trigger = triggers.get(workflow.id)
    return {**rest, "trigger": trigger} if trigger else rest


def _of(workflow: Workflow, jobs: Sequence[Json]) -> list[Json]:
    return [*_named(workflow.name, jobs), *_named(workflow.id, jobs)]


def _named(workflow: str, jobs: Sequence[Json]) -> list[Json]:
    return [job for job in jobs if job["what"] == f"workflow {workflow}"]


def _own(workflow: Workflow, jobs: Sequence[Json]) -> Json | None:
    """Return the job whose trigger is that of the workflow, where several start it."""
    timed = [job for job in _of(workflow, jobs) if job["trigger"] != ON_DEMAND]
    return min(timed, key=_first, default=None)


def _first(job: Json) -> tuple[bool, bool, str]:
    return not job["enabled"], job["what"] != f"workflow {job['name']}", job["name"]


def _when(trigger: Json) -> Json:
    return {name: trigger[name] for name in WHEN if trigger.get(name)}


def _trigger(definition: Json) -> Json:
    """Return what a job starts its workflow with, as a graph writes it."""
    arguments = definition["action"].get("arguments", {})
    return {**_when(definition.get("trigger", {})), **({"parameters": arguments} if arguments else {})}
