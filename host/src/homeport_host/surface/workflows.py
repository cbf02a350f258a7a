"""Workflows as tools and resources: agents and programs may look at them and run them, a person writes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field

from homeport_host.engine.protocol import FINAL
from homeport_host.surface.results import NO_JSON, Item, Json, Named, Rows, Started, dumped
from homeport_host.surface.services import HostServices
from homeport_host.surface.tools import FOR_PERSONS, changing, destroying, reading
from homeport_host.workflows.graph import Graph
from homeport_host.workflows.history import artifacts
from homeport_host.workflows.library import requirements_of, templates
from homeport_host.workflows.making import by_calls, from_task, suggested, suggestion
from homeport_host.workflows.parts import Problem, outline
from homeport_host.workflows.store import Workflow
from homeport_shared import identity
from homeport_shared.errors import HomeportError
from homeport_shared.server import Server

MOST_SHOWN = 20  # runs of a workflow


def register(server: Server, host: HostServices) -> None:
    """Add what concerns workflows."""
    _running(server, host)
    _reading(server, host)
    _saving(server, host)
    _keeping(server, host)
    _making(server, host)
    _resources(server, host)


def _running(server: Server, host: HostServices) -> None:
    @changing(server, "Run a workflow")
    async def workflow_run(
        workflow: str,
        parameters: Json = NO_JSON,
        idempotency_key: str = "",
    ) -> Started:
        """Start one of workflows://."""
        run = await host.workflows.start(workflow, parameters, idempotency_key=idempotency_key)
        return Started(run_id=run)

    @changing(server, "Try a workflow", "person-only")
    async def workflow_try(
        workflow: str,
        parameters: Json = NO_JSON,
        dry: Annotated[bool, Field(description="change nothing outside")] = True,
        start: Annotated[str, Field(description="node to begin at")] = "",
        pinned: Annotated[Json, Field(description="node → output to take instead of doing it")] = NO_JSON,
        from_run: Annotated[str, Field(description="run whose outputs are taken up to start")] = "",
        version: int = 0,
        idempotency_key: str = "",
    ) -> Started:
        """Run a workflow without outside effects, or from a node on, or an earlier version; see workflow_steps."""
        run = await host.workflows.start(
            workflow,
            parameters,
            dry=dry,
            start=start,
            pinned=pinned,
            from_run=from_run,
            version=version,
            idempotency_key=idempotency_key,
        )
        return Started(run_id=run)

    @reading(server, "Steps of a workflow's run", "person-only")
    async def workflow_steps(run_id: str) -> Item:
        """Read what went through each node of a run: state, input, output, error, times; its log and its results."""
        return Item(**await _steps(host, run_id))


def _reading(server: Server, host: HostServices) -> None:
    @reading(server, "Workflows", "person-only")
    async def list_workflows(query: str = "") -> Rows:
        """List the workflows and their variables."""
        return Rows(rows=await _list(host, query))

    @reading(server, "Workflow", "person-only")
    async def workflow_get(workflow: str, version: int = 0) -> Item:
        """Read a workflow: nodes, variables, problems, runs."""
        return Item(**await _shown(host, workflow, version))

    @reading(server, "Metrics of a workflow", "person-only")
    async def workflow_metrics(workflow: str) -> Item:
        """Read how its latest runs went: how many, how they ended, how long they took, what they used, what is slow."""
        return Item(**await host.workflows.metrics(workflow))

    @reading(server, "Check a workflow", "person-only")
    async def workflow_check(graph: Json) -> Rows:
        """List what speaks against a graph, node by node; nothing is saved."""
        _, problems = await host.schedules.check_all(graph)
        return Rows(rows=_told(problems))

    @reading(server, "Versions of a workflow", "person-only")
    async def workflow_versions(workflow: str, before: int = 0, after: int = 0) -> Rows:
        """List the versions; with `before`, the differences between two (`after` 0 = the current one)."""
        library = host.workflows.library
        if before:
            return Rows(rows=[asdict(change) for change in await library.compare(workflow, before, after)])
        found, _ = await library.get(workflow)
        rows = [asdict(version) for version in await library.store.versions(found.id)]
        return Rows(rows=[{name: value for name, value in row.items() if name != "graph"} for row in rows])

    @reading(server, "Export a workflow", "person-only")
    async def workflow_export(workflow: str) -> Item:
        """Return a workflow as a document that workflow_import takes, here or elsewhere."""
        return Item(**await host.schedules.graph(workflow))


