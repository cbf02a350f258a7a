"""Tasks as people see them, as tools and resources: one list whoever works on them, and each in detail."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from homeport_host.agents.runs import Wanted
from homeport_host.surface.filters import Several, wanted
from homeport_host.surface.results import Item, Json, Started, dumped, run_json
from homeport_host.surface.services import HostServices
from homeport_host.surface.tools import FOR_PERSONS, changing, reading
from homeport_host.tasks.plans import suggested, suggestion
from homeport_host.tasks.statistics import Group
from homeport_shared.errors import HomeportError
from homeport_shared.server import Server

Part = Literal["", "inputs", "progress", "resources", "artifacts", "relations", "tree", "problem"]
JSON = "application/json"


def register(server: Server, host: HostServices) -> None:
    """Add what concerns tasks."""
    _looking(server, host)
    _figures(server, host)
    _making(server, host)
    _resources(server, host)
    _parts(server, host)


def _looking(server: Server, host: HostServices) -> None:
    @reading(server, "Tasks", "person-only")
    async def list_tasks(
        state: Annotated[str, Field(description="one, or several with commas; `scheduled` = jobs to come")] = "",
        type: Several = "",
        agent: str = "",
        origin: str = "",
        tag: str = "",
        parent: str = "",
        query: str = "",
        since: str = "",
        until: str = "",
        offset: Annotated[int, Field(ge=0)] = 0,
        limit: Annotated[int, Field(ge=1, le=500)] = 100,
    ) -> Item:
        """List all work, of agents, workflows, jobs and servers, with its progress; and count it by state."""
        chosen = wanted(
            state=state, type=type, agent=agent, origin=origin, tag=tag, parent=parent, query=query, since=since,
            until=until,
        )  # fmt: skip
        return Item(**await host.tasks.list(chosen, offset=offset, limit=limit))

    @reading(server, "Task", "person-only")
    async def task_get(task_id: str, part: Part = "") -> Item:
        """Read everything about a task, or one part of it; `tree` is the hierarchy that it belongs to."""
        if not part:
            return Item(**await host.tasks.get(task_id))
        return Item.model_validate({part: await _part(host, task_id, part)})


def _figures(server: Server, host: HostServices) -> None:
    @reading(server, "Statistics of tasks", "person-only")
    async def task_statistics(group_by: Group = "type", since: str = "", until: str = "", type: str = "") -> Item:
        """Tell success and error rates, lengths, what was used day by day, bottlenecks, and how far each group is."""
        return Item(**await host.tasks.statistics(wanted(since=since, until=until, type=type), group_by))

    @reading(server, "Filters of tasks", "person-only")
    async def task_filters() -> Item:
        """List the values by which tasks can be filtered."""
        return Item(**await host.tasks.filters())


def _making(server: Server, host: HostServices) -> None:
    @reading(server, "Check a task", "person-only")
    async def task_check(plan: Json) -> Item:
        """Say what speaks against a task (parameters, agent, tools, files, schedule) without running anything."""
        _, problems = await host.tasks.planning.check(plan)
        return Item.model_validate({"ok": not problems, "problems": problems})

    @changing(server, "Create a task", "person-only")
    async def task_create(plan: Json, draft: bool = False) -> Item:
        """Start a task now, or at its time as a job of the scheduler; a draft waits until it is resumed."""
        return Item.model_validate(await host.tasks.planning.create(plan, draft=draft))

    @changing(server, "Draft a task", "person-only")
    async def task_draft(sentence: str, model: str = "") -> Started:
        """Let an agent write down the task that a sentence means; task_drafted gives it once the run has ended."""
        now = host.run_store.clock.now().astimezone().strftime("%A, %Y-%m-%d %H:%M")
        return Started(run_id=await host.runs.start(sentence, **suggestion(host.agents.names(), now, model)))

    @reading(server, "Drafted task", "person-only")
    async def task_drafted(run_id: str) -> Item:
        """Return the task that an agent wrote down, for review, and what speaks against it."""
        plan = suggested(await host.runs.get(run_id))
        _, problems = await host.tasks.planning.check(plan)
        return Item.model_validate({"plan": plan, "problems": problems})

    @changing(server, "Review a result", "person-only")
    async def task_review(task_id: str, accept: bool, remark: str = "") -> Item:
        """Accept an answer that waits for it, which completes the task, or send it back with a remark."""
        return Item(**run_json(await host.steering.review(task_id, accept=accept, remark=remark)))


def _resources(server: Server, host: HostServices) -> None:
    @server.resource("task://recent", title="Tasks", mime_type=JSON, meta=FOR_PERSONS)
    async def recent() -> str:
        """All work, the newest; the tool list_tasks filters and pages."""
        return dumped(await host.tasks.list(Wanted()))

    @server.resource("task://filters", title="Filters of tasks", mime_type=JSON, meta=FOR_PERSONS)
    async def filters() -> str:
        """The values by which tasks can be filtered; also the tool task_filters."""
        return dumped(await host.tasks.filters())

    @server.resource("task://statistics", title="Statistics of tasks", mime_type=JSON, meta=FOR_PERSONS)
    async def figures() -> str:
        """How tasks went; the tool task_statistics narrows it."""
        return dumped(await host.tasks.statistics(Wanted(), "type"))

    @server.resource("task://{task_id}", title="Task", mime_type=JSON, meta=FOR_PERSONS)
    async def task(task_id: str) -> str:
        """Everything about a task; also the tool task_get."""
        return dumped(await host.tasks.get(task_id))


def _parts(server: Server, host: HostServices) -> None:
    @server.resource("task://{task_id}/progress", title="Progress of a task", mime_type=JSON, meta=FOR_PERSONS)
    async def progress(task_id: str) -> str:
        """Percent, time left, the step under way, all steps and a timeline."""
        return dumped(await _part(host, task_id, "progress"))

    @server.resource("task://{task_id}/resources", title="What a task used", mime_type=JSON, meta=FOR_PERSONS)
    async def resources(task_id: str) -> str:
        """Tokens, cost, time of models and processor, memory."""
        return dumped(await _part(host, task_id, "resources"))

    @server.resource("task://{task_id}/artifacts", title="What a task made", mime_type=JSON, meta=FOR_PERSONS)
    async def artifacts(task_id: str) -> str:
        """Files, resources and the answer."""
        return dumped(await _part(host, task_id, "artifacts"))

    @server.resource("task://{task_id}/tree", title="Hierarchy of a task", mime_type=JSON, meta=FOR_PERSONS)
    async def tree(task_id: str) -> str:
        """The tasks above and below, with what each waits for."""
        return dumped(await _part(host, task_id, "tree"))


async def _part(host: HostServices, task: str, part: Part) -> object:
    run, details = await host.runs.get(task), host.tasks.details
    match part:
        case "inputs":
            return await details.inputs(run)
        case "progress":
            return await details.progress(run)
        case "resources":
            return await details.resources(run)
        case "artifacts":
            return await details.artifacts(run)
        case "relations":
            return await details.relations(run)
        case "tree":
            return await details.tree(run)
        case "problem":
            return await details.problem(run)
        case _:
            raise HomeportError("invalid", "A task has no such part.")
