"""The life of a workflow's run, as the body of a durable run: it begins, walks through its graph, and ends."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import anyio
from sqlalchemy.exc import DBAPIError

from homeport_host.agents.runs import Run
from homeport_host.engine.protocol import RunState, Steps
from homeport_host.workflows import limits
from homeport_host.workflows.acting import as_text
from homeport_host.workflows.graph import Graph
from homeport_host.workflows.journal import Step
from homeport_host.workflows.means import Means
from homeport_host.workflows.task import KIND, WorkflowTask
from homeport_host.workflows.walk import Walk, take_back
from homeport_shared.errors import HomeportError

START_SECONDS = 30.0  # how long a run waits for servers that are starting
logger = logging.getLogger(__name__)


class WorkflowBody:
    """The body of every run of a workflow.

    Args:
        means: What every run uses.

    Attributes:
        on_done: Awaited with the run before its end is stored.
    """

    def __init__(self, means: Means) -> None:
        self._means = means
        self.on_done: list[Callable[[Run], Awaitable[None]]] = []

    async def __call__(self, steps: Steps, parameters: dict[str, Any]) -> dict[str, Any]:
        """Do one run to its end, whatever the end is."""
        task, run, parts = WorkflowTask.model_validate(parameters), steps.run, self._means.parts
        await parts.store.add(task.row(run, parts.store.now()))
        try:
            await self._admitted(run, task)
            ended = await self._walked(run, task)
        except DBAPIError:
            raise  # the engine keeps the run open and tries again
        except HomeportError as error:
            ended = _Ended("failed", error=error.as_dict())
        except Exception:  # the boundary of a run: a bug ends this run, with a reference, and nothing else
            reference = secrets.token_hex(4)
            logger.exception("run %s failed, reference %s", run, reference)
            error = HomeportError("internal", f"The run failed in a way nobody foresaw (reference {reference}).")
            ended = _Ended("failed", error=error.as_dict())
        finally:
            parts.admission.leave(run)
        await steps.step("finish", lambda: self._finish(run, ended))
        return {"state": ended.state}

    async def _admitted(self, run: str, task: WorkflowTask) -> None:
        """Wait until the run may work, and note that it does."""
        parts = self._means.parts
        row = await parts.store.get(run)
        if row.state == "paused":  # before a restart
            parts.admission.pause(run)
        await parts.admission.enter(run, KIND, "", at_once=0, priority=row.priority, since=row.created)
        await parts.admission.unpaused(run)
        await parts.ready(START_SECONDS)
        await self._means.journal.begin(run, task.workflow, task.version, dry=task.dry)
        await parts.enter(run, "running", key="running")
        if not row.started:
            await parts.store.change(run, started=parts.store.now())
        for source in task.sources:
            await parts.dispatcher.inherit(run, source)

    async def _walked(self, run: str, task: WorkflowTask) -> _Ended:
        graph = Graph.model_validate(task.graph)
        walk = Walk(self._means, run, task, graph, await self._means.journal.steps(run))
        try:
            result = await self._in_time(run, walk, graph.limit)
            return _Ended("completed", as_text(result), steps=_spent(walk.steps.values()))
        except HomeportError as error:
            await self._means.stop_children(list(walk.steps.values()))
            problems = await take_back(walk)
            told = HomeportError(error.code, error.message, " ".join([error.hint, *problems]).strip())
            return _Ended("failed", error=told.as_dict(), steps=_spent(walk.steps.values()))

    async def _in_time(self, run: str, walk: Walk, limit: float | None) -> Any:
        row = await self._means.parts.store.get(run)
        gone = (self._means.parts.store.clock.now() - datetime.fromisoformat(row.started)).total_seconds()
        with anyio.move_on_after(None if limit is None else max(limit - gone, 0)):
            return await walk.result()
        raise HomeportError("timeout", f"The workflow took longer than {limit:g} s.", "Give it more time.")

    async def _finish(self, run: str, ended: _Ended) -> None:
        """Tell those who wait, then store the end, so that a reader who sees it finds everything."""
        parts = self._means.parts
        row = replace(
            await parts.store.get(run),
            state=ended.state,
            finished=parts.store.now(),
            answer=ended.answer,
            error=ended.error,
            steps=int(ended.steps.get("steps", 0)),
            usage={name: value for name, value in ended.steps.items() if name != "steps"},
        )
        await parts.recorder.drain()
        for told in self.on_done:
            await told(row)
        await parts.recorder.end(row)
        parts.admission.ended(run)

    async def cancelled(self, row: Run) -> None:
        """Stop what a cancelled run had begun; to be registered with the runs."""
        if row.kind == KIND:
            steps = await self._means.journal.steps(row.id)
            await self._means.journal.stop(row.id)
            await self._means.stop_children(steps)


@dataclass(frozen=True, slots=True)
class _Ended:
    state: RunState
    answer: str = ""
    error: dict[str, str] | None = None
    steps: dict[str, float] = field(default_factory=dict[str, float])


def _spent(steps: Any) -> dict[str, float]:
    """Return what a run used, its agents included: steps, calls, tokens, US$, and seconds at its top with waiting."""
    done: list[Step] = list(steps)
    return {
        "steps": len(done),
        **limits.used(done),
        "seconds": round(sum(step.milliseconds for step in done if "/" not in step.path) / 1000, 3),
    }
