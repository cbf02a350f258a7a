"""The life of an ordered tool call, as the body of a durable run."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from homeport_host.agents.calling import Calling, Made, call_event, outcome_event
from homeport_host.agents.progress import Doing
from homeport_host.agents.recorder import Recorder
from homeport_host.agents.runs import Origin, Run, RunStore
from homeport_host.engine.protocol import Steps
from homeport_host.governance.calls import Caller, digest
from homeport_host.governance.dispatch import Dispatcher
from homeport_shared.gateway import Order
from homeport_shared.identity import Identity

KIND = "call"
TAG = "automation"
START_SECONDS = 30.0  # how long a call waits for servers that are starting


class CallTask(BaseModel):
    """The parameters of the run.

    Attributes:
        stated: The arguments as a person saw them: with `agreed`, a call with exactly these may do what cannot be
            taken back.
    """

    title: str
    tool: str
    arguments: dict[str, Any]
    stated: dict[str, Any]
    agreed: bool
    origin: Origin = "schedule"
    priority: int = 1

    @classmethod
    def of(cls, order: Order) -> CallTask:
        """Return an order as it is recorded."""
        names = ("title", "tool", "arguments", "stated", "agreed", "origin", "priority")
        return cls(**{name: getattr(order, name) for name in names})

    def caller(self, run: str) -> Caller:
        """Return who makes the call: a job that names this one tool, and what was agreed to."""
        approved = (f"{self.tool}#{digest(self.tool, self.stated)}",) if self.agreed else ()
        who = Identity(actor=self.title, run=run)
        return Caller("job", self.title, who, tools=(self.tool,), approved=approved, interactive=False)

    def row(self, run: str, created: str) -> Run:
        """Return the run before it has begun, as it is stored."""
        prompt = f"{self.tool} {json.dumps(self.arguments, ensure_ascii=False)}"
        return Run(
            run, "job", "", "", prompt, "", "queued", created,
            title=self.title, origin=self.origin, priority=self.priority, tags=[TAG], type="automation",
        )  # fmt: skip


class CallBody:
    """The body of every ordered call.

    Args:
        dispatcher: The one way to tools.
        store: Where runs are kept.
        recorder: Tells what happens in them.
        ready: Waits for servers that are starting, but not longer than some seconds.
        ended: Called with the run's id once its end is stored.

    Attributes:
        on_done: Awaited with the run before its end is stored.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        store: RunStore,
        recorder: Recorder,
        ready: Callable[[float], Awaitable[None]],
        ended: Callable[[str], None],
    ) -> None:
        self._calling = Calling(dispatcher)
        self._store = store
        self._recorder = recorder
        self._ready = ready
        self._ended = ended
        self.on_done: list[Callable[[Run], Awaitable[None]]] = []

    async def __call__(self, steps: Steps, parameters: dict[str, Any]) -> dict[str, Any]:
        """Make the call and store how it ended."""
        task = CallTask.model_validate(parameters)
        await self._store.add(task.row(steps.run, self._store.now()))
        await self._ready(START_SECONDS)
        await self._store.change(steps.run, state="running", started=self._store.now())
        await self._recorder.emit(steps.run, "state", {"state": "running"}, key="running")
        made = Made.from_json(await steps.step("call", lambda: self._call(steps.run, task)))
        event = {**call_event("1", task.tool, task.arguments), **outcome_event(made)}
        await self._recorder.emit(steps.run, "call", event, key="call")
        await steps.step("finish", lambda: self._finish(steps.run, made))
        return {"state": "failed" if made.error else "completed"}

    async def _call(self, run: str, task: CallTask) -> dict[str, Any]:
        async def progress(done: float, total: float | None, message: str | None) -> None:
            share = min(done / total, 1.0) if total else 0.0
            doing = Doing(message or task.tool, self._store.now(), total=1, share=share)
            self._recorder.advance(run, doing)

        caller = task.caller(run)
        made = await self._calling.call(caller, task.tool, task.arguments, key=f"{run}:call", progress=progress)
        return made.as_json()

    async def _finish(self, run: str, made: Made) -> None:
        row = replace(
            await self._store.get(run),
            state="failed" if made.error else "completed",
            finished=self._store.now(),
            answer="" if made.error else made.text,
            error=made.error,
            steps=1,
            usage={"tool_calls": 1, "seconds": round(made.seconds, 3)},
        )
        for told in self.on_done:
            await told(row)
        await self._recorder.end(row)
        self._ended(run)
