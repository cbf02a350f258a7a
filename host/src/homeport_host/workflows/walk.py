"""The interpreter: walks through the graph of one run, and after a restart through what it recorded.

Every node is a step with a path of its own. What is recorded as done is not done again; what was under way is begun
again under the same key, so that the effect ledger knows it.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
from sqlalchemy.exc import DBAPIError

from homeport_host.agents.progress import Doing
from homeport_host.workflows import limits
from homeport_host.workflows.acting import Acting
from homeport_host.workflows.graph import (
    BREAK,
    CONTINUE,
    ConditionNode,
    EndNode,
    Graph,
    LoopNode,
    MapNode,
    Node,
    ParallelNode,
)
from homeport_host.workflows.journal import DONE, Step
from homeport_host.workflows.means import Means
from homeport_host.workflows.task import WorkflowTask
from homeport_host.workflows.values import holds, names_of_condition, render
from homeport_shared.clock import iso
from homeport_shared.errors import HomeportError

AT_ONCE_FINAL = frozenset({"denied", "invalid", "conflict", "not_found", "unsupported", "cancelled", "limit"})
LONGEST_BACK_OFF = 3_600.0
Scope = dict[str, Any]


class EndedError(Exception):
    """An end node was reached: `result` is the workflow's."""

    def __init__(self, result: Any, *, failed: bool) -> None:
        super().__init__("the workflow ended")
        self.result, self.failed = result, failed


