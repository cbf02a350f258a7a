"""The runs of agents as they are kept: one row each, and the events that tell their life in order."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Any, Literal, get_args

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    Integer,
    Row,
    String,
    Table,
    cast,
    delete,
    func,
    or_,
    select,
    update,
)

from homeport_host.database import Database, metadata
from homeport_host.dialects import insert, is_sqlite
from homeport_host.engine.protocol import FINAL, RunState
from homeport_shared.clock import Clock, SystemClock, iso
from homeport_shared.errors import HomeportError

Origin = Literal["user", "agent", "schedule", "event", "client"]
TaskType = Literal["chat", "agent", "workflow", "knowledge", "automation", "file", "mail", "custom"]
TYPES: tuple[TaskType, ...] = get_args(TaskType)
PRIORITIES = ("low", "normal", "high", "critical")
runs = Table(
    "runs",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("agent", String, nullable=False),
    Column("model", String, nullable=False),
    Column("prompt", String, nullable=False),
    Column("session_id", String, nullable=False, default="", index=True),
    Column("state", String, nullable=False, index=True),
    Column("created", String, nullable=False, index=True),
    Column("started", String, nullable=False, default=""),
    Column("finished", String, nullable=False, default=""),
    Column("answer", String, nullable=False, default=""),
    Column("error", JSON),
    Column("citations", JSON, nullable=False),
    Column("steps", Integer, nullable=False, default=0),
    Column("usage", JSON, nullable=False),
    Column("owner", String, nullable=False, server_default=""),
    Column("title", String, nullable=False, server_default=""),
    Column("origin", String, nullable=False, server_default="user"),
    Column("priority", Integer, nullable=False, server_default="1"),
    Column("parent", String, nullable=False, server_default="", index=True),
    Column("after", JSON, nullable=False, server_default="[]"),
    Column("tags", JSON, nullable=False, server_default="[]"),
    Column("type", String, nullable=False, server_default="agent"),
)
run_events = Table(
    "run_events",
    metadata,
    Column("run", String, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("at", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("data", JSON, nullable=False),
)
run_event_keys = Table(
    "run_event_keys",
    metadata,
    Column("run", String, primary_key=True),
    Column("key", String, primary_key=True),
)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of an agent. Times are RFC 3339, empty = not yet.

    Attributes:
        owner: The program or agent it belongs to; empty for a person's own.
        origin: Who began it: `user`, `agent`, `schedule`, `event` or `client`.
        priority: 0 low, 1 normal, 2 high, 3 critical.
        parent: The run that started it, or that it repeats.
        after: Runs that must be completed before it begins.
        type: What people sort it under; `kind` says under whose rules it works.
    """

    id: str
    kind: str
    agent: str
    model: str
    prompt: str
    session_id: str
    state: RunState
    created: str
    started: str = ""
    finished: str = ""
    answer: str = ""
    error: dict[str, str] | None = None
    citations: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    steps: int = 0
    usage: dict[str, Any] = field(default_factory=dict[str, Any])
    owner: str = ""
    title: str = ""
    origin: Origin = "user"
    priority: int = 1
    parent: str = ""
    after: list[str] = field(default_factory=list[str])
    tags: list[str] = field(default_factory=list[str])
    type: TaskType = "agent"

    @property
    def own_tags(self) -> list[str]:
        """The tags that it has by itself: type, agent and priority."""
        return [tag for tag in (self.type, self.agent, PRIORITIES[self.priority]) if tag]

    @property
    def waits_for(self) -> str:
        """What a waiting run waits for: `others`, `review`, `approval`, or `steps` of a workflow; or nothing."""
        if self.state != "waiting":
            return ""
        if self.kind == "workflow":
            return "steps"
        return "others" if self.after and not self.started else "review" if self.answer else "approval"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs to list; what is empty does not matter.

    Attributes:
        owner: Only runs of this owner.
        states: Only runs in one of these states.
        kinds: Only runs of one of these kinds.
        types: Only runs of one of these types.
        origin: Only runs that began so.
        agent: Only runs of this agent.
        tag: Only runs with this tag, given or their own.
        parent: Only runs that this one started.
        text: Words in title or prompt, in any case.
        since: Only runs made at or after this moment, RFC 3339; a day alone is its beginning.
        until: Only runs made before this moment.
    """

    owner: str = ""
    states: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    agent: str = ""
    tag: str = ""
    parent: str = ""
    text: str = ""
    since: str = ""
    until: str = ""
    types: tuple[str, ...] = ()
    origin: str = ""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event before it has its number.

    Attributes:
        key: An event whose key the run has already is not stored again, so a replay repeats nothing; empty = no key.
    """

    run: str
    at: str
    kind: str
    data: dict[str, Any]
    key: str = ""


@dataclass(frozen=True, slots=True)
class RunEvent:
    """An event of a run; `seq` counts from 1 without gaps."""

    seq: int
    at: str
    kind: str
    data: dict[str, Any]


