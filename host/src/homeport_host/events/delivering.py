"""What events start: written down in the transaction that keeps the event, started once, followed to its end."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextvars import Context
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any, Literal

import anyio
from anyio.abc import TaskGroup
from sqlalchemy import Connection, func, select, update

from homeport_host.agents.runs import runs
from homeport_host.database import Database
from homeport_host.dialects import insert
from homeport_host.engine.protocol import FINAL
from homeport_host.events.bus import EventBus
from homeport_host.events.kinds import ENDED, SILENT
from homeport_host.events.subscriptions import SUBSCRIPTIONS, Subscription
from homeport_host.events.tables import DEEPEST, Stored, deliveries, events, origin, rows, subscriptions
from homeport_shared.changes import ChangeBus
from homeport_shared.clock import Clock, iso
from homeport_shared.errors import HomeportError
from homeport_shared.events import Event
from homeport_shared.matching import matches

MOST_WAITING = 1_000  # of one subscription; what comes then is dropped, and told
MOST_REPLAYED = 500  # events of one replay
ATTEMPTS = 5
LOST = timedelta(days=1)
PASSING = frozenset({"unavailable", "timeout", "busy"})  # errors that another attempt may not meet
State = Literal["waiting", "started", "completed", "failed", "cancelled", "dropped", "circle"]
Begin = Callable[[Subscription, Stored, "Delivery"], Awaitable[str]]
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one subscription; the same id is delivered once.

    Attributes:
        subscription: Its id; empty for a job of the scheduler that waited for the event by itself.
        event: The event's number; 0 = the scheduler's own.
        depth: How many events led to it one after the other.
        run: What it started.
        error: Why nothing was started, or how it failed.
    """

    id: str
    subscription: str
    event: int
    correlation: str
    depth: int
    run: str
    state: State
    at: str
    error: str = ""


@dataclass
class _Found:
    """What a look at events came to: subscriptions that have something to do, and what they will not do."""

    touched: set[str] = field(default_factory=set[str])
    lost: list[Event] = field(default_factory=list[Event])


