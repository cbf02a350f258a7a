"""Carry out one run: its action, its time limit, what becomes of its failure, and what is told about it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

import anyio

from homeport_scheduler.definitions import Definition
from homeport_scheduler.policies import back_off
from homeport_scheduler.records import Job, Note, Run
from homeport_shared.clock import Clock, iso
from homeport_shared.errors import HomeportError
from homeport_shared.gateway import Gateway, Order, Outcome
from homeport_shared.matching import fill
from homeport_shared.matching import told as for_event

LONGEST_DETAIL = 4_000  # characters of a result that the history keeps
FINAL_FAILURES = frozenset({"denied", "approval_required", "invalid", "not_found", "unsupported", "conflict"})
logger = logging.getLogger(__name__)
Emit = Callable[[Note], Awaitable[None]]


class Running:
    """The runs that this process carries out.

    Args:
        gateway: Has the work done.
        clock: The time.
        emit: Keeps an event that a job emits.
    """

    def __init__(self, gateway: Gateway, clock: Clock, emit: Emit) -> None:
        self._gateway = gateway
        self._clock = clock
        self._emit = emit
        self._scopes: dict[str, anyio.CancelScope] = {}

    async def carry_out(self, run: Run, job: Job | None) -> Run:
        """Do what a run is for and return it as it ended, or as it waits for its next attempt."""
        with anyio.CancelScope() as scope:
            self._scopes[run.id] = scope
            try:
                return await self._attempt(run, job)
            finally:
                del self._scopes[run.id]
        await self._gateway.abandon(run.order)
        return self._ended(run, "cancelled", "cancelled", "It was stopped.")

    def stop(self, run: str) -> None:
        """Stop a run that is carried out here."""
        if scope := self._scopes.get(run):
            scope.cancel()

    async def _attempt(self, run: Run, job: Job | None) -> Run:
        if job is None:
            return self._ended(run, "failed", "not_found", "Its job is gone.")
        definition = job.definition
        error = HomeportError("timeout", f"It took longer than its {definition.timeout} s and was stopped.")
        try:
            with anyio.move_on_after(definition.timeout):
                done = await self._act(run, job)
                return replace(self._ended(run, "completed", "", done.text), host_run=done.run)
            await self._gateway.abandon(run.order)
        except HomeportError as failure:
            error = failure
        except Exception as failure:  # whatever a foreign server or the host did ends this run and no other
            logger.exception("run %s failed", run.id)
            error = HomeportError("internal", f"It failed in a way nobody foresaw: {type(failure).__name__}.")
        return self._failed(run, definition, error)

    async def _act(self, run: Run, job: Job) -> Outcome:
        action = job.definition.action
        event = run.event or {}
        if action.kind != "event":
            sources = (*job.sources, *filter(None, [str(event.get("cause", ""))]))
            return await self._gateway.carry_out(replace(order_of(run, job.definition), sources=sources))
        depth = int(cast("dict[str, Any]", event.get("data") or {}).get("depth", 0)) + 1
        data = {**fill(action.arguments, event), "job": run.job, "depth": depth}
        place, now = f"scheduler://jobs/{run.job}", iso(self._clock.now())
        await self._emit(Note(run.order, now, action.event, place, data, correlation=run.correlation))
        return Outcome(f"Emitted {action.event}.")

    def _failed(self, run: Run, definition: Definition, error: HomeportError) -> Run:
        ended = self._ended(run, "failed", error.code, str(error))
        if run.attempt > definition.retries or error.code in FINAL_FAILURES:
            return ended
        now = self._clock.now()
        attempts = [*run.attempts, {"started": run.started, "finished": ended.finished, "error": ended.detail}]
        again = iso(now + back_off(definition.back_off, run.attempt))
        return replace(
            ended, state="queued", not_before=again, attempt=run.attempt + 1, attempts=attempts, finished="", process=""
        )

    def _ended(self, run: Run, state: Any, category: str, detail: str) -> Run:
        now = self._clock.now()
        began = datetime.fromisoformat(run.started) if run.started else now
        seconds = round(max((now - began) / timedelta(seconds=1), 0.0), 3)
        detail = detail if len(detail) <= LONGEST_DETAIL else detail[:LONGEST_DETAIL] + " …"
        return replace(run, state=state, finished=iso(now), seconds=seconds, category=category, detail=detail)


def order_of(run: Run, definition: Definition) -> Order:
    """Return what a run asks for, the event's fields in their places."""
    action, event = definition.action, run.event or {}
    return Order(
        id=run.order,
        title=definition.name,
        tool=action.tool,
        workflow=action.workflow,
        event=event,
        arguments=fill(action.arguments, event),
        agent=action.agent,
        prompt=for_event(action.prompt, event) if event and action.prompt else action.prompt,
        tools=tuple(action.tools),
        stated=action.arguments,
        agreed=run.agreed,
        again=run.category == "again",
        origin="user" if run.cause == "manual" else run.cause,
        priority=run.priority,
        correlation=run.correlation,
    )


def told(run: Run, definition: Definition | None) -> Note:
    """Return the event of a run that ended: `job.completed`, `job.failed` or `job.cancelled`."""
    before = cast("dict[str, Any]", (run.event or {}).get("data") or {})
    data = {
        "job": run.job,
        "name": run.name,
        "run": run.id,
        "state": run.state,
        "seconds": run.seconds,
        "category": run.category,
        "detail": run.detail[:500],
        "notify": run.state == "failed" and (definition is None or definition.notify),
        "depth": int(before.get("depth", 0)) + 1,
    }
    kind, place = f"job.{run.state}", f"scheduler://runs/{run.id}"
    return Note(f"{run.id}-ended", run.finished, kind, place, data, correlation=run.correlation)
