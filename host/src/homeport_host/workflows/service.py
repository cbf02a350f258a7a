"""Start runs of workflows, look at them, and make workflows of tasks and of plain sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack

from homeport_host.agents.runs import Origin, Run
from homeport_host.agents.service import ORIGINS, Runs
from homeport_host.engine.protocol import FINAL, Engine
from homeport_host.workflows.checking import fits
from homeport_host.workflows.graph import Graph, exits_of
from homeport_host.workflows.history import Line, log
from homeport_host.workflows.journal import DONE, Journal, Step
from homeport_host.workflows.library import WorkflowLibrary, require_valid
from homeport_host.workflows.limits import COUNTED
from homeport_host.workflows.means import Means
from homeport_host.workflows.task import DEEPEST, KIND, WorkflowTask
from homeport_shared import identity
from homeport_shared.errors import HomeportError

MOST_RUNS, MOST_EVENTS = 200, 5_000


class Starting(TypedDict, total=False):
    """How a run is started, besides its parameters.

    Attributes:
        version: 0 = the current one.
        dry: Nothing outside is changed.
        start: The node to begin at; its run takes the outputs of the nodes before from `pinned` and `from_run`.
        pinned: Outputs that are taken instead of doing the nodes.
        from_run: An earlier run, whose outputs count as pinned up to `start`.
        run: The id of the run; the same id is started once.
        idempotency_key: The same key starts one run only.
        origin: What began it; none = as the caller's identity says.
        job: Nobody can be asked.
        agreed: A person agreed to what it is started with.
        trigger: What the trigger brought.
        priority: 0 low to 3 critical.
        sources: Whose words are in it.
        tags: What people find it by.
    """

    version: int
    dry: bool
    start: str
    pinned: dict[str, Any]
    from_run: str
    run: str
    idempotency_key: str
    origin: Origin
    job: bool
    agreed: bool
    trigger: dict[str, Any]
    priority: int
    sources: Sequence[str]
    tags: tuple[str, ...]


class Workflows:
    """The runs of workflows.

    Args:
        library: The workflows.
        engine: Makes the runs durable; `workflow` must be registered with it.
        runs: Gives ids, and has the runs of agents.
        journal: What happened in them.
        means: What they use.
    """

    def __init__(self, library: WorkflowLibrary, engine: Engine, runs: Runs, journal: Journal, means: Means) -> None:
        self.library = library
        self._engine = engine
        self._runs = runs
        self._journal = journal
        self._means = means
        means.within = self._within

    async def start(self, workflow: str, parameters: Mapping[str, Any], **how: Unpack[Starting]) -> str:
        """Start a run and return its id at once.

        Args:
            workflow: Id or name.
            parameters: For the workflow's variables.
            how: See `Starting`.

        Raises:
            HomeportError: `not_found` or `invalid`, when it cannot run so.
        """
        found, version = await self.library.get(workflow, how.get("version", 0))
        who = identity.current()
        if version.graph.get("visibility") == "private" and who.owner and who.caller != "job":
            raise HomeportError("not_found", f"There is no workflow {workflow[:120]!r}.", "List the workflows.")
        if who.owner and found.status != "active":
            raise HomeportError("denied", f"{found.name} is a draft.", "Ask a person to activate it.")
        graph, problems = await self.library.check(version.graph)
        if not how.get("dry"):
            require_valid(found.name, problems)
        task = WorkflowTask(
            workflow=found.id,
            version=version.version,
            graph=version.graph,
            parameters=given(graph, parameters),
            trigger=how.get("trigger", {}),
            policy="job" if how.get("job") else "chat",
            agreed=version.agreed and how.get("agreed", not who.owner),
            dry=how.get("dry", False),
            start=_start(graph, how.get("start", "")),
            pinned={**await self._outputs(graph, how), **how.get("pinned", {})},
            origin=how.get("origin") or ("agent" if who.run else ORIGINS.get(who.caller, "user")),
            actor=who.actor,
            caller=who.caller,
            tenant=who.tenant,
            sources=[*how.get("sources", ()), *([who.run or who.owner] if who.owner else [])],
            parent=who.run or how.get("from_run", ""),
            priority=how.get("priority", 1),
            tags=how.get("tags", ()),
        )
        key = how.get("idempotency_key", "")
        return await self.begin(task, how.get("run") or self._runs.run_id(f"workflow {who.owner} {key}" if key else ""))

    async def begin(self, task: WorkflowTask, run: str) -> str:
        """Start a task under an id; one that was started before is not started again."""
        store = self._means.parts.store
        # Accepted by the engine first: whatever happens after that, the run begins and finds or makes its row.
        await self._engine.start(KIND, task.model_dump(mode="json"), run=run)
        await store.add(task.row(run, store.now()))
        await self._journal.begin(run, task.workflow, task.version, dry=task.dry)
        await self._means.parts.recorder.changed(run)
        return run

    async def repeat(self, row: Run) -> str:
        """Start a run again with everything it was started with."""
        task = WorkflowTask.model_validate(await self._engine.parameters(row.id))
        return await self.begin(task.model_copy(update={"parent": row.id}), self._runs.run_id())

    async def task(self, run: str) -> WorkflowTask:
        """Return what a run was started with.

        Raises:
            HomeportError: `not_found`, also for a run of something else.
        """
        if await self._journal.of_run(run) is None:
            raise HomeportError("not_found", f"{run[:64]!r} is no run of a workflow.", "List the runs.")
        return WorkflowTask.model_validate(await self._engine.parameters(run))

    async def steps(self, run: str) -> list[Step]:
        """Return what happened in a run, step by step."""
        return await self._journal.steps(run)

    async def history(self, workflow: str, limit: int = 50) -> list[dict[str, Any]]:
        """Return the newest runs of a workflow."""
        return await self._journal.runs_of((await self.library.store.get(workflow)).id, limit)

    async def log(self, run: str) -> list[Line]:
        """Return the log of a run: what became of its steps, and the messages between its agents."""
        events, _ = await self._runs.events(run, limit=MOST_EVENTS)
        return log(events, await self._means.parts.messages.of_run(run))

    async def metrics(self, workflow: str) -> dict[str, Any]:
        """Return how the latest runs of a workflow went: how many, how they ended, how long they took, what they used.

        Seconds are from the start of a run to its end; `used` is the sum over the runs, `slowest` the mean by node.
        """
        found = await self.library.store.get(workflow)
        rows = [row for row in await self._journal.runs_of(found.id, MOST_RUNS) if not row["dry"]]
        ended = [row for row in rows if row["state"] in FINAL]
        states = Counter(row["state"] for row in ended)
        lengths = sorted(_seconds(row) for row in ended if row["state"] == "completed")
        return {
            "runs": len(rows),
            **{state: states[state] for state in ("completed", "failed", "cancelled")},
            "success": round(states["completed"] / len(ended), 3) if ended else None,
            "failure": round(states["failed"] / len(ended), 3) if ended else None,
            "median_seconds": lengths[len(lengths) // 2] if lengths else None,
            "longest_seconds": lengths[-1] if lengths else None,
            "used": {name: round(sum(row["usage"].get(name, 0) for row in rows), 6) for name in COUNTED},
            "slowest": await self._journal.slowest(found.id),
        }

    async def _outputs(self, graph: Graph, how: Starting) -> dict[str, Any]:
        """Return the outputs of an earlier run for the nodes that are not done again."""
        earlier = how.get("from_run", "")
        if not earlier:
            return {}
        await self.task(earlier)
        kept = graph.nodes.keys() - _after(graph, how.get("start", ""))
        steps = await self._journal.steps(earlier)
        return {step.path: step.output for step in steps if step.state in DONE and step.path in kept}

    async def _within(self, outer: WorkflowTask, parent: str, run: str, name: str, parameters: dict[str, Any]) -> str:
        """Start a workflow as a step of another one, under the rules of that one."""
        if outer.depth + 1 >= DEEPEST:
            raise HomeportError("limit", f"Workflows are in each other more than {DEEPEST} deep.", "Divide them.")
        found, version = await self.library.get(name)
        graph, problems = await self.library.check(version.graph)
        if not outer.dry:
            require_valid(found.name, problems)
        task = outer.model_copy(
            update={
                "workflow": found.id,
                "version": version.version,
                "graph": version.graph,
                "parameters": given(graph, parameters),
                "agreed": outer.agreed and version.agreed,
                "start": "",
                "pinned": {},
                "sources": [parent],
                "parent": parent,
                "depth": outer.depth + 1,
                "title": "",
            }
        )
        return await self.begin(task, run)


def given(graph: Graph, parameters: Mapping[str, Any], *, typed: bool = True) -> dict[str, Any]:
    """Return the parameters for a graph's variables; `typed` = their values are known by now.

    Raises:
        HomeportError: `invalid`, naming the one that is missing, unknown or of another type.
    """
    if unknown := sorted(parameters.keys() - graph.variables.keys()):
        known = ", ".join(graph.variables) or "none"
        raise HomeportError("invalid", f"{graph.name} has no variable {unknown[0]!r}.", f"It has: {known}.")
    for name, variable in graph.variables.items():
        if name not in parameters:
            if variable.required and variable.default is None:
                raise HomeportError(
                    "invalid", f"{graph.name} needs {name}.", variable.description or "Give it a value."
                )
        elif typed and not fits(parameters[name], variable.type):
            hint = "Give the name of a key of the vault, never its value." if variable.type == "key" else ""
            raise HomeportError("invalid", f"{name} must be a {variable.type}.", hint or variable.description)
    return dict(parameters)


def _start(graph: Graph, node: str) -> str:
    if node and node not in graph.nodes:
        raise HomeportError("not_found", f"There is no node {node!r}.", f"Nodes: {', '.join(graph.nodes)}.")
    return node


def _after(graph: Graph, start: str) -> set[str]:
    """Return a node and all that can come after it."""
    found, waiting = set[str](), [start]
    while waiting:
        node = waiting.pop()
        if node in graph.nodes and node not in found:
            found.add(node)
            waiting += [target for _, target in exits_of(graph.nodes[node])]
    return found


def _seconds(row: Mapping[str, Any]) -> float:
    begun, ended = datetime.fromisoformat(row["started"]), datetime.fromisoformat(row["finished"])
    return round((ended - begun).total_seconds(), 3)