def _saving(server: Server, host: HostServices) -> None:
    @changing(server, "Save a workflow", "person-only")
    async def workflow_save(graph: Json, workflow: str = "", note: str = "", expected_version: int = 0) -> Item:
        """Save a graph as a new version, or without `workflow` as a new draft; returns its problems."""
        saved, problems = await host.schedules.save(graph, workflow=workflow, note=note, expected=expected_version)
        shown = await _shown(host, saved.id, 0)
        return Item(**shown | {"problems": [*shown["problems"], *_told(problems)]})

    @changing(server, "Activate a workflow", "person-only", idempotent=True)
    async def workflow_activate(workflow: str, active: bool = True) -> Named:
        """Let schedules, events, agents and programs start a workflow, or make it a draft again."""
        changed = await host.schedules.switch(workflow, active=active)
        return Named(id=changed.id, state=changed.status)

    @changing(server, "Duplicate a workflow", "person-only")
    async def workflow_duplicate(workflow: str, name: str = "") -> Named:
        """Copy a workflow."""
        return _named(await host.workflows.library.duplicate(workflow, name, await host.schedules.graph(workflow)))

    @changing(server, "Roll a workflow back", "person-only")
    async def workflow_rollback(workflow: str, version: int) -> Named:
        """Make an earlier version current, as a new version."""
        return _named(await host.workflows.library.roll_back(workflow, version))


def _keeping(server: Server, host: HostServices) -> None:
    @changing(server, "Import a workflow", "person-only")
    async def workflow_import(document: Json, anyway: bool = False) -> Item:
        """Save an exported workflow as a draft; when something is missing here, only `anyway`."""
        saved, problems = await host.schedules.bring_in(document, anyway=anyway)
        return Item(id=saved.id if saved else "", problems=_told(problems))  # pyright: ignore[reportCallIssue]

    @destroying(server, "Delete a workflow", "person-only")
    async def workflow_delete(workflow: str, confirm: Annotated[str, Field(description="its name, repeated")]) -> Named:
        """Delete a workflow with its versions and the jobs that start it; the history of its runs stays."""
        found = await host.workflows.library.store.get(workflow)
        if confirm != found.name:
            raise HomeportError("invalid", "`confirm` does not repeat the workflow's name.", "Send the exact name.")
        await host.schedules.remove(found)
        return Named(id=found.id, state="deleted")


def _making(server: Server, host: HostServices) -> None:
    @reading(server, "Templates of workflows", "person-only")
    async def workflow_templates() -> Rows:
        """List the templates; workflow_save takes one as the start of a new workflow."""
        return Rows(rows=await _templates(host))

    @changing(server, "Workflow from a task", "person-only")
    async def workflow_from_task(run_id: str, name: str = "", how: Literal["task", "calls"] = "task") -> Item:
        """Return a graph, not saved, that repeats a task, as one step or call by call; of a suggestion, its graph."""
        row = await host.runs.get(run_id)
        events, _ = await host.runs.events(run_id, limit=2_000)
        value = suggested(row) or (by_calls(row, events, name) if how == "calls" else from_task(row, events, name))
        graph, problems = await host.workflows.library.check(value)
        return Item(graph=graph.as_json(), problems=_told(problems))  # pyright: ignore[reportCallIssue]

    @changing(server, "Suggest a workflow", "person-only")
    async def workflow_suggest(sentence: str, model: str = "") -> Started:
        """Let an agent design a workflow for a plain sentence; workflow_from_task gives it once the run has ended."""
        library = host.workflows.library
        tools = [tool for name in library.near(sentence, 12) if (tool := library.known().tool(name))]
        asked = suggestion(tools, library.known().agents, model)
        return Started(run_id=await host.runs.start(sentence, **asked))


