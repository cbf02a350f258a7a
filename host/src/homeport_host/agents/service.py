"""Start, watch and stop runs of agents."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Unpack

from homeport_host.agents.admission import Admission
from homeport_host.agents.briefing import Briefing
from homeport_host.agents.definition import Agent, AgentFolder
from homeport_host.agents.limits import Limits
from homeport_host.agents.recorder import Recorder
from homeport_host.agents.runs import Origin, Run, RunEvent, RunStore, Wanted, not_found
from homeport_host.agents.task import LONGEST_TITLE, Options, Task, row_of
from homeport_host.engine.protocol import FINAL, Engine
from homeport_host.governance.calls import Hold
from homeport_shared import identity, paging
from homeport_shared.clock import iso
from homeport_shared.errors import HomeportError
from homeport_shared.identity import Identity

KIND = "agent"
LONGEST_PROMPT = 400_000  # characters
ORIGINS: dict[str, Origin] = {"agent": "agent", "job": "schedule", "client": "client"}


class Runs:
    """The runs of agents.

    Args:
        engine: Makes them durable; `agent` must be registered with it.
        store: Where they are kept.
        recorder: Tells what happens in them.
        admission: Told when one ends.
        agents: The agents there are.
        default_model: Returns the model for agents that name none; empty = none is chosen.
        briefing: What conversations begin with; None = nothing.
    """

    def __init__(
        self,
        engine: Engine,
        store: RunStore,
        recorder: Recorder,
        admission: Admission,
        agents: AgentFolder,
        default_model: Callable[[], str],
        briefing: Briefing | None = None,
    ) -> None:
        self._engine = engine
        self._store = store
        self._recorder = recorder
        self._admission = admission
        self._agents = agents
        self._default_model = default_model
        self._briefing = briefing
        self.on_cancelled: list[Callable[[Run], Awaitable[None]]] = []

    async def start(self, prompt: str, **options: Unpack[Options]) -> str:
        """Start a run and return its id at once.

        Raises:
            HomeportError: `invalid` or `not_found`, when something of this does not fit.
        """
        if not prompt.strip() or len(prompt) > LONGEST_PROMPT:
            raise HomeportError("invalid", f"A prompt has 1 to {LONGEST_PROMPT} characters.", "Write what to do.")
        task = await self._briefed(self._task(prompt, options))
        await self._require_known(task)
        key = options.get("idempotency_key", "")
        return await self.begin(task, self.run_id(f"{task.owner} {key}".strip() if key else ""))

    async def _briefed(self, task: Task) -> Task:
        """Add what conversations of this person begin with; a job does only what it says."""
        if self._briefing is None or task.kind == "job":
            return task
        told = await self._briefing.told(identity.current())
        return task.model_copy(update={"instructions": f"{task.instructions}\n\n{told}".strip()})

    async def begin(self, task: Task, run: str) -> str:
        """Start a task under an id; one that was started before is not started again."""
        # Accepted by the engine first: whatever happens after that, the run begins and finds or makes its row.
        await self._engine.start(KIND, task.model_dump(mode="json"), run=run)
        await self._store.add(row_of(run, task, self._store.now()))
        return run

    async def _require_known(self, task: Task) -> None:
        for run, state in await self._store.states(task.after):
            if state == "gone" or (task.owner and (await self._store.get(run)).owner != task.owner):
                raise not_found(run)

    def _task(self, prompt: str, options: Options) -> Task:
        chosen = self._agents.get(options.get("agent", ""))
        who = identity.current()
        return Task(
            prompt=prompt,
            agent=chosen,
            model=self._model(options.get("model") or chosen.model),
            kind=options.get("kind", "ask"),
            history=options.get("history", []),
            context=options.get("context", ""),
            instructions=options.get("instructions", ""),
            tools=options.get("tools", ()),
            yes=options.get("yes", ()),
            limits=_limits(chosen.limits, options.get("limits", {})),
            num_ctx=options.get("num_ctx", 0),
            interactive=options.get("interactive", True),
            sources=[*options.get("sources", []), *_asking(who)],
            session_id=options.get("session_id", ""),
            message_id=options.get("message_id", ""),
            actor=who.actor,
            owner=who.owner,
            tenant=who.tenant,
            today=self._store.clock.now().date().isoformat(),
            title=options.get("title", "").strip()[:LONGEST_TITLE],
            origin=options.get("origin") or _origin(who),
            priority=options.get("priority", 1),
            parent=who.run,
            after=options.get("after", ()),
            tags=options.get("tags", ()),
            type=options.get("type"),
            review=options.get("review", False),
            hold=options.get("hold", False),
            step=options.get("step", ""),
            to=options.get("to", ()),
        )

    def agent(self, name: str) -> Agent:
        """Return the agent of this name; empty = the built-in assistant.

        Raises:
            HomeportError: `not_found`.
        """
        return self._agents.get(name)

    def check(self, agent: str) -> None:
        """Say whether an agent could be given a task now: it is there, and a model is chosen.

        Raises:
            HomeportError: `invalid` or `not_found`.
        """
        self._model(self._agents.get(agent).model)

    async def get(self, run: str) -> Run:
        """Return one run.

        Raises:
            HomeportError: `not_found`.
        """
        return await self._store.get(run)

    async def events(self, run: str, *, after: int = 0, limit: int = 500) -> tuple[list[RunEvent], Run]:
        """Return the events after a number, and the run as it was before they were read.

        Raises:
            HomeportError: `not_found`.
        """
        row = await self._store.get(run)
        return await self._store.events(run, after=after, limit=limit), row

    async def list(self, wanted: Wanted = Wanted(), *, limit: int = 50, cursor: str = "") -> tuple[list[Run], str]:
        """Return one page of runs, newest first, and the cursor of the next; empty = this is the last.

        Args:
            wanted: Which runs.
            limit: Most runs to return.
            cursor: Of the page before.

        Raises:
            HomeportError: `invalid` for a cursor that is not ours.
        """
        position = paging.decode(cursor)
        before = (str(position.get("created", "")), str(position.get("id", ""))) if position else None
        page = await self._store.latest(wanted, limit=limit + 1, before=before)
        more = len(page) > limit
        page = page[:limit]
        return page, paging.encode({"created": page[-1].created, "id": page[-1].id}) if more else ""

    async def cancel(self, run: str) -> Run:
        """Stop a run; the call that it is in ends. One that has ended stays as it is.

        Raises:
            HomeportError: `not_found`.
        """
        row = await self._store.get(run)
        if row.state in FINAL:
            return row
        await self._engine.cancel(run)
        row = await self._store.get(run)
        if row.state not in FINAL:  # it may have ended while it was being stopped
            row = replace(row, state="cancelled", finished=self._store.now())
            for told in self.on_cancelled:
                await told(row)
            await self._recorder.end(row)
            self._admission.ended(run)
        return row

    async def given_up(self, run: str, error: HomeportError) -> None:
        """Fail a run that could not end by itself; to be registered with the engine."""
        row = await self._store.get(run)
        if row.state not in FINAL:
            row = replace(row, state="failed", finished=self._store.now(), error=error.as_dict())
            for told in self.on_cancelled:
                await told(row)
            await self._recorder.end(row)
            self._admission.ended(run)

    async def steps(self, run: str) -> list[dict[str, Any]]:
        """List what a run recorded: number, name, and when it was begun and done, RFC 3339.

        Raises:
            HomeportError: `not_found`.
        """
        await self._store.get(run)
        return [
            {"number": each["number"], "name": each["name"]}
            | {name: iso(datetime.fromtimestamp(each[name] / 1000, UTC)) for name in ("started", "completed")}
            for each in await self._engine.steps(run)
        ]

    async def decided(self, hold: Hold) -> None:
        """Wake the run that waits for this approval; to be registered with the approvals."""
        if hold.run:
            await self._engine.send(hold.run, f"approval:{hold.id}", {"approve": hold.state == "approved"})

    def run_id(self, key: str = "") -> str:
        """Return a new id, or the one that `key` always gives: the engine starts an id once."""
        return hashlib.sha256(f"run {key}".encode()).hexdigest()[:32] if key else secrets.token_hex(16)

    def _model(self, name: str) -> str:
        name = name or self._default_model()
        if not name:
            raise HomeportError(
                "invalid",
                "No model is chosen.",
                "Choose one beside the chat's title, in the set-up, or with `homeport models use NAME`.",
            )
        if "/" not in name:
            raise HomeportError("invalid", f"{name!r} names no provider.", f"Write it like ollama/{name}.")
        return name


def _origin(who: Identity) -> Origin:
    if who.run:
        return "agent"
    return ORIGINS.get(who.caller, "user")


def _asking(who: Identity) -> list[str]:
    """Return whose words a prompt is, as taint knows them; a person's own words bring nothing in."""
    return [who.run or who.owner] if who.owner else []


def _limits(limits: Limits, changes: dict[str, Any]) -> Limits:
    try:
        return Limits.model_validate({**limits.model_dump(), **changes})
    except ValueError as error:
        fields = ", ".join(Limits.model_fields)
        raise HomeportError("invalid", f"These limits do not fit: {changes}.", f"Known limits: {fields}.") from error
