"""What people do with runs that there are: pause, resume, cancel, repeat, label and forget them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, Literal

import anyio

from homeport_host.agents.admission import Admission
from homeport_host.agents.recorder import Recorder
from homeport_host.agents.runs import Run, RunStore
from homeport_host.agents.service import Runs
from homeport_host.agents.task import LONGEST_TITLE, Task, row_of
from homeport_host.engine.protocol import FINAL, Engine, RunState
from homeport_shared import identity
from homeport_shared.clock import iso
from homeport_shared.errors import HomeportError

Action = Literal["pause", "resume", "cancel", "retry"]
ALLOWED: dict[Action, frozenset[str]] = {
    "pause": frozenset({"queued", "running"}),
    "resume": frozenset({"paused"}),
    "cancel": frozenset({"queued", "running", "waiting", "paused"}),
    "retry": FINAL,
}
SWEEP_SECONDS = 24 * 3600.0
MOST_TAGS = 20
LONGEST_LOG = 100_000  # events of one run


class Steering:
    """Acts on runs.

    Args:
        runs: Starts and cancels them.
        engine: Has what they were started with.
        store: Where they are kept.
        recorder: Told about changes of state.
        admission: Holds runs back.

    Attributes:
        repeat: How a run of another kind than an agent's is started again.
        on_forgotten: Awaited with the ids of runs that are forgotten.
    """

    def __init__(self, runs: Runs, engine: Engine, store: RunStore, recorder: Recorder, admission: Admission) -> None:
        self._runs = runs
        self._engine = engine
        self._store = store
        self._recorder = recorder
        self._admission = admission
        self._before: dict[str, RunState] = {}  # how paused runs were
        self.repeat: dict[str, Callable[[Run], Awaitable[str]]] = {}
        self.on_forgotten: list[Callable[[Sequence[str]], Awaitable[None]]] = []

    async def act(self, run: str, action: Action, *, step: int = 0) -> str:
        """Do one thing with one run; return the run that matters after it, which for `retry` is a new one.

        Args:
            run: The run.
            action: What to do.
            step: For `retry`: the number of the recorded step from which on it is done anew; 0 = everything.

        Raises:
            HomeportError: `not_found`; `conflict`, when its state does not allow it.
        """
        row = await self._store.get(run)
        possible = [name for name, states in ALLOWED.items() if row.state in states]
        if row.kind in self.repeat and row.state == "waiting":
            possible.append("pause")  # a step of it waits, and it goes on with others
        if action not in possible:
            raise HomeportError(
                "conflict",
                f"The run {run} is {row.state}: {action} is not possible.",
                f"Possible: {', '.join(possible)}.",
            )
        if action != "cancel" and row.kind == "job" and not row.agent:
            raise HomeportError(
                "conflict", f"The run {run} is one call of a tool for a job.", "Run its job again in Automation."
            )
        match action:
            case "pause":
                self._admission.pause(run)
                self._before[run] = row.state
                await self._enter(run, "paused")
            case "resume":
                before = self._before.pop(run, "queued") if self._admission.is_away(run) else "queued"
                state = "running" if self._admission.works(run) else before
                self._admission.resume(run)
                await self._enter(run, state)
            case "cancel":
                await self._runs.cancel(run)
                self._before.pop(run, None)
            case "retry":
                return await self._retry(row, step)
        return run

    async def label(
        self,
        run: str,
        *,
        title: str = "",
        priority: int | None = None,
        tags: Sequence[str] | None = None,
        agent: str = "",
    ) -> Run:
        """Change what a run is called, how soon it begins, who does it or what it is found by; empty changes nothing.

        Raises:
            HomeportError: `not_found`; `conflict`, when another agent can no longer be given a run.
        """
        row = await self._store.get(run)
        values: dict[str, Any] = {}
        if agent and agent != row.agent:
            if row.started or row.finished or not row.agent:
                raise HomeportError("conflict", f"The run {run} has begun, or has no agent.", "Start a new one.")
            values["agent"] = self._runs.agent(agent).name
        if title.strip():
            values["title"] = title.strip()[:LONGEST_TITLE]
        if priority is not None:
            values["priority"] = priority
        if tags is not None:
            values["tags"] = sorted({tag.strip() for tag in tags if tag.strip()})[:MOST_TAGS]
        if values:
            await self._store.label(run, **values)
            await self._recorder.changed(run)
        if priority is not None:  # once it is stored: a run that comes to the queue now reads it there
            self._admission.prefer(run, priority)
        return await self._store.get(run)

    async def review(self, run: str, *, accept: bool, remark: str = "") -> Run:
        """Accept the answer that waits for a person, or send it back with a remark: then the run works on.

        Raises:
            HomeportError: `not_found`; `conflict`, when no answer waits; `invalid` for sending back without a remark.
        """
        row = await self._store.get(run)
        if row.waits_for != "review":
            raise HomeportError("conflict", f"The run {run} has no answer that waits.", "Look at its state.")
        if not accept and not remark.strip():
            raise HomeportError("invalid", "The remark is empty.", "Say what is to be different.")
        events = await self._store.events(run, limit=LONGEST_LOG)
        number = max(event.data["number"] for event in events if event.kind == "review")
        by = identity.current().actor or "you"
        await self._engine.send(run, f"review:{number}", {"accept": accept, "remark": remark.strip(), "by": by})
        return row

    async def forget(self, run: str) -> None:
        """Forget an ended run with its events.

        Raises:
            HomeportError: `not_found`; `conflict`, when it has not ended.
        """
        row = await self._store.get(run)
        if row.state not in FINAL:
            raise HomeportError("conflict", f"The run {run} is {row.state}.", "Cancel it first.")
        await self._forget([run])

    async def sweep(self, keep: timedelta) -> int:
        """Forget the runs that ended longer than `keep` ago; return how many."""
        before = iso(self._store.clock.now() - keep)
        forgotten = 0
        while ended := await self._store.ended_before(before):
            await self._forget(ended)
            forgotten += len(ended)
        return forgotten

    async def sweep_daily(self, keep: timedelta) -> None:
        """Forget old runs now and every day, for as long as the host runs."""
        while True:
            await self.sweep(keep)
            await anyio.sleep(SWEEP_SECONDS)

    async def _retry(self, row: Run, step: int) -> str:
        if row.session_id:
            raise HomeportError(
                "conflict", f"The run {row.id} is an answer in a chat.", "Use Regenerate under the answer."
            )
        if row.kind in self.repeat:
            return await self.repeat[row.kind](row)
        task = Task.model_validate(await self._engine.parameters(row.id))
        who = identity.current()
        changes: dict[str, Any] = {
            "parent": row.id,
            "actor": who.actor,
            "owner": row.owner,
            "hold": False,
            "title": row.title,
        }
        changes |= {"priority": row.priority, "tags": tuple(row.tags)}
        if (given := row.agent) != task.agent.name:
            if step:
                raise HomeportError("conflict", f"The run was given to {given} later.", "Retry it from the start.")
            changes["agent"] = self._runs.agent(given)
        again = task.model_copy(update=changes)
        new = self._runs.run_id()
        if not step:
            return await self._runs.begin(again, new)
        if step not in {each["number"] for each in await self._engine.steps(row.id)}:
            raise HomeportError("invalid", f"The run {row.id} has no step {step}.", "Read its steps and use a number.")
        await self._engine.fork(row.id, step, into=new)
        await self._store.add(row_of(new, again, self._store.now()))
        await self._store.label(new, parent=row.id)  # the run may have begun, and made its row, before us
        return new

    async def _forget(self, runs: Sequence[str]) -> None:
        for run in runs:
            await self._engine.forget(run)
        for told in self.on_forgotten:
            await told(runs)
        await self._store.remove(runs)
        await self._recorder.changed(*runs)

    async def _enter(self, run: str, state: RunState) -> None:
        await self._store.change(run, state=state)
        await self._recorder.emit(run, "state", {"state": state, "by": identity.current().actor or "you"})