def _resources(server: Server, host: HostServices) -> None:
    @server.resource("workflows://", title="Workflows", mime_type="application/json")
    async def workflows() -> str:
        """The workflows; the tool list_workflows filters."""
        return dumped({"rows": await _list(host, "")})

    @server.resource("workflows://schema", title="Schema of workflows", mime_type="application/json")
    async def schema() -> str:
        """The JSON schema of a workflow's graph."""
        return dumped(Graph.model_json_schema())

    @server.resource(
        "workflows://templates", title="Templates of workflows", mime_type="application/json", meta=FOR_PERSONS
    )
    async def started_from() -> str:
        """What a new workflow can start from; also the tool workflow_templates."""
        return dumped({"rows": await _templates(host)})

    @server.resource("workflow://{workflow}", title="Workflow", mime_type="application/json", meta=FOR_PERSONS)
    async def workflow(workflow: str) -> str:
        """One workflow; also the tool workflow_get."""
        return dumped(await _shown(host, workflow, 0))

    metrics_uri = "workflow://{workflow}/metrics"

    @server.resource(metrics_uri, title="Metrics of a workflow", mime_type="application/json", meta=FOR_PERSONS)
    async def metrics(workflow: str) -> str:
        """How its latest runs went; also the tool workflow_metrics."""
        return dumped(await host.workflows.metrics(workflow))

    @server.resource("run://{run_id}/nodes", title="Nodes of a run", mime_type="application/json", meta=FOR_PERSONS)
    async def nodes(run_id: str) -> str:
        """What went through each node of a workflow's run; also the tool workflow_steps."""
        return dumped(await _steps(host, run_id))


async def _list(host: HostServices, query: str) -> list[Json]:
    rows: list[Json] = []
    library = host.workflows.library
    found = [await library.get(workflow.id) for workflow in await library.store.list(query)]
    graphs = await host.schedules.shown([(workflow, version.graph) for workflow, version in found])
    for (workflow, _), graph in zip(found, graphs, strict=True):
        visibility = graph.get("visibility", "shared")
        if visibility == "private" and identity.current().owner:
            continue
        runs = await host.workflows.history(workflow.id, MOST_SHOWN)
        more = {
            "visibility": visibility,
            "variables": graph.get("variables", {}),
            "trigger": graph.get("trigger", {}),
            "steps": len(graph["nodes"]),
            "last_run": next((run for run in runs if not run["dry"]), None),  # a dry run did nothing
            "active_runs": [run["id"] for run in runs if run["state"] not in FINAL],
        }
        rows.append({**asdict(workflow), **more})
    return rows


async def _shown(host: HostServices, key: str, number: int) -> Json:
    workflow, version = await host.workflows.library.get(key, number)
    graph, problems = await host.workflows.library.check(version.graph)
    current = version.version == workflow.version
    return {
        **asdict(workflow),
        "shown_version": version.version,
        "note": version.note,
        "author": version.author,
        "graph": (await host.schedules.shown([(workflow, version.graph)]))[0] if current else version.graph,
        "problems": _told(problems),
        "outline": outline(graph),
        "uses": requirements_of(graph),
        "runs": await host.workflows.history(workflow.id, MOST_SHOWN),
        "statistics": await host.workflows.metrics(workflow.id),
    }


async def _steps(host: HostServices, run: str) -> Json:
    task, row = await host.workflows.task(run), await host.runs.get(run)
    steps = await host.workflows.steps(run)
    graph, problems = await host.workflows.library.check(task.graph)
    return {
        "run": asdict(row),
        "workflow": task.workflow,
        "version": task.version,
        "dry": task.dry,
        "trigger": task.trigger,
        "parameters": task.parameters,
        "graph": task.graph,
        "outline": outline(graph),
        "problems": _told(problems),
        "steps": [asdict(step) for step in steps],
        "log": [asdict(line) for line in await host.workflows.log(run)],
        "artifacts": [asdict(artifact) for artifact in artifacts(steps)],
    }


async def _templates(host: HostServices) -> list[Json]:
    rows: list[Json] = []
    for graph in templates():
        _, problems = await host.workflows.library.check(graph)
        rows.append({"name": graph.name, "description": graph.description, "needs": list(graph.needs),
                     "problems": _told(problems), "graph": graph.as_json()})  # fmt: skip
    return rows


def _told(problems: Iterable[Problem]) -> list[Any]:
    return [asdict(problem) for problem in problems]


def _named(workflow: Workflow) -> Named:
    return Named(id=workflow.id, state=workflow.status)
