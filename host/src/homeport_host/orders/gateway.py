"""The host as servers know it: who has their orders carried out, and where they hear what happened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import anyio

from homeport_host.agents.runs import Run, RunStore
from homeport_host.agents.service import Runs
from homeport_host.engine.protocol import FINAL, Engine
from homeport_host.events.bus import EventBus
from homeport_host.events.tables import Stored
from homeport_host.governance.dispatch import Upstreams
from homeport_host.orders.calls import KIND, TAG, CallTask
from homeport_host.workflows.library import require_valid
from homeport_host.workflows.service import Workflows, given
from homeport_shared.errors import HomeportError
from homeport_shared.events import Event
from homeport_shared.gateway import Happened, Order, Outcome

BATCH = 500
STORED_SECONDS = 0.01


class HostGateway:
    """Implements `homeport_shared.gateway.Gateway` with durable runs.

    Args:
        engine: Starts them; the kind `call` must be registered with it.
        runs: Starts and stops runs of agents.
        workflows: Starts those of workflows.
        store: Where runs are kept.
        tools: Which tools there are.
        bus: The host's events.
        inherit: Counts what another run or client has read as read by a run.

    Attributes:
        link: Remembers that a run belongs to what an event led to, by its correlation.
    """

    def __init__(
        self,
        engine: Engine,
        runs: Runs,
        workflows: Workflows,
        store: RunStore,
        tools: Upstreams,
        bus: EventBus,
        inherit: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self._engine = engine
        self._runs = runs
        self._workflows = workflows
        self._store = store
        self._tools = tools
        self._bus = bus
        self._inherit = inherit
        self._waiting: dict[str, _Waiting] = {}
        self._closing = False
        self.link: Callable[[str, str], Awaitable[None]] | None = None

    def close(self) -> None:
        """Take no more orders: who waits goes on waiting, and orders again after the next start."""
        self._closing = True

    async def carry_out(self, order: Order) -> Outcome:
        """Have an order done; the same id is done once, and asking again waits for the same run.

        Raises:
            HomeportError: Why it did not end well.
        """
        run = await self.accepted(order)
        waiting = self._waiting[run] = _Waiting(order.id)
        try:
            row = await self._store.get(run)
            if row.state not in FINAL:
                await waiting.ended.wait()
        finally:
            del self._waiting[run]
        while row.state not in FINAL:  # it is told a moment before it is stored
            await anyio.sleep(STORED_SECONDS)
            row = await self._store.get(run)
        if row.state == "completed":
            return Outcome(row.answer, row.id)
        if row.error:
            raise HomeportError.from_dict(row.error, f"{order.title} failed.")
        raise HomeportError("cancelled", f"{order.title} was stopped.", "Run it again when it is wanted.")

    async def abandon(self, order: str) -> None:
        """Stop the run of an order."""
        for run in (order, self._runs.run_id(order)):
            try:
                await self._runs.cancel(run)
            except HomeportError as error:
                if error.code != "not_found":
                    raise

    async def problems(self, order: Order) -> list[str]:
        """Say whether there is such a tool, agent or workflow, and whether the tool's arguments are all there."""
        if order.workflow:
            return await self._workflow_problems(order)
        if not order.tool:
            return self._agent_problems(order)
        tool = self._tools.tool(order.tool)
        if tool is None:
            return [f"There is no tool {order.tool!r}."]
        if "person-only" in tool.labels:
            return [f"{order.tool} is only for a person, so no job can call it."]
        if "page-only" in tool.labels and not order.agreed:
            return [f"{order.tool} is made for a page: only a job that a person saves can call it."]
        required = tool.definition.get("inputSchema", {}).get("required", [])
        missing = [name for name in required if name not in order.arguments]
        return [f"{order.tool} needs {', '.join(missing)}."] if missing else []

    async def states(self, tasks: Sequence[str]) -> dict[str, str]:
        """Return the state of tasks by their addresses; `gone` for one that there is not."""
        found = await self._store.states([task.removeprefix("run://") for task in tasks])
        return {f"run://{run}": state for run, state in found}

    async def follow(self, after: int | None, handle: Callable[[list[Happened]], Awaitable[None]]) -> None:
        """Hand over the stored events behind `after`, then the new ones, until cancelled."""
        async with self._bus.subscribe() as news:
            newest = await self._bus.latest(1)
            last = newest[0].seq if newest else 0
            seen = last if after is None or after > last else after
            while True:
                batch = await self._bus.after(seen, limit=BATCH)
                if batch:
                    await handle([_happened(each) for each in batch])
                    seen = batch[-1].seq
                else:
                    await news.receive()
                    while news.statistics().current_buffer_used:
                        news.receive_nowait()

    async def ended(self, row: Run) -> None:
        """Tell who waits for a run, and the events, that it has ended."""
        waiting = self._waiting.get(row.id)
        if waiting is not None:
            waiting.ended.set()
        data = {
            "kind": row.kind,
            "title": row.title,
            "owner": row.owner,
            "seconds": _seconds(row),
            "detail": str((row.error or {}).get("message", ""))[:500],
            "agent": row.agent,
            "session": row.session_id,
            "order": waiting.order if waiting else row.id,
        }
        await self._bus.publish(Event(f"run.{row.state}", f"run://{row.id}", data), cause=row.id)

    async def accepted(self, order: Order) -> str:
        """Start what an order asks for, as `begin` does; while the host closes, wait: the next one is asked again."""
        try:
            if not self._closing:
                return await self.begin(order)
        except Exception:  # the engine closed meanwhile; anything else is told
            if not self._closing:
                raise
        await anyio.sleep_forever()
        raise AssertionError("it sleeps for ever")

    async def begin(self, order: Order) -> str:
        """Start what an order asks for and return the run; the same order starts one run only.

        Raises:
            HomeportError: Why it cannot be started.
        """
        run = order.id if order.tool or order.workflow else self._runs.run_id(order.id)
        if self.link and order.correlation not in {"", run}:
            await self.link(run, order.correlation)
        if order.workflow:
            return await self._workflows.start(
                order.workflow,
                order.arguments,
                run=order.id,
                job=True,
                agreed=order.agreed,
                origin=order.origin,
                trigger=order.event,
                priority=order.priority,
                sources=order.sources,
                tags=(TAG,),
            )
        if not order.tool:
            return await self._runs.start(
                order.prompt,
                agent=order.agent,
                kind="job",
                yes=order.tools,
                interactive=False,
                idempotency_key=order.id,
                title=order.title,
                origin=order.origin,
                priority=order.priority,
                tags=(TAG,),
                sources=list(order.sources),
            )
        for source in order.sources:
            await self._inherit(order.id, source)
        task = CallTask.of(order)
        # As with agents: accepted by the engine first, so whatever happens after that, the run begins.
        await self._engine.start(KIND, task.model_dump(mode="json"), run=order.id)
        await self._store.add(task.row(order.id, self._store.now()))
        return order.id

    async def _workflow_problems(self, order: Order) -> list[str]:
        try:
            workflow, version = await self._workflows.library.get(order.workflow)
            graph, problems = await self._workflows.library.check(version.graph)
            require_valid(workflow.name, problems)
            given(graph, order.arguments, typed=False)  # an event fills them in
        except HomeportError as error:
            return [str(error)]
        return [f"{workflow.name} is a draft."] if workflow.status != "active" else []

    def _agent_problems(self, order: Order) -> list[str]:
        try:
            self._runs.check(order.agent)
        except HomeportError as error:
            return [str(error)]
        return []


def _happened(event: Stored) -> Happened:
    return Happened(event.seq, event.at, event.kind, event.subject, event.data, event.correlation)


def _seconds(row: Run) -> float:
    if not row.started or not row.finished:
        return 0.0
    ended, begun = datetime.fromisoformat(row.finished), datetime.fromisoformat(row.started)
    return round((ended - begun).total_seconds(), 3)


class _Waiting:
    """Somebody waits for a run."""

    def __init__(self, order: str) -> None:
        self.order = order
        self.ended = anyio.Event()