class Walk:
    """One run of a workflow.

    Args:
        means: What every run uses.
        run: Its id.
        task: What it was started with.
        graph: The workflow.
        recorded: The steps that an earlier process recorded.
    """

    def __init__(self, means: Means, run: str, task: WorkflowTask, graph: Graph, recorded: list[Step]) -> None:
        self.means, self.run, self.task, self.graph = means, run, task, graph
        self.steps = {step.path: step for step in recorded}
        self.acting = Acting(self)
        self._active, self._parked = 1, 0
        self._children = self._asking = 0
        self._room: Any = None
        self._gave_room = self._is_waiting = False

    async def result(self) -> Any:
        """Walk from the start to an end and return the result.

        Raises:
            HomeportError: The error that no node caught, or that an end node told.
        """
        given = {name: variable.default for name, variable in self.graph.variables.items()}
        scope: Scope = {**given, **self.task.parameters, "trigger": self.task.trigger, **self.task.pinned}
        try:
            output, _ = await self.walk(self.task.start or self.graph.start, scope, "")
        except EndedError as end:
            if end.failed:
                raise HomeportError("invalid", str(end.result) or "The workflow ended as failed.") from None
            return end.result
        return output

    async def walk(self, at: str, scope: Scope, place: str) -> tuple[Any, str]:
        """Walk through one part; returns the last output, and `break` or `continue` where that ended it."""
        last: Any = None
        while at and at not in {BREAK, CONTINUE}:
            id, node = at, self.graph.nodes[at]
            try:
                last, at = await self._step(id, node, scope, place)
            except HomeportError as error:
                if not node.catch:
                    raise
                scope["error"] = {**error.as_dict(), "node": id}
                last, at = scope["error"], node.catch
            else:
                scope[id] = last
        return last, at

    async def _step(self, id: str, node: Node, scope: Scope, place: str) -> tuple[Any, str]:
        step = self.steps.get(place + id) or Step(place + id, id, node.kind, started=self._now())
        known = step.path in self.steps
        self.steps[step.path] = step
        if step.state == "failed" and step.error:
            raise HomeportError.from_dict(step.error)
        if step.state not in DONE:
            await self.means.parts.unpaused(self.run)
            await self._do(step, node, scope, place, known=known)
        if isinstance(node, EndNode) and step.state != "pinned":
            raise EndedError(step.output if _is_short(node) else step.output["text"], failed=node.failed)
        return step.output, step.following

    async def _do(self, step: Step, node: Node, scope: Scope, place: str, *, known: bool) -> None:
        began = time.perf_counter()
        step.state = "running"
        try:
            if not place and step.node in self.task.pinned:
                step.output, step.following, step.state = self.task.pinned[step.node], node.next, "pinned"
            else:
                if not known and not _is_short(node):
                    await self.record(step)
                step.output, step.following = await self._tried(step, node, scope)
                step.state = "completed" if step.state in {"running", "waiting"} else step.state
            if node.undo is not None and step.state == "completed":
                arguments = render(node.undo.arguments, {**scope, step.node: step.output})
                step.undo = {"tool": render(node.undo.tool, scope), "arguments": arguments}
        except HomeportError as error:
            step.state, step.error = "failed", error.as_dict()
            raise
        finally:
            if step.state in DONE or step.state == "failed":
                step.finished = self._now()
                step.milliseconds += round((time.perf_counter() - began) * 1000)
                with anyio.CancelScope(shield=True):
                    await self.record(step)

    async def _tried(self, step: Step, node: Node, scope: Scope) -> tuple[Any, str]:
        """Do a step, several times where the node says so."""
        while True:
            try:
                return await self._limited(step, node, scope)
            except HomeportError as error:
                if step.attempts >= node.retry.attempts or error.code in AT_ONCE_FINAL:
                    raise
                pause = min(node.retry.seconds * 2 ** (step.attempts - 1), LONGEST_BACK_OFF)
                await self._give_back(step)
                errors = [*step.notes.get("errors", []), str(error)]
                step.notes = {"errors": errors, limits.USED: step.notes.get(limits.USED, {})}
                step.attempts += 1
                await self._reopen(step.path)
            await self.record(step)
            async with self.parked(step):
                await anyio.sleep(pause)

    async def _reopen(self, path: str) -> None:
        """Let what failed inside of a step be done again; what was done stays, and what was caught."""
        for step in self._under(path):
            if step.state == "failed" and not self.graph.nodes[step.node].catch:
                await self._give_back(step)
                step.state, step.error = "running", None
                step.attempts += 1
                await self.record(step)

    async def _give_back(self, step: Step) -> None:
        """Let the messages that the agent of a failed step has read come to the one that does it again."""
        if taker := step.notes.get("run"):
            await self.means.parts.messages.give_back(self.run, taker)

    def _under(self, path: str) -> list[Step]:
        """Return the steps inside of a step."""
        return [step for step in self.steps.values() if step.path.startswith((f"{path}/", f"{path}["))]

    async def _limited(self, step: Step, node: Node, scope: Scope) -> tuple[Any, str]:
        with anyio.move_on_after(node.limit):
            output, following = await self._act(step, node, scope)
            limits.require_size(node, output)
            limits.require_room(self.graph.nodes, self.steps, step.path)
            return output, following
        await self._abandon(step.path)
        raise HomeportError("timeout", f"It took longer than {node.limit:g} s.", "Give it more time.")

    async def _act(self, step: Step, node: Node, scope: Scope) -> tuple[Any, str]:
        match node:
            case ConditionNode():
                return self._chosen(step, node, scope)
            case EndNode() if _is_short(node):
                return render(node.result, scope), ""
            case LoopNode():
                return await self._loop(step, node, scope), node.next
            case MapNode():
                return await self._map(step, node, scope), node.next
            case ParallelNode():
                return await self._parallel(step, node, scope), node.next
            case _:
                return await self.acting.act(step, node, scope)

    def _chosen(self, step: Step, node: ConditionNode, scope: Scope) -> tuple[Any, str]:
        step.input = [choice.when for choice in node.choices]
        following = next((choice.next for choice in node.choices if self._holds(choice.when, scope)), node.next)
        return {"taken": following}, following

    def _holds(self, condition: str, scope: Scope) -> bool:
        """Say whether a condition holds; one about made up outputs that cannot be worked out does not."""
        try:
            return holds(condition, scope)
        except HomeportError:
            if self.is_made_up(names_of_condition(condition)):
                return False
            raise

    def is_made_up(self, names: AbstractSet[str]) -> bool:
        """Say whether one of these variables comes from a step that a dry run only shows."""
        shown = [step.path for step in self.steps.values() if step.state == "shown"]
        made_up = {name for path in shown for name in re.findall(r"[a-z]\w*", path)}
        return not names.isdisjoint(made_up | ({"last"} if any("[" in path for path in shown) else set()))

    async def _loop(self, step: Step, node: LoopNode, scope: Scope) -> Any:
        items: list[Any] | None = None
        if node.over is not None:
            items = step.input = self._list(render(node.over, scope), node.most)
        given, last = list[Any](), None
        for index in range(node.most if items is None else len(items)):
            inner: Scope = {**scope, "index": index, "last": last}
            if items is not None:
                inner[node.item] = items[index]
            elif not self._holds(node.while_, inner):
                break
            last, left = await self.walk(node.body, inner, f"{step.path}[{index}]/")
            given.append(last)
            if left == BREAK:
                break
        return {"items": given, "count": len(given)}

    async def _map(self, step: Step, node: MapNode, scope: Scope) -> Any:
        items = step.input = self._list(render(node.over, scope), node.most)
        places = [
            (f"{step.path}[{index}]/", node.body, {**scope, node.item: item, "index": index})
            for index, item in enumerate(items)
        ]
        given = await self._beside(step, places, node.at_once)
        return {"items": given, "count": len(given)}

    async def _parallel(self, step: Step, node: ParallelNode, scope: Scope) -> Any:
        places = [(f"{step.path}/", start, dict(scope)) for start in node.branches]
        return dict(zip(node.branches, await self._beside(step, places, len(places)), strict=True))

    async def _beside(self, step: Step, places: list[tuple[str, str, Scope]], at_once: int) -> list[Any]:
        """Walk through parts at the same time; the first error stops the others."""
        given: list[Any] = [None] * len(places)
        failed: list[HomeportError | DBAPIError] = []
        room = anyio.CapacityLimiter(at_once)

        async def one(number: int, place: str, start: str, scope: Scope) -> None:
            async with room:
                self._active += 1
                try:
                    given[number], _ = await self.walk(start, scope, place)
                except (HomeportError, DBAPIError) as error:
                    failed.append(error)
                    tasks.cancel_scope.cancel()
                finally:
                    self._active -= 1
            await self._settle()

        self._active -= 1
        try:
            async with anyio.create_task_group() as tasks:
                for number, (place, start, scope) in enumerate(places):
                    tasks.start_soon(one, number, place, start, scope)
        finally:
            self._active += 1
        await self._settle()
        if failed:
            if isinstance(failed[0], HomeportError):
                await self._abandon(step.path)
            raise failed[0]
        return given

    async def _abandon(self, path: str) -> None:
        """Stop what is under way at and beneath a step."""
        around = [self.steps[path], *self._under(path)]
        left = [step for step in around if step.state in {"running", "waiting"}]
        await self.means.stop_children(left)
        for step in left:
            if step.path != path:
                step.state, step.finished = "cancelled", self._now()
                await self.record(step)

    # Waiting

    @asynccontextmanager
    async def parked(self, step: Step, *, child: bool = False, asks: bool = False) -> AsyncGenerator[None]:
        """Wait in here: when nothing else in the run goes on, it gives its room to other runs.

        Args:
            step: Which step waits.
            child: It waits for a run of its own, which works.
            asks: It waits for a person.
        """
        self._parked += 1
        self._children += child
        self._asking += asks
        step.state = "running" if child else "waiting"
        await self.record(step)
        await self._settle()
        try:
            yield
        finally:
            self._parked -= 1
            self._children -= child
            self._asking -= asks
        step.state = "running"
        await self._settle()

    async def _settle(self) -> None:
        """Tell whether the run works or only waits."""
        parked = self._parked > 0 and self._parked >= self._active
        if parked and not self._gave_room:
            self._gave_room, self._room = True, self.means.parts.admission.give_back(self.run)
        elif self._gave_room and not parked:
            room, self._gave_room, self._room = self._room, False, None
            await self.means.parts.admission.again(self.run, room)
        waiting = parked and not self._children
        if waiting != self._is_waiting:
            self._is_waiting = waiting
            if not self.means.parts.admission.is_paused(self.run):
                state, reason = ("waiting", "person" if self._asking else "time") if waiting else ("running", "")
                await self.means.parts.enter(self.run, state, waits_for=reason)

    # Records

    async def record(self, step: Step) -> None:
        """Store a step and tell who looks on."""
        step.seq = step.seq or len(self.steps)
        await self.means.journal.put(self.run, step)
        done, total = sum(each.state in DONE for each in self.steps.values()), len(self.graph.nodes)
        doing = Doing(step.node, iso(self.means.parts.store.clock.now()), min(done, total), total)
        self.means.parts.recorder.advance(self.run, doing)
        data = {"path": step.path, "node": step.node, "kind": step.kind, "state": step.state, "attempt": step.attempts}
        await self.means.parts.recorder.emit(
            self.run, "step", {**data, "milliseconds": step.milliseconds, "error": step.error}
        )

    def _now(self) -> str:
        return iso(self.means.parts.store.clock.now())

    def _list(self, value: Any, most: int) -> list[Any]:
        if not isinstance(value, list):
            raise HomeportError("invalid", "`over` is no list.", "Point it to a field that holds a list.")
        items = cast("list[Any]", value)
        if len(items) > most:
            raise HomeportError("limit", f"`over` has {len(items)} items; at most {most} are done.", "Pass on fewer.")
        return items


def _is_short(node: Node) -> bool:
    """Say whether a node has no effect, so that only its end is recorded."""
    return isinstance(node, ConditionNode) or (isinstance(node, EndNode) and not (node.file or node.summary))


async def take_back(walk: Walk) -> list[str]:
    """Undo what can be undone, the latest first; returns what went wrong with that."""
    problems: list[str] = []
    done = [step for step in walk.steps.values() if step.undo and step.state == "completed"]
    for step in sorted(done, key=lambda step: (step.finished, step.seq), reverse=True):
        try:
            await walk.acting.undo(step)
        except HomeportError as error:
            problems.append(f"{step.path} could not be taken back: {error.message}")
    return problems
