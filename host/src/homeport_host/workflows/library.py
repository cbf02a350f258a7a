"""The workflows that there are: saved in versions, compared, rolled back, copied, brought in and taken out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Any, Literal

from anyio import to_thread

from homeport_host.agents.definition import AgentFolder
from homeport_host.gateway.search import ToolIndex
from homeport_host.governance.calls import Tool
from homeport_host.governance.dispatch import Upstreams
from homeport_host.workflows.checking import Known, check, errors_of, told
from homeport_host.workflows.comparing import Change, changes
from homeport_host.workflows.graph import Graph, parsed
from homeport_host.workflows.layout import NOTHING, placed
from homeport_host.workflows.parts import Problem
from homeport_host.workflows.store import Status, Version, Workflow, WorkflowStore
from homeport_shared import identity
from homeport_shared.changes import ChangeBus
from homeport_shared.errors import HomeportError

LIST = "workflows://"
NEAR = 5


class WorkflowLibrary:
    """The workflows of one host.

    Args:
        store: Where they are kept.
        tools: Which tools there are.
        agents: Which agents there are.
        changes: Told when `workflows://` or `workflow://{id}` have news.
        has_key: Whether the vault has a key; called off the event loop.
    """

    def __init__(
        self,
        store: WorkflowStore,
        tools: Upstreams,
        agents: AgentFolder,
        changes: ChangeBus,
        has_key: Callable[[str], bool],
    ) -> None:
        self.store = store
        self._tools = tools
        self._agents = agents
        self._changes = changes
        self._has_key = has_key

    # Checking

    def known(self, workflows: Iterable[str] = ()) -> Known:
        """Return what there is around a workflow now."""
        return Known(self._tools.tool, self.near, frozenset(self._agents.names()), frozenset(workflows))

    def near(self, text: str, limit: int = NEAR) -> list[str]:
        """Return the names of tools that are like a word or fit a sentence, best first."""
        return ToolIndex((tool.name, tool.definition) for tool in self._callable()).search(text, limit)

    async def check(self, value: Any) -> tuple[Graph, list[Problem]]:
        """Return a graph with its problems.

        Raises:
            HomeportError: `invalid`, when it is no graph at all.
        """
        graph = value if isinstance(value, Graph) else parsed(value)
        problems = check(graph, self.known(workflow.name for workflow in await self.store.list()))
        return graph, [*problems, *await self._without_keys(graph)]

    async def _without_keys(self, graph: Graph) -> list[Problem]:
        keys = {name: one.default for name, one in graph.variables.items() if one.type == "key" and one.default}
        return [
            Problem("", f"The vault has no key {key}.", f"variables.{name}", "warning")
            for name, key in keys.items()
            if not await to_thread.run_sync(self._has_key, key)
        ]

    def _callable(self) -> list[Tool]:
        return [tool for tool in self._tools.tools() if "person-only" not in tool.labels]

    # Changing

    async def save(self, value: Any, *, workflow: str = "", note: str = "", expected: int = 0) -> Workflow:
        """Save a graph as a new version of a workflow, or as a new one; what speaks against it keeps it a draft.

        Args:
            value: The graph as JSON.
            workflow: Id or name; empty = a new one.
            note: What is new.
            expected: The version that the change was made on; 0 = any.

        Raises:
            HomeportError: `invalid`, `not_found` or `conflict`.
        """
        graph, problems = await self.check(value)
        id, before = "", NOTHING
        if workflow:
            found, version = await self.get(workflow)
            id, before = found.id, version.graph
        who = identity.current()
        saved = await self.store.save(
            id,
            placed(graph, before).as_json(),
            author=who.actor or "you",
            owner=who.owner,
            note=note[:500],
            agreed=not who.owner,
            expected=expected,
        )
        if errors_of(problems) and saved.status == "active":
            await self.store.set_status(saved.id, "draft")
            saved = replace(saved, status="draft")
        await self._tell(saved.id)
        return saved

    async def set_status(self, workflow: str, status: Status) -> Workflow:
        """Make a workflow a draft, or activate it.

        Raises:
            HomeportError: `not_found`; `invalid`, when it has errors.
        """
        found, version = await self.get(workflow)
        if status == "active":
            _, problems = await self.check(version.graph)
            require_valid(found.name, problems)
        await self.store.set_status(found.id, status)
        await self._tell(found.id)
        return await self.store.get(found.id)

    async def duplicate(self, workflow: str, name: str, graph: dict[str, Any]) -> Workflow:
        """Save the graph of a workflow, as it is shown, as a new one."""
        found = await self.store.get(workflow)
        copy = name or await self._free(f"{found.name} (copy)")
        return await self.save({**graph, "name": copy}, note=f"a copy of {found.name}")

    async def roll_back(self, workflow: str, number: int) -> Workflow:
        """Make an earlier version current, as a new version: nothing of the history is lost."""
        found, _ = await self.get(workflow)
        earlier = await self.store.version(found.id, number)
        graph = {**earlier.graph, "name": found.name}
        return await self.save(graph, workflow=found.id, note=f"version {number} again")

    async def remove(self, workflow: str) -> None:
        """Delete a workflow and its versions."""
        found = await self.store.get(workflow)
        await self.store.remove(found.id)
        await self._tell(found.id)

    async def bring_in(self, graph: Graph) -> Workflow:
        """Save an imported workflow, which was checked before, under a name that is free."""
        return await self.save(graph.model_copy(update={"name": await self._free(graph.name)}), note="imported")

    # Reading

    async def get(self, workflow: str, number: int = 0) -> tuple[Workflow, Version]:
        """Return a workflow with its current version, or with the one of that number.

        Raises:
            HomeportError: `not_found`.
        """
        found = await self.store.get(workflow)
        return found, await self.store.version(found.id, number or found.version)

    async def compare(self, workflow: str, before: int, after: int = 0) -> list[Change]:
        """Return what is different between two versions; 0 = the current one."""
        found, new = await self.get(workflow, after)
        return changes((await self.store.version(found.id, before)).graph, new.graph)

    async def _free(self, name: str) -> str:
        taken = {workflow.name for workflow in await self.store.list()}
        tries = (name if number == 1 else f"{name} {number}" for number in range(1, len(taken) + 2))
        return next(one for one in tries if one not in taken)

    async def _tell(self, workflow: str) -> None:
        await self._changes.updated(LIST, f"workflow://{workflow}")


def require_valid(name: str, problems: Sequence[Problem]) -> None:
    """Refuse a workflow that has errors.

    Raises:
        HomeportError: `invalid`, naming the nodes.
    """
    if wrong := errors_of(problems):
        raise HomeportError("invalid", f"{name} cannot run: {told(wrong)}", "Correct it, or connect what is missing.")


def templates() -> list[Graph]:
    """Return the templates that come with Homeport, by name."""
    folder = files("homeport_host.workflows") / "templates"
    found = [parsed(json.loads(file.read_text("utf-8"))) for file in folder.iterdir() if file.name.endswith(".json")]
    return sorted(found, key=lambda graph: graph.name)


def requirements_of(graph: Graph) -> dict[str, list[str]]:
    """Return which tools, agents and workflows a graph names."""
    found: dict[Literal["tools", "agents", "workflows"], set[str]] = {
        "tools": set(), "agents": set(), "workflows": set()
    }  # fmt: skip
    for node in graph.nodes.values():
        if node.kind == "tool":
            found["tools"].add(node.tool)
        elif node.kind == "agent" and node.agent:
            found["agents"].add(node.agent)
        elif node.kind == "workflow":
            found["workflows"].add(node.workflow)
        if node.undo:
            found["tools"].add(node.undo.tool)
    return {name: sorted(names) for name, names in found.items()}