class RunStore:
    """Runs and their events in the host's database."""

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self._database = database
        self.clock = clock or SystemClock()

    def now(self) -> str:
        """Return the time now as it is stored."""
        return iso(self.clock.now())

    async def add(self, run: Run) -> bool:
        """Store a new run; False when its id is there already."""
        values = {name: getattr(run, name) for name in runs.c.keys()}  # noqa: SIM118 - columns, not a dict

        def work(connection: Connection) -> bool:
            statement = insert(connection, runs).values(values).on_conflict_do_nothing().returning(runs.c.id)
            return connection.execute(statement).first() is not None

        return await self._database.write(work)

    async def get(self, run: str) -> Run:
        """Return one run.

        Raises:
            HomeportError: `not_found`.
        """
        query = select(runs).where(runs.c.id == run)
        row = await self._database.read(lambda connection: connection.execute(query).first())
        if row is None:
            raise not_found(run)
        return _run(row)

    async def change(self, run: str, **values: Any) -> bool:
        """Change columns of a run that has not ended; False when it has, and nothing changes."""
        statement = update(runs).where(runs.c.id == run, runs.c.state.not_in(FINAL)).values(values)
        return await self._database.write(lambda connection: connection.execute(statement).rowcount > 0)

    async def end(self, run: Run, events: list[NewEvent]) -> None:
        """Store how a run ended together with its last events: a reader who sees the state finds the events."""
        names = ("state", "finished", "answer", "error", "citations", "steps", "usage")
        values = {name: getattr(run, name) for name in names}

        def work(connection: Connection) -> None:
            connection.execute(update(runs).where(runs.c.id == run.id, runs.c.state.not_in(FINAL)).values(values))
            _append(connection, events)

        await self._database.write(work)

    async def latest(
        self, wanted: Wanted, *, limit: int = 50, before: tuple[str, str] | None = None, offset: int = 0
    ) -> list[Run]:
        """Return runs, newest first.

        Args:
            wanted: Which ones.
            limit: Most runs to return.
            before: Creation time and id of the last run of the page before.
            offset: How many to leave out first.
        """
        query = select(runs).where(*_conditions(wanted)).order_by(runs.c.created.desc(), runs.c.id.desc())
        query = query.limit(limit).offset(offset)
        if before:
            older = runs.c.created < before[0]
            query = query.where(older | ((runs.c.created == before[0]) & (runs.c.id < before[1])))
        return await self._database.read(lambda connection: [_run(row) for row in connection.execute(query)])

    async def count(self, wanted: Wanted = Wanted()) -> dict[str, int]:
        """Return how many of the wanted runs there are in each state."""
        query = select(runs.c.state, func.count()).where(*_conditions(wanted)).group_by(runs.c.state)
        return await self._database.read(lambda connection: {row[0]: row[1] for row in connection.execute(query)})

    async def states(self, ids: Sequence[str]) -> list[tuple[str, str]]:
        """Return each of these runs with its state; `gone` for one that there is not."""
        query = select(runs.c.id, runs.c.state).where(runs.c.id.in_(ids))
        found = await self._database.read(lambda connection: {row[0]: str(row[1]) for row in connection.execute(query)})
        return [(run, found.get(run, "gone")) for run in ids]

    async def label(self, run: str, **values: Any) -> None:
        """Change title, tags or priority of a run, whatever its state."""
        await self._database.write(
            lambda connection: connection.execute(update(runs).where(runs.c.id == run).values(values))
        )

    async def remove(self, ids: Sequence[str]) -> None:
        """Forget ended runs with their events."""

        def work(connection: Connection) -> None:
            for table, column in ((run_events, "run"), (run_event_keys, "run"), (runs, "id")):
                connection.execute(delete(table).where(table.c[column].in_(ids)))

        await self._database.write(work)

    async def ended_before(self, moment: str, *, limit: int = 500) -> list[str]:
        """Return runs that ended before `moment`, RFC 3339, oldest first."""
        query = select(runs.c.id).where(runs.c.finished != "", runs.c.finished < moment).order_by(runs.c.finished)
        return await self._database.read(lambda connection: list(connection.scalars(query.limit(limit))))

    async def append(self, events: list[NewEvent]) -> None:
        """Store events in this order."""
        await self._database.write(lambda connection: _append(connection, events))

    async def events(self, run: str, *, after: int = 0, limit: int = 500) -> list[RunEvent]:
        """Return the events of a run with a number above `after`, oldest first."""
        query = select(run_events.c.seq, run_events.c.at, run_events.c.kind, run_events.c.data)
        query = query.where(run_events.c.run == run, run_events.c.seq > after).order_by(run_events.c.seq).limit(limit)
        return await self._database.read(lambda connection: [RunEvent(*row) for row in connection.execute(query)])

    async def typical(self, run: Run, *, most: int = 20) -> tuple[float, float] | None:
        """Return how many steps and seconds runs like this one took at the median; None when none is completed.

        Like it are runs of the same kind and agent, of a workflow or job those of the same title.
        """
        alike = [runs.c.kind == run.kind, runs.c.agent == run.agent]
        alike += [] if run.agent else [runs.c.title == run.title]
        query = select(runs.c.steps, runs.c.started, runs.c.finished).where(runs.c.state == "completed", *alike)
        query = query.where(runs.c.started != "").order_by(runs.c.created.desc()).limit(most)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        if not rows:
            return None
        return median(row[0] for row in rows), median(seconds_between(row[1], row[2]) for row in rows)

    async def waiting_for(self, run: str) -> list[Run]:
        """Return the runs that begin only after this one."""
        named = cast(runs.c.after, String).contains(json.dumps(run))
        query = select(runs).where(named, runs.c.state.not_in(FINAL)).order_by(runs.c.created)
        return await self._database.read(lambda connection: [_run(row) for row in connection.execute(query)])

    async def used_values(self) -> dict[str, list[str]]:
        """Return which states, types, agents and origins the runs have."""
        columns = {"state": runs.c.state, "type": runs.c.type, "agent": runs.c.agent, "origin": runs.c.origin}

        def work(connection: Connection) -> dict[str, list[str]]:
            return {name: sorted(connection.scalars(select(c).distinct())) for name, c in columns.items()}

        return await self._database.read(work)

    async def mark(self, run: str, key: str) -> bool:
        """Store a key without an event; False when the run has it already, so what follows is a repetition."""
        return await self._database.write(lambda connection: _mark(connection, run, key))


