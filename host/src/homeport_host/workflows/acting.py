"""What the nodes do that reach out of the graph: tools, agents, passages, people, other workflows, and time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import anyio

from homeport_host.agents.calling import made_of
from homeport_host.agents.runs import Run
from homeport_host.agents.task import Options
from homeport_host.governance.calls import Caller, Tool, digest
from homeport_host.governance.policy import matches
from homeport_host.workflows import limits
from homeport_host.workflows.checking import RAG_TOOL, WRITE_TOOL, sample_of
from homeport_host.workflows.graph import (
    AgentNode,
    ApprovalNode,
    EndNode,
    Graph,
    Node,
    RagNode,
    TimerNode,
    ToolNode,
    WorkflowNode,
)
from homeport_host.workflows.journal import Step
from homeport_host.workflows.values import names_in, render, texts_in
from homeport_shared import identity
from homeport_shared.clock import iso
from homeport_shared.errors import HomeportError

if TYPE_CHECKING:
    from homeport_host.workflows.walk import Scope, Walk

APPROVAL = "homeport__approve_step"  # what the question of an approval node is filed under
LOOK_SECONDS = 600.0  # a timer looks at the clock at least this often, for the clock may have been set


class Acting:
    """Does the nodes of one run."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._means = walk.means
        self._task = walk.task

    async def act(self, step: Step, node: Node, scope: Scope) -> tuple[Any, str]:
        """Do one node; returns its output and the node after it."""
        identity.enter(self._task.identity(self._walk.run))
        match node:
            case ToolNode():
                return await self._tool(step, node, scope), node.next
            case RagNode():
                arguments = {"query": node.query, "collections": list(node.collections), "k": node.most}
                return await self.call(step, RAG_TOOL, render(arguments, scope), arguments), node.next
            case AgentNode():
                return await self._agent(step, node, scope), node.next
            case TimerNode():
                return await self._timer(step, node, scope), node.next
            case ApprovalNode():
                return await self._approval(step, node, scope)
            case WorkflowNode():
                return await self._workflow(step, node, scope), node.next
            case EndNode():
                return await self._end(step, node, scope), ""
            case _:
                raise AssertionError(node.kind)

    # Tools

    async def _tool(self, step: Step, node: ToolNode, scope: Scope) -> Any:
        name = str(render(node.tool, scope))
        if name != node.tool and not matches(node.allowed, name):
            raise HomeportError("denied", f"{name} is not among {', '.join(node.allowed)}.", "Allow it at the node.")
        return await self.call(step, name, render(node.arguments, scope), node.arguments)

    async def call(self, step: Step, name: str, arguments: dict[str, Any], stated: Mapping[str, Any]) -> Any:
        """Call a tool; a held call waits for its person, parked.

        Args:
            step: Whose call it is.
            name: The tool.
            arguments: Of the call.
            stated: The arguments as they stand in the graph.

        Raises:
            HomeportError: What the tool or policy says.
        """
        step.input = {"tool": name, "arguments": arguments}
        tool = self._means.known().tool(name)
        if tool is None:
            near = ", ".join(self._means.known().near(name)) or "none"
            raise HomeportError("not_found", f"There is no tool {name!r}.", f"Tools like it: {near}.")
        if self._task.dry and (not _harmless(tool) or self._walk.is_made_up(names_in(stated))):
            step.state = "shown"
            return self._sample(ToolNode(kind="tool", tool=name), step)
        if step.kind != "undo":
            limits.require_room(self._walk.graph.nodes, self._walk.steps, step.path, calls=1)
        caller, run = self._caller(name, stated), self._walk.run
        key = f"{run}:{step.path}:{step.attempts}:{digest(name, arguments)[:16]}"
        while True:
            if (held := step.notes.get("approval")) and not await self._decided(step, held, None):
                raise HomeportError("denied", f"A person declined {name}, or did not answer.", "Do without it.")
            result = await self._means.parts.dispatcher.call_tool(caller, name, arguments, key=key)
            made = made_of(result, name)
            if made.approval and caller.interactive and made.approval != held:
                step.notes["approval"] = made.approval
                asked = {"approval_id": made.approval, "tool": name, "arguments": arguments}
                asked["reason"] = made.error["message"] if made.error else ""
                await self._means.parts.recorder.emit(run, "approval", asked, key=f"approval {made.approval}")
                continue
            limits.note(step, {"tool_calls": 1})
            if made.error:
                raise HomeportError.from_dict(made.error)
            return cast("dict[str, Any] | None", result.get("structuredContent")) or {"text": made.text}

    def _caller(self, tool: str, stated: Mapping[str, Any]) -> Caller:
        task = self._task
        fixed = task.agreed and not any(True for _ in texts_in(stated))
        approved = (f"{tool}#{digest(tool, stated)}",) if fixed else ()
        who = identity.Identity(actor=task.actor or task.name, run=self._walk.run, tenant=task.tenant)
        interactive = task.policy == "chat"
        return Caller(task.policy, task.name, who, tools=(tool,), approved=approved, interactive=interactive)

    async def undo(self, step: Step) -> None:
        """Make the call that takes a step back, once."""
        undo = self._walk.graph.nodes[step.node].undo
        path = f"{step.path}~undo"
        mark = self._walk.steps.setdefault(path, Step(path, step.node, "undo", started=iso(self._now())))
        if mark.state == "undone" or step.undo is None or undo is None:
            return
        identity.enter(self._task.identity(self._walk.run))
        try:
            mark.output = await self.call(mark, step.undo["tool"], step.undo["arguments"], undo.arguments)
            mark.state = "undone"
        except HomeportError as error:
            mark.state, mark.error = "failed", error.as_dict()
            raise
        finally:
            mark.finished = iso(self._now())
            with anyio.CancelScope(shield=True):
                await self._walk.record(mark)

    def _sample(self, node: Node, step: Step) -> dict[str, Any]:
        return sample_of(node, step.node, self._walk.graph, self._means.known())

    # Agents and workflows

    async def _agent(self, step: Step, node: AgentNode, scope: Scope) -> Any:
        prompt = str(render(node.prompt, scope))
        model = str(render(node.model, scope))
        step.input = {"agent": node.agent, "prompt": prompt, **({"model": model} if model else {})}
        if self._task.dry:
            step.state = "shown"
            return self._sample(node, step)
        options = Options(agent=node.agent, model=model, tools=node.tools)
        if node.to or step.node in set(_recipients(self._walk.graph)):
            options |= Options(step=step.node, to=node.to)
        child = await self._agent_run(step, node, prompt, options)
        if not node.wait:
            return {"text": "", "run": child, "citations": []}
        row = await self._answered(step, child)
        return {"text": row.answer, "run": child, "citations": row.citations}

    async def _agent_run(self, step: Step, node: Node, prompt: str, options: Options) -> str:
        """Start the run of an agent for a step, once."""
        task, run = self._task, self._walk.run
        always = Options(
            kind=task.policy,
            limits=limits.of_agent(node),
            interactive=task.policy == "chat",
            idempotency_key=f"{run}:{step.path}:{step.attempts}",
            title=node.title or f"{task.name}: {step.node}",
            origin=task.origin,
            priority=task.priority,
            sources=[run],
            tags=("workflow",),
        )
        return await self._means.runs.start(prompt, **(always | options))

    async def _answered(self, step: Step, child: str) -> Run:
        """Wait for the run of an agent; what it has read counts as read by the workflow, for its answer goes on."""
        row = await self._child(step, child)
        await self._means.parts.dispatcher.inherit(self._walk.run, child)
        return row

    async def _end(self, step: Step, node: EndNode, scope: Scope) -> dict[str, Any]:
        """Sum the result up and write it to a file, as the node says; returns `text`, `result` and `file`."""
        result, wish, path = render(node.result, scope), str(render(node.summary, scope)), str(render(node.file, scope))
        given = step.input = {"result": result, "summary": wish, "file": path}
        if self._task.dry:
            step.state = "shown"
            return {"text": as_text(result), "result": result, "file": path}
        text = as_text(result)
        if wish:
            prompt = f"Sum this up {wish}. Write nothing but the summary.\n\n{text}"
            text = (await self._answered(step, await self._agent_run(step, node, prompt, Options(tools=("-",))))).answer
        if path:
            arguments = {"path": path, "content": text, "overwrite": True}
            await self.call(step, WRITE_TOOL, arguments, {"path": node.file, "content": node.result})
            step.input = given
        return {"text": text, "result": result, "file": path}

    async def _workflow(self, step: Step, node: WorkflowNode, scope: Scope) -> Any:
        name, parameters = str(render(node.workflow, scope)), render(node.parameters, scope)
        step.input = {"workflow": name, "parameters": parameters}
        child = self._means.runs.run_id(f"{self._walk.run}:{step.path}:{step.attempts}")
        await self._means.within(self._task, self._walk.run, child, name, parameters)
        await self._child(step, child)
        await self._means.parts.dispatcher.inherit(self._walk.run, child)
        steps = await self._means.journal.steps(child)
        ends = [one for one in steps if one.kind == "end" and one.state == "completed"]
        output: Any = ends[-1].output if ends else None
        return {"result": output["text"] if ends and ends[-1].input else output, "run": child}

    async def _child(self, step: Step, child: str) -> Any:
        """Wait, parked, for a run that belongs to a step."""
        step.notes["run"] = child
        async with self._walk.parked(step, child=True):
            row = await self._means.ended(child)
        limits.note(step, row.usage)
        if row.state == "completed":
            return row
        if row.error:
            raise HomeportError.from_dict(row.error)
        raise HomeportError("cancelled", f"The run {child} was cancelled.", "Start the workflow again.")

    # People and time

    async def _approval(self, step: Step, node: ApprovalNode, scope: Scope) -> tuple[Any, str]:
        question = str(render(node.question, scope))
        step.input = {"question": question}
        if self._task.dry:
            step.state = "shown"
            return {"approved": True}, node.next
        if "approval" not in step.notes:
            asked = {"question": question, "workflow": self._task.name, "step": step.path}
            hold = await self._means.approvals.hold(
                APPROVAL, asked, caller="workflow", run=self._walk.run, reason=question
            )
            step.notes["approval"] = hold.id
            step.notes["until"] = self._now().timestamp() + node.hours * 3600
            event = {"approval_id": hold.id, "tool": APPROVAL, "arguments": asked, "reason": question}
            await self._means.parts.recorder.emit(self._walk.run, "approval", event, key=f"approval {hold.id}")
        if await self._decided(step, step.notes["approval"], step.notes["until"]):
            return {"approved": True}, node.next
        if node.refused:
            return {"approved": False}, node.refused
        raise HomeportError("denied", f"Nobody agreed to: {question}", "Start it again when it is wanted.")

    async def _decided(self, step: Step, approval: str, until: float | None) -> bool:
        """Wait, parked, for a person; False for no, and when nobody answered in time."""
        until = until or step.notes.setdefault("until", self._now().timestamp() + 25 * 3600)
        async with self._walk.parked(step, asks=True):
            answer = await self._means.engine.wait_signal(self._walk.run, f"approval:{approval}", 0, until)
        return bool(answer and answer["approve"])

    async def _timer(self, step: Step, node: TimerNode, scope: Scope) -> Any:
        if node.task:
            return await self._other(step, str(render(node.task, scope)))
        if "until" not in step.notes:
            step.notes["until"] = self._moment(node, scope)
        until = step.notes["until"]
        at = iso(datetime.fromtimestamp(until).astimezone())
        step.input = {"until": at}
        if self._task.dry:
            step.state = "shown"
        else:
            async with self._walk.parked(step):
                while (left := until - self._now().timestamp()) > 0:
                    with anyio.move_on_after(min(left, LOOK_SECONDS)):
                        await anyio.sleep_forever()
        return {"at": at, "state": "", "text": ""}

    async def _other(self, step: Step, run: str) -> Any:
        """Wait, parked, for a task that the workflow may see."""
        step.input = {"task": run}
        if self._task.dry:
            step.state = "shown"
            return {"at": iso(self._now()), "state": "completed", "text": ""}
        owner = self._task.identity("").owner
        row = await self._means.parts.store.get(run)
        if owner and row.owner != owner:
            raise HomeportError("not_found", f"There is no run {run[:64]!r}.", "List the runs.")
        async with self._walk.parked(step):
            row = await self._means.ended(run)
        return {"at": row.finished, "state": row.state, "text": row.answer}

    def _moment(self, node: TimerNode, scope: Scope) -> float:
        """Return the epoch second that a timer waits for."""
        value = render(node.until if node.seconds is None else node.seconds, scope)
        try:
            if node.seconds is not None:
                return self._now().timestamp() + float(value)
            return datetime.fromisoformat(str(value)).astimezone().timestamp()
        except (TypeError, ValueError, OverflowError, OSError) as error:
            raise HomeportError("invalid", f"{value!r} is no time.", "Write seconds or 2026-11-30T09:00.") from error

    def _now(self) -> datetime:
        return self._means.parts.store.clock.now()


def as_text(result: Any) -> str:
    """Return a result as people read it."""
    return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False, indent=1)


def _recipients(graph: Graph) -> Iterator[str]:
    for node in graph.nodes.values():
        if isinstance(node, AgentNode):
            yield from node.to


def _harmless(tool: Tool) -> bool:
    """Say whether a dry run may call a tool: it only reads, and nothing leaves this machine."""
    return "read-only" in tool.labels and not {"outward", "internet"} & tool.labels