class Deliveries:
    """Hands events to subscriptions: each in its own time, so that a slow one holds nobody else.

    Args:
        tasks: Runs the starting.
        database: Where deliveries are kept.
        bus: The events.
        changes: Told that `events://subscriptions` has news.
        clock: The time.
        wanted: Returns the subscriptions that are on.
        begin: Starts what a subscription says for an event, once under the delivery's id, and returns the run.
        pause: Seconds before the second attempt; doubled each time.
    """

    def __init__(
        self,
        tasks: TaskGroup,
        database: Database,
        bus: EventBus,
        changes: ChangeBus,
        clock: Clock,
        wanted: Callable[[Connection], Sequence[Subscription]],
        begin: Begin,
        pause: float = 1.0,
    ) -> None:
        self._tasks = tasks
        self._database = database
        self._bus = bus
        self._changes = changes
        self._clock = clock
        self._wanted = wanted
        self._begin = begin
        self._pause = pause
        self._working: dict[str, bool] = {}
        bus.routers.append(self.route)

    async def open(self) -> None:
        """Begin to start things, with what a crash cut off first; what has ended meanwhile is noticed."""

        def work(connection: Connection) -> list[str]:
            started = select(deliveries.c.id, runs.c.state).join(runs, runs.c.id == deliveries.c.run)
            for id, state in connection.execute(started.where(deliveries.c.state == "started")).all():
                if state in FINAL:
                    connection.execute(update(deliveries).where(deliveries.c.id == id).values(state=state))
            waiting = select(deliveries.c.subscription).where(deliveries.c.state == "waiting").distinct()
            return list(connection.scalars(waiting))

        self.wake(await self._database.write(work))

    def route(self, connection: Connection, stored: list[Stored]) -> Callable[[], None]:
        """Write down what new events start, and what has ended by them; in the transaction that keeps them."""
        found = _Found()
        for event in stored:
            kind, _, state = event.kind.partition(".")
            if kind in {"run", "job"} and state in ENDED:
                found.touched |= _ended(connection, event, state)
        wanted = self._wanted(connection)
        for event in stored:
            if not event.kind.startswith(SILENT):
                for each in wanted:
                    if matches(each.kind, each.where, event.as_json()):
                        self._add(connection, each, event, "", found)
        return lambda: self._tell(found)

    async def replay(self, found: Iterable[Stored], replay: str, subscription: str = "") -> dict[str, int]:
        """Let events start their subscriptions once more; the same replay starts nothing twice.

        Args:
            found: The events.
            replay: An id of the caller's; the same id and event are delivered once.
            subscription: Only this one, by its id; empty = all that are on.

        Returns:
            How many deliveries are new, and how many this replay had made before.

        Raises:
            HomeportError: `invalid` for too many events.
        """
        chosen = list(found)
        if len(chosen) > MOST_REPLAYED:
            raise HomeportError("invalid", f"A replay has at most {MOST_REPLAYED} events.", "Narrow the filter.")

        def work(connection: Connection) -> tuple[dict[str, int], _Found]:
            counts, made = {"new": 0, "before": 0}, _Found()
            for event in sorted(chosen, key=lambda each: each.seq):
                for each in self._wanted(connection):
                    if subscription in {"", each.id} and matches(each.kind, each.where, event.as_json()):
                        new = self._add(connection, each, event, replay, made)
                        counts["new" if new else "before"] += 1
            return counts, made

        counts, made = await self._database.write(work)
        self._tell(made)
        return counts

    async def link(self, run: str, correlation: str) -> None:
        """Remember that a run which the scheduler ordered belongs to what an event led to."""

        def work(connection: Connection) -> None:
            same = select(func.max(deliveries.c.depth)).where(deliveries.c.correlation == correlation)
            depth = (connection.scalar(same) or 0) + 1
            made = Delivery(f"order-{run}", "", 0, correlation, depth, run, "started", iso(self._clock.now()))
            connection.execute(insert(connection, deliveries).values(asdict(made)).on_conflict_do_nothing())

        await self._database.write(work)

    async def chain(self, correlation: str) -> dict[str, list[dict[str, Any]]]:
        """Return all that one event or run led to: events, deliveries and runs, in their order."""

        def work(connection: Connection) -> dict[str, list[dict[str, Any]]]:
            happened = select(events).where(events.c.correlation == correlation).order_by(events.c.seq).limit(500)
            named = select(deliveries, subscriptions.c.name).outerjoin(
                subscriptions, subscriptions.c.id == deliveries.c.subscription
            )
            named = named.where(deliveries.c.correlation == correlation).order_by(deliveries.c.at).limit(500)
            delivered = [dict(row) for row in connection.execute(named).mappings()]
            ids = {row["run"] for row in delivered if row["run"]} | {correlation}
            columns = (runs.c.id, runs.c.kind, runs.c.title, runs.c.state, runs.c.answer, runs.c.error)
            started = select(*columns).where(runs.c.id.in_(ids) | runs.c.parent.in_(ids)).order_by(runs.c.created)
            return {
                "events": [event.as_json() for event in rows(connection, happened)],
                "deliveries": delivered,
                "runs": [dict(row) for row in connection.execute(started).mappings()],
            }

        return await self._database.read(work)

    def wake(self, wanted: Iterable[str]) -> None:
        """Look what these subscriptions have to start."""
        for each in filter(None, wanted):
            if each in self._working:
                self._working[each] = True
            else:
                self._working[each] = False
                self._begin_soon(self._work, each)

    def _begin_soon(self, work: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
        """Let something be done, in nobody's name: who raises an event may be a run, or be served for somebody."""
        Context().run(self._tasks.start_soon, work, *arguments)

    async def _work(self, subscription: str) -> None:
        while True:
            self._working[subscription] = False
            try:
                while due := await self._next(subscription):
                    await self._start(*due)
            except HomeportError:  # the database is away: the next event, or the next start, goes on
                logger.exception("what events start could not be looked up")
            if not self._working[subscription]:
                del self._working[subscription]
                return

    async def _next(self, subscription: str) -> tuple[Subscription, Stored, Delivery] | None:
        since = iso(self._clock.now() - LOST)
        return await self._database.read(lambda connection: _due(connection, subscription, since))

    async def _start(self, subscription: Subscription, event: Stored, delivery: Delivery) -> None:
        pause, error = self._pause, ""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                run = await self._begin(subscription, event, delivery)
                return await self._note(delivery, run, "started", "")
            except HomeportError as failure:
                error = str(failure)
                if failure.code not in PASSING or attempt == ATTEMPTS:
                    break
            await anyio.sleep(pause)
            pause *= 2
        logger.warning("the event %d could not start %s: %s", event.seq, subscription.name, error)
        await self._note(delivery, "", "failed", error[:1_000])
        await self._bus.failed("failed")

    async def _note(self, delivery: Delivery, run: str, state: State, error: str) -> None:
        def work(connection: Connection) -> None:
            ended = None  # it may have been quicker than this line
            if run:
                kinds = [f"{kind}.{end}" for kind in ("run", "job") for end in ENDED]
                query = select(events.c.kind).where(events.c.cause == run, events.c.kind.in_(kinds))
                ended = connection.scalar(query.limit(1))
            now = ended.partition(".")[2] if ended else state
            values = {"run": run, "state": now, "error": error}
            connection.execute(update(deliveries).where(deliveries.c.id == delivery.id).values(values))

        await self._database.write(work)
        self._bus.counts["started"] += bool(run)
        await self._changes.updated(SUBSCRIPTIONS)

    def _add(
        self, connection: Connection, subscription: Subscription, event: Stored, replay: str, found: _Found
    ) -> bool:
        """Write down that an event is for a subscription; False when it was before."""
        _, depth = origin(connection, event.cause) if event.cause else ("", 0)
        waits = (deliveries.c.subscription == subscription.id) & (deliveries.c.state == "waiting")
        waiting: int = connection.scalar(select(func.count()).where(waits)) or 0
        state: State = "circle" if depth >= DEEPEST else "dropped" if waiting >= MOST_WAITING else "waiting"
        error = {"circle": f"{DEEPEST} runs started each other by events.", "dropped": f"{waiting} wait already."}
        made = Delivery(
            delivery_id(subscription.id, event.seq, replay), subscription.id, event.seq, event.correlation, depth + 1,
            "", state, iso(self._clock.now()), error.get(state, ""),
        )  # fmt: skip
        statement = insert(connection, deliveries).values(asdict(made)).on_conflict_do_nothing()
        new = connection.scalar(statement.returning(deliveries.c.id)) is not None
        found.touched.add(subscription.id)
        if new and state != "waiting":
            data = {"kind": event.kind, "reason": f"{subscription.name}: {made.error}"}
            found.lost.append(Event("event.dropped", f"events://{event.seq}", data))
        return new

    def _tell(self, found: _Found) -> None:
        self.wake(found.touched)
        if found.touched:
            self._begin_soon(self._changes.updated, SUBSCRIPTIONS)
        if found.lost:
            self._begin_soon(self._lost, found.lost)

    async def _lost(self, lost: list[Event]) -> None:
        for event in lost:
            logger.warning("%s starts nothing: %s", event.subject, event.data["reason"])
            await self._bus.publish(event)
            await self._bus.failed("dropped")


def delivery_id(subscription: str, event: int, replay: str) -> str:
    """Return the id of a delivery: the same subscription, event and replay make one."""
    again = f"-{hashlib.sha256(replay.encode()).hexdigest()[:12]}" if replay else ""
    return f"event-{subscription}-{event}{again}"


def _ended(connection: Connection, event: Stored, state: str) -> set[str]:
    """Note that what an event started has ended; return the subscriptions that have room again."""
    of_run = deliveries.c.run == (event.cause or "-")
    found = set(connection.scalars(select(deliveries.c.subscription).where(of_run, deliveries.c.state == "started")))
    if found:
        detail = str(event.data.get("detail") or "")[:1_000] if state == "failed" else ""
        connection.execute(update(deliveries).where(of_run).values(state=state, error=detail))
    return found


def _due(connection: Connection, wanted: str, since: str) -> tuple[Subscription, Stored, Delivery] | None:
    """Return what a subscription is to start next; None while it is off, has no room, or has nothing to do.

    Args:
        connection: To the database.
        wanted: Its id.
        since: What was started before this moment takes no room any more: its end was lost in a crash.
    """
    row = connection.execute(select(subscriptions).where(subscriptions.c.id == wanted)).first()
    if row is None:
        return None
    subscription = Subscription(*row)
    mine = deliveries.c.subscription == wanted
    unfinished = select(func.count()).where(mine, deliveries.c.state == "started", deliveries.c.at >= since)
    if not subscription.enabled or (connection.scalar(unfinished) or 0) >= subscription.at_once:
        return None
    waiting = select(deliveries).where(mine, deliveries.c.state == "waiting").order_by(deliveries.c.event).limit(1)
    delivery = connection.execute(waiting).first()
    if delivery is None:
        return None
    [event] = rows(connection, select(events).where(events.c.seq == delivery.event))
    return subscription, event, Delivery(*delivery)
