"""The life of an agent's run, as the body of a durable run: it begins, takes its turns, and ends in one of two ways.

A run ends as a success only with an answer that has no fault; everything else ends as a failure that says what to do.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.exc import DBAPIError

from homeport_host.agents.admission import require_completed
from homeport_host.agents.limits import Spent
from homeport_host.agents.runs import Run
from homeport_host.agents.task import Task, row_of
from homeport_host.agents.turns import Parts, Turns
from homeport_host.engine.protocol import RunState, Steps
from homeport_shared.errors import HomeportError

Done = Callable[[Run], Awaitable[None]]
logger = logging.getLogger(__name__)
START_SECONDS = 2.0  # how long a new run waits for servers that are starting
RECOVERY_SECONDS = 30.0  # and one that a crash cut off: it used their tools before


class AgentLoop:
    """The body of every run of an agent.

    Args:
        parts: What every run uses.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.on_done: list[Done] = []

    async def __call__(self, steps: Steps, parameters: dict[str, Any]) -> dict[str, Any]:
        """Do one run to its end, whatever the end is."""
        task, spent = Task.model_validate(parameters), Spent()
        await self._parts.store.add(row_of(steps.run, task, self._parts.store.now()))
        try:
            await self._admitted(steps.run, task)
            answer, citations = await self._answer(steps, task, spent)
            ended = _Ended("completed", answer, citations)
        except DBAPIError:
            raise  # the engine keeps the run open and tries again
        except HomeportError as error:
            ended = _Ended("failed", error=error.as_dict())
        except Exception:  # the boundary of a run: a bug ends this run, with a reference, and nothing else
            reference = secrets.token_hex(4)
            logger.exception("run %s failed, reference %s", steps.run, reference)
            error = HomeportError("internal", f"The run failed in a way nobody foresaw (reference {reference}).")
            ended = _Ended("failed", error=error.as_dict())
        finally:
            self._parts.admission.leave(steps.run)
        await steps.step("finish", lambda: self._finish(steps.run, ended, spent))
        return {"state": ended.state}

    async def _admitted(self, run: str, task: Task) -> None:
        """Wait until the run may work.

        Raises:
            HomeportError: `conflict`, when a run that it depends on failed.
        """
        admission, store = self._parts.admission, self._parts.store
        if (await store.get(run)).state == "paused":  # before a restart
            admission.pause(run)
        if task.after:
            await self._after(run, task.after)
        row = await store.get(run)
        at_once = task.agent.at_once
        await admission.enter(
            run, task.kind, task.agent.name, at_once=at_once, priority=row.priority, since=row.created
        )
        await admission.unpaused(run)

    async def _after(self, run: str, others: tuple[str, ...]) -> None:
        await self._parts.enter(run, "waiting", key="waiting for others")
        while True:
            ends = [self._parts.admission.end_of(other) for other in others]  # before looking, so that none is missed
            states = await self._parts.store.states(others)
            if require_completed(states):
                break
            await next(end for end, (_, state) in zip(ends, states, strict=True) if state != "completed").wait()
        await self._parts.enter(run, "queued", key="after the others")

    async def _answer(self, steps: Steps, task: Task, spent: Spent) -> tuple[str, list[dict[str, Any]]]:
        recovered = not await self._parts.store.mark(steps.run, "begun")
        # A run has the tools that there are when it begins; one cut off by a crash had them all before.
        await self._parts.ready(RECOVERY_SECONDS if recovered else START_SECONDS)
        turns = Turns(self._parts, steps, task, spent, recovered=recovered)
        await self._parts.enter(steps.run, "running", key="running")
        await self._parts.store.change(steps.run, started=self._parts.store.now())
        for source in task.sources:
            await self._parts.dispatcher.inherit(steps.run, source)
        return await turns.answer()

    async def _finish(self, run: str, ended: _Ended, spent: Spent) -> None:
        """Tell those who keep the answer, then store the end, so that a reader who sees it finds everything."""
        store = self._parts.store
        row = replace(
            await store.get(run),
            state=ended.state,
            finished=store.now(),
            answer=ended.answer,
            citations=ended.citations,
            error=ended.error,
            steps=spent.turns + spent.tool_calls,
            usage=spent.as_usage(),
        )
        await self._parts.recorder.drain()  # a chat reads calls and model of its answer from the events
        for told in self.on_done:
            await told(row)
        await self._parts.recorder.end(row)
        self._parts.admission.ended(run)


@dataclass(frozen=True, slots=True)
class _Ended:
    state: RunState
    answer: str = ""
    citations: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    error: dict[str, str] | None = None