def seconds_between(begun: str, ended: str) -> float:
    """Return the seconds between two RFC 3339 times."""
    return round((datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds(), 3)


def not_found(run: str) -> HomeportError:
    """Return the error for a run that there is not, or not for who asks."""
    return HomeportError("not_found", f"There is no run {run[:64]!r}.", "List the runs.")


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    names = ("owner", "agent", "parent", "origin")
    equal = {name: getattr(wanted, name) for name in names}
    found: list[ColumnElement[bool]] = [runs.c[name] == value for name, value in equal.items() if value]
    if wanted.states:
        found.append(runs.c.state.in_(wanted.states))
    if wanted.kinds:
        found.append(runs.c.kind.in_(wanted.kinds))
    if wanted.types:
        found.append(runs.c.type.in_(wanted.types))
    if wanted.tag:
        given = cast(runs.c.tags, String).contains(json.dumps(wanted.tag, ensure_ascii=False))
        found.append(or_(given, *_own_tag(wanted.tag)))
    found += [
        or_(*(column.icontains(word, autoescape=True) for column in (runs.c.title, runs.c.prompt)))
        for word in wanted.text.split()
    ]
    if wanted.since:
        found.append(runs.c.created >= wanted.since)
    if wanted.until:
        found.append(runs.c.created < wanted.until)
    return found


def _own_tag(tag: str) -> list[ColumnElement[bool]]:
    prioritized = [runs.c.priority == PRIORITIES.index(tag)] if tag in PRIORITIES else []
    return [runs.c.type == tag, runs.c.agent == tag, *prioritized]


def _run(row: Row[Any]) -> Run:
    return Run(**dict(row._mapping))  # pyright: ignore[reportPrivateUsage] - SQLAlchemy documents it as public


def _mark(connection: Connection, run: str, key: str) -> bool:
    statement = insert(connection, run_event_keys).values(run=run, key=key).on_conflict_do_nothing()
    return connection.execute(statement.returning(run_event_keys.c.key)).first() is not None


def _append(connection: Connection, events: list[NewEvent]) -> None:
    """Number and store events with few statements, since each costs a step of an agent up to a millisecond."""
    fresh = _unmarked(connection, events)
    last = _last_numbers(connection, {event.run for event in fresh})
    rows: list[dict[str, Any]] = []
    for event in fresh:
        last[event.run] += 1
        rows.append({"run": event.run, "seq": last[event.run], "at": event.at, "kind": event.kind, "data": event.data})
    if rows:
        connection.execute(run_events.insert(), rows)


def _unmarked(connection: Connection, events: list[NewEvent]) -> list[NewEvent]:
    """Mark the keys of events and return those whose key was not there, and those without one."""
    keyed = {(event.run, event.key): event for event in reversed(events) if event.key}  # of two the first counts
    if not keyed:
        return events
    statement = insert(connection, run_event_keys).on_conflict_do_nothing()
    values = [{"run": run, "key": key} for run, key in keyed]
    marked = connection.execute(statement.returning(run_event_keys.c.run, run_event_keys.c.key), values)
    fresh = {id(keyed[run, key]) for run, key in marked}
    return [event for event in events if not event.key or id(event) in fresh]


def _last_numbers(connection: Connection, ids: set[str]) -> Counter[str]:
    if not is_sqlite(connection):  # whose write lock is there from the beginning
        connection.execute(select(runs.c.id).where(runs.c.id.in_(ids)).order_by(runs.c.id).with_for_update())
    highest = select(run_events.c.run, func.max(run_events.c.seq)).where(run_events.c.run.in_(ids))
    rows = connection.execute(highest.group_by(run_events.c.run))
    return Counter({row[0]: row[1] for row in rows})
