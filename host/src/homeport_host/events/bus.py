"""One bus for everything that happened: checked, persisted, then delivered, and readable again from any point."""

from __future__ import annotations

import contextlib
import fnmatch
import logging
import re
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from sqlalchemy import Connection, Integer, cast, delete, func, select

from homeport_host.database import Database
from homeport_host.dialects import insert
from homeport_host.events.alarms import Alarm
from homeport_host.events.kinds import OWN, check
from homeport_host.events.tables import Stored, deliveries, events, feeds, origin, rows
from homeport_shared import identity
from homeport_shared.batching import Batcher
from homeport_shared.changes import ChangeBus
from homeport_shared.clock import Clock, SystemClock, iso
from homeport_shared.errors import HomeportError
from homeport_shared.events import Event
from homeport_shared.matching import matches

RECENT = "events://recent"
BUFFER = 1_000
SWEEP_SECONDS = 86_400
MOST_LOOKED_AT = 10_000  # events that a filter on fields goes through
logger = logging.getLogger(__name__)
# In the transaction that keeps the events; returns what is to be called once they are kept.
Router = Callable[[Connection, list[Stored]], Callable[[], None]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events to list; what is empty does not matter.

    Attributes:
        kinds: A pattern.
        where: Fields and what they must be, as `homeport_shared.matching.matches` takes them.
        correlation: Only what one event or run led to.
        since: RFC 3339; only events at or after this moment.
        until: Only events before this moment.
        before: Only events with a lower number; 0 = any.
    """

    kinds: str = "*"
    where: Mapping[str, Any] | None = None
    correlation: str = ""
    since: str = ""
    until: str = ""
    before: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """An event on its way onto the bus.

    Attributes:
        source: The key of the server that raises it.
        cause: The run in which it happened; empty = none.
        granted: What the server of somebody else may raise; None = the server is ours.
    """

    event: Event
    source: str = OWN
    cause: str = ""
    granted: Sequence[str] | None = None


class EventBus:
    """The host's events.

    Args:
        tasks: Runs the writer.
        database: Where events survive restarts.
        changes: Told that `events://recent` has news.
        clock: The time.
        per_minute: More events than these in a minute raise `alert.raised`; 0 = never.
        failures_per_hour: Likewise refused events and failed starts in an hour.

    Attributes:
        routers: Decide, in the transaction that keeps events, what they lead to.
        counts: Since the host started: `published`, `refused`, `dropped`, `started`, `failed`.
    """

    def __init__(
        self,
        tasks: TaskGroup,
        database: Database,
        changes: ChangeBus,
        clock: Clock | None = None,
        *,
        per_minute: int = 0,
        failures_per_hour: int = 0,
    ) -> None:
        self._database = database
        self._changes = changes
        self._clock = clock or SystemClock()
        self._batcher = Batcher[tuple[str, Told]](tasks, self._store)
        self._subscribers: dict[MemoryObjectSendStream[Stored], str] = {}
        self._many = Alarm("events_per_minute", per_minute, timedelta(minutes=1))
        self._failing = Alarm("event_failures_per_hour", failures_per_hour, timedelta(hours=1))
        self.routers: list[Router] = []
        self.counts = Counter[str]()

    async def publish(self, event: Event, *, source: str = OWN, cause: str = "") -> None:
        """Keep and deliver `event`; returns at once.

        Args:
            event: What happened.
            source: The key of the server that raises it.
            cause: The run in which it happened; empty = that of the call which is being served.

        Raises:
            HomeportError: `invalid` or `denied`, when the event is refused; that is kept, too.
        """
        told = await self._checked(Told(event, source, cause or identity.current().run))
        await self._batcher.add((iso(self._clock.now()), told), durable=False)

    async def take_over(self, told: Sequence[Told], feed: str, before: str, after: str) -> None:
        """Keep and deliver events that another process kept, and up to where they were read, in one transaction.

        Args:
            told: The events; one that is refused is left out, which is kept, too.
            feed: Where they were read.
            before: The place that was read from; when that is no longer where the feed stands, somebody else took the
                events over, and nothing is done.
            after: The place that was read to.
        """
        now, good = iso(self._clock.now()), list[tuple[str, Told]]()
        for each in told:
            with contextlib.suppress(HomeportError):  # told by the bus
                good.append((now, await self._checked(each)))
        await self._store(good, lambda connection: _moved(connection, feed, before, after))

    async def place(self, feed: str) -> str:
        """Return up to where a feed was read; empty = never."""
        query = select(feeds.c.cursor).where(feeds.c.feed == feed)
        return await self._database.read(lambda connection: connection.scalar(query)) or ""

    def source(self, server: str) -> _Source:
        """Return where the server with that key puts its events."""
        return _Source(self, server)

    async def failed(self, what: str) -> None:
        """Count something that went wrong with events: `refused`, `failed` or `dropped`."""
        self.counts[what] += 1
        await self._sound(self._failing)

    @asynccontextmanager
    async def subscribe(self, kinds: str = "*") -> AsyncGenerator[MemoryObjectReceiveStream[Stored]]:
        """Yield the events whose kind matches the pattern `kinds`, from now on.

        A subscriber that is 1,000 events behind misses the next ones; it notices by the gap in `seq` and reads them
        with `after`.
        """
        send, receive = anyio.create_memory_object_stream[Stored](BUFFER)
        self._subscribers[send] = kinds
        try:
            with send, receive:
                yield receive
        finally:
            self._subscribers.pop(send, None)

    async def after(self, seq: int, *, kinds: str = "*", limit: int = 200) -> list[Stored]:
        """Return up to `limit` events with a number above `seq`, oldest first."""
        like = events.c.kind.like(_like(kinds), escape="\\")
        query = select(events).where(events.c.seq > seq, like).order_by(events.c.seq).limit(limit)
        return await self._database.read(lambda connection: rows(connection, query))

    async def latest(self, limit: int = 50, wanted: Wanted = Wanted()) -> list[Stored]:
        """Return the newest events that are wanted, newest first."""
        query = select(events).where(events.c.kind.like(_like(wanted.kinds), escape="\\"))
        if wanted.correlation:
            query = query.where(events.c.correlation == wanted.correlation)
        if wanted.since:
            query = query.where(events.c.at >= wanted.since)
        if wanted.until:
            query = query.where(events.c.at < wanted.until)
        if wanted.before:
            query = query.where(events.c.seq < wanted.before)
        looked = MOST_LOOKED_AT if wanted.where else limit
        query = query.order_by(events.c.seq.desc()).limit(looked)
        found = await self._database.read(lambda connection: rows(connection, query))
        where = wanted.where or {}
        return [each for each in found if matches("*", where, each.as_json())][:limit]

    async def get(self, seq: int) -> Stored:
        """Return one event.

        Raises:
            HomeportError: `not_found`.
        """
        query = select(events).where(events.c.seq == seq)
        found = await self._database.read(lambda connection: rows(connection, query))
        if not found:
            raise HomeportError("not_found", f"There is no event {seq}.", "List the events; old ones are forgotten.")
        return found[0]

    async def rates(self) -> list[dict[str, Any]]:
        """Return how many events of each kind there were in the last hour and day, the most frequent first."""
        now = self._clock.now()
        hour, day = iso(now - timedelta(hours=1)), iso(now - timedelta(days=1))
        query = select(events.c.kind, func.count(), func.sum(cast(events.c.at >= hour, Integer)))
        query = query.where(events.c.at >= day).group_by(events.c.kind).order_by(func.count().desc())
        found = await self._database.read(lambda connection: connection.execute(query).all())
        return [{"kind": kind, "day": in_day, "hour": int(in_hour)} for kind, in_day, in_hour in found]

    async def forget(self, keep: timedelta, most: int) -> None:
        """Delete events from before `keep` ago and all but the newest `most`, with what they started long ago."""
        before = iso(self._clock.now() - keep)

        def work(connection: Connection) -> None:
            newest: int = connection.scalar(select(func.max(events.c.seq))) or 0
            old = (events.c.at < before) | (events.c.seq <= newest - most)
            waited_for = select(deliveries.c.event).where(deliveries.c.state == "waiting")
            connection.execute(delete(events).where(old, events.c.seq.not_in(waited_for)))
            ended = deliveries.c.state.not_in(("waiting", "started"))
            connection.execute(delete(deliveries).where(deliveries.c.at < before, ended))

        await self._database.write(work)

    async def sweep_daily(self, keep: timedelta, most: int) -> None:
        """Forget what is old, at once and then every day, until cancelled."""
        while True:
            try:
                await self.forget(keep, most)
            except HomeportError:  # a full disk, say: tomorrow again
                logger.exception("old events could not be deleted")
            await anyio.sleep(SWEEP_SECONDS)

    async def drain(self) -> None:
        """Wait until every published event is stored and delivered."""
        await self._batcher.drain()

    async def _checked(self, told: Told) -> Told:
        """Return an event with what it happened in.

        Raises:
            HomeportError: It is refused; that is kept.
        """
        event = told.event
        try:
            check(event, told.source, told.granted)
        except HomeportError as error:
            await self._refused(event, told.source, error)
            raise
        job = str(event.data["run"]) if event.kind.startswith("job.") and told.granted is None else ""
        return replace(told, cause=job or told.cause)

    async def _refused(self, event: Event, source: str, error: HomeportError) -> None:
        logger.warning("an event of %s was refused: %s", source, error)
        data = {"kind": event.kind[:200], "source": source, "reason": str(error)[:500]}
        told = Told(Event("event.refused", f"event://{source}", data), cause=identity.current().run)
        await self._batcher.add((iso(self._clock.now()), told), durable=False)
        await self.failed("refused")

    async def _store(
        self, batch: list[tuple[str, Told]], allowed: Callable[[Connection], bool] = lambda _: True
    ) -> None:
        def work(connection: Connection) -> tuple[list[Stored], list[Callable[[], None]]]:
            return self._insert(connection, batch) if allowed(connection) else ([], [])

        stored, routed = await self._database.write(work)
        self.counts["published"] += len(stored)
        for event in stored:
            for stream, kinds in list(self._subscribers.items()):
                if fnmatch.fnmatchcase(event.kind, kinds):
                    _offer(stream, event)
        for told in routed:
            told()
        await self._changes.updated(RECENT)
        await self._sound(self._many, len(stored))

    def _insert(
        self, connection: Connection, batch: list[tuple[str, Told]]
    ) -> tuple[list[Stored], list[Callable[[], None]]]:
        stored: list[Stored] = []
        for at, told in batch:
            event, cause = told.event, told.cause
            correlation = event.correlation or (origin(connection, cause)[0] if cause else "")
            one = Stored(0, at, event.kind, event.subject, event.data, told.source, cause, correlation)
            values = {name: value for name, value in one.as_json().items() if name != "seq"}
            seq: int = connection.execute(events.insert().values(values).returning(events.c.seq)).scalar_one()
            if not correlation:
                correlation = f"event-{seq}"
                connection.execute(events.update().where(events.c.seq == seq).values(correlation=correlation))
            stored.append(replace(one, seq=seq, correlation=correlation))
        return stored, [route(connection, stored) for route in self.routers]

    async def _sound(self, alarm: Alarm, number: int = 1) -> None:
        value = alarm.count(self._clock.now(), number)
        if value:
            data = {"metric": alarm.metric, "value": float(value), "limit": float(alarm.limit)}
            logger.warning("%s is %d, more than %d", alarm.metric, value, alarm.limit)
            alert = Told(Event("alert.raised", "events://statistics", data))
            await self._batcher.add((iso(self._clock.now()), alert), durable=False)


class _Source:
    """Where one server puts its events: a refused one is logged, and no failure of the server's."""

    def __init__(self, bus: EventBus, server: str) -> None:
        self._bus = bus
        self._server = server

    async def publish(self, event: Event) -> None:
        """Keep and deliver `event`, unless it is refused."""
        try:
            await self._bus.publish(event, source=self._server)
        except HomeportError:
            return  # told by the bus


def _moved(connection: Connection, feed: str, before: str, after: str) -> bool:
    """Move on where a feed stands; False when it stands elsewhere by now."""
    if not before:
        statement = insert(connection, feeds).values(feed=feed, cursor=after).on_conflict_do_nothing()
        return connection.scalar(statement.returning(feeds.c.feed)) is not None
    change = feeds.update().where(feeds.c.feed == feed, feeds.c.cursor == before).values(cursor=after)
    return connection.execute(change.returning(feeds.c.feed)).first() is not None


def _like(pattern: str) -> str:
    return re.sub(r"([%_\\])", r"\\\1", pattern).replace("*", "%").replace("?", "_")


def _offer(stream: MemoryObjectSendStream[Stored], event: Stored) -> None:
    try:
        stream.send_nowait(event)
    except (anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
        return  # it is behind or gone; it can read what it missed with `after`
