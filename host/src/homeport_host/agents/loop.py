"""The life of an agent's run, as the body of a durable run: it begins, takes its turns, and ends in one of two ways.

A run ends as a success only with an answer that has no fault; everything else ends as a failure that says what to do.
"""

from __future__ import annotations

import logging
import secrets
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.exc import DBAPIError

from homeport_host.agents.admission import require_completed
from homeport_host.agents.definition import Agent
from homeport_host.agents.limits import Spent
from homeport_host.agents.metering import Metered
from homeport_host.agents.runs import Run
from homeport_host.agents.task import Task, row_of
from homeport_host.agents.turns import Parts, Turns
from homeport_host.engine.protocol import RunState, Steps
from homeport_shared.errors import HomeportError

Done = Callable[[Run], Awaitable[None]]
logger = logging.getLogger(__name__)
MOST_REVIEWS = 20
REVIEW_SECONDS = 30 * 24 * 3600.0
LONGEST_TRACE = 20_000  # characters of a stack trace, from its end
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
            metered = Metered(self._answer(steps, await self._assigned(steps, task), spent))
            try:
                answer, citations = await metered
            finally:
                spent.cpu_seconds = metered.seconds
            ended = _Ended("completed", answer, citations)
        except DBAPIError:
            raise  # the engine keeps the run open and tries again
        except HomeportError as error:
            await self._trace(steps.run, error)
            ended = _Ended("failed", error=error.as_dict())
        except Exception as bug:  # the boundary of a run: a bug ends this run, with a reference, and nothing else
            reference = secrets.token_hex(4)
            logger.exception("run %s failed, reference %s", steps.run, reference)
            await self._trace(steps.run, bug)
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
        answer, citations = await turns.answer()
        for number in range(1, MOST_REVIEWS + 1):
            if not task.review:
                return answer, citations
            decision = await self._reviewed(steps, number, answer, citations)
            if decision["accept"]:
                return answer, citations
            answer, citations = await turns.again(answer, decision["remark"])
        raise HomeportError("limit", f"The answer was sent back {MOST_REVIEWS} times.", "Write the task anew.")

    async def _reviewed(
        self, steps: Steps, number: int, answer: str, citations: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """Show an answer and wait, without keeping room, until a person has decided about it.

        Raises:
            HomeportError: `timeout`, when nobody did.
        """
        parts, run = self._parts, steps.run
        await parts.store.change(run, answer=answer, citations=citations)
        shown = {"number": number, "answer": answer}  # stored first: by its number the decision finds the way back
        await parts.recorder.emit(run, "review", shown, key=f"review {number}", durable=True)
        await parts.enter(run, "waiting", key=f"review waits {number}")
        room = parts.admission.give_back(run)
        decision = await steps.signal(f"review:{number}", REVIEW_SECONDS)
        await parts.admission.again(run, room)
        if decision is None:
            raise HomeportError("timeout", "Nobody accepted the answer or sent it back in time.", "Run it again.")
        told = {"number": number, **decision}
        await parts.recorder.emit(run, "reviewed", told, key=f"reviewed {number}")
        if not decision["accept"]:
            await parts.store.change(run, answer="", citations=[])
        await parts.enter(run, "running", key=f"review decided {number}")
        return decision

    async def _assigned(self, steps: Steps, task: Task) -> Task:
        """Return the task for the agent that it has been given to since it was made."""
        agent = (await self._parts.store.get(steps.run)).agent
        if agent == task.agent.name:
            return task

        async def read() -> dict[str, Any]:
            return self._parts.agents.get(agent).model_dump(mode="json")

        chosen = Agent.model_validate(await steps.step("agent", read))
        return task.model_copy(update={"agent": chosen, "model": chosen.model or task.model})

    async def _trace(self, run: str, error: Exception) -> None:
        text = "".join(traceback.format_exception(error))[-LONGEST_TRACE:]
        await self._parts.recorder.emit(run, "trace", {"text": text}, key="trace")

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
