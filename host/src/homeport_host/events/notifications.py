"""What a person is told of: kept until it is read, made in the transaction that keeps the event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from anyio.abc import TaskGroup
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Integer,
    String,
    Table,
    UniqueConstraint,
    delete,
    func,
    select,
    update,
)

from homeport_host.agents.runs import runs
from homeport_host.database import Database, metadata
from homeport_host.dialects import insert
from homeport_host.events.bus import EventBus
from homeport_host.events.kinds import ENDED
from homeport_host.events.tables import Stored
from homeport_shared.changes import ChangeBus
from homeport_shared.clock import Clock
from homeport_shared.errors import HomeportError

NOTIFICATIONS = "notifications://recent"
MOST_KEPT = 1_000
TROUBLE = frozenset({"alert.raised", "event.dropped"})
LONGEST = 300  # characters of a text
Moment = Literal["waiting", "completed", "failed", "cancelled"]

notifications = Table(
    "notifications",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("user", String, nullable=False),
    Column("at", String, nullable=False),
    Column("level", String, nullable=False),
    Column("title", String, nullable=False),
    Column("text", String, nullable=False),
    Column("link", String, nullable=False),
    Column("event", Integer, nullable=False),
    Column("read", Boolean, nullable=False),
    UniqueConstraint("user", "event", name="notifications_once"),
)
watches = Table(
    "watches",
    metadata,
    Column("run", String, primary_key=True),
    Column("user", String, primary_key=True),
    Column("moments", JSON, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Notification:
    """One thing that somebody is told.

    Attributes:
        user: Whose it is; empty = of the person whose machine it is.
        level: `info`, `warn` or `error`.
        link: The page that shows more.
        event: The number of the event behind it.
    """

    id: int
    user: str
    at: str
    level: str
    title: str
    text: str
    link: str
    event: int
    read: bool


class Notifications:
    """The notifications of all users.

    Args:
        tasks: Runs the telling.
        database: Where they are kept.
        bus: The events that raise them.
        changes: Told that `notifications://recent` has news.
        clock: The time.
        long_run_seconds: The end of a longer task is one; 0 = never.
    """

    def __init__(
        self,
        tasks: TaskGroup,
        database: Database,
        bus: EventBus,
        changes: ChangeBus,
        clock: Clock,
        *,
        long_run_seconds: int,
    ) -> None:
        self._tasks = tasks
        self._database = database
        self._changes = changes
        self._clock = clock
        self._long = long_run_seconds
        bus.routers.append(self.route)

    def route(self, connection: Connection, stored: list[Stored]) -> Callable[[], None]:
        """Write down what new events tell whom; in the transaction that keeps them."""
        made = 0
        for event in stored:
            for user in self._users(connection, event):
                made += _add(connection, user, event)
        if made:
            newest: int = connection.scalar(select(func.max(notifications.c.id))) or 0
            connection.execute(delete(notifications).where(notifications.c.id <= newest - MOST_KEPT))

        def tell() -> None:
            if made:
                self._tasks.start_soon(self._changes.updated, NOTIFICATIONS)

        return tell

    async def watch(self, run: str, user: str, moments: Sequence[Moment]) -> list[Moment]:
        """Tell `user` when a run comes to one of these moments; none = no more.

        Raises:
            HomeportError: `not_found`.
        """

        def work(connection: Connection) -> bool:
            if connection.scalar(select(runs.c.id).where(runs.c.id == run)) is None:
                return False
            connection.execute(delete(watches).where(watches.c.run == run, watches.c.user == user))
            if moments:
                values = {"run": run, "user": user, "moments": sorted(set(moments))}
                connection.execute(watches.insert().values(values))
            return True

        if not await self._database.write(work):
            raise HomeportError("not_found", f"There is no task {run[:64]!r}.", "List the runs.")
        return sorted(set(moments))

    async def watched(self, run: str, user: str) -> list[Moment]:
        """Return the moments of a run at which `user` is told."""
        query = select(watches.c.moments).where(watches.c.run == run, watches.c.user == user)
        return await self._database.read(lambda connection: connection.scalar(query)) or []

    async def list(self, user: str, *, unread: bool = False, limit: int = 50) -> tuple[list[Notification], int]:
        """Return the newest notifications of `user`, newest first, and how many are not read."""
        mine = notifications.c.user == user
        new = mine & notifications.c.read.is_(False)
        query = select(notifications).where(new if unread else mine).order_by(notifications.c.id.desc()).limit(limit)

        def work(connection: Connection) -> tuple[list[Notification], int]:
            count = connection.scalar(select(func.count()).select_from(notifications).where(new)) or 0
            return [Notification(*row) for row in connection.execute(query)], count

        return await self._database.read(work)

    async def mark(self, user: str, ids: Sequence[int] = (), *, read: bool = True) -> int:
        """Mark notifications of `user` as read, or as not; none named = all. Return how many changed."""
        which = (notifications.c.user == user) & notifications.c.read.is_(not read)
        if ids:
            which &= notifications.c.id.in_(ids)
        change = update(notifications).where(which).values(read=read)
        changed = await self._database.write(lambda connection: connection.execute(change).rowcount)
        await self._changes.updated(NOTIFICATIONS)
        return changed

    def _users(self, connection: Connection, event: Stored) -> set[str]:
        kind, _, state = event.kind.partition(".")
        users = set[str]()
        if kind == "run":
            chosen = connection.execute(select(watches.c.user, watches.c.moments).where(watches.c.run == event.cause))
            if event.data.get("waits_for") != "time":  # it goes on by itself
                users |= {user for user, moments in chosen if state in moments}
            if self._long and state in ENDED and not event.data.get("owner"):
                users |= {""} if float(event.data.get("seconds") or 0) >= self._long else set()
        elif event.kind == "workflow.node_failed":
            kept = connection.execute(select(runs.c.tags, runs.c.owner).where(runs.c.id == event.cause)).first()
            if kept and "dry run" not in kept.tags:
                users.add("")
        elif (event.kind == "job.failed" and event.data.get("notify")) or event.kind in TROUBLE:
            users.add("")
        return users


def _add(connection: Connection, user: str, event: Stored) -> bool:
    level, title, text, link = _said(connection, event)
    values = asdict(Notification(0, user, event.at, level, title[:LONGEST], text[:LONGEST], link, event.seq, False))
    del values["id"]
    statement = insert(connection, notifications).values(values).on_conflict_do_nothing()
    return connection.scalar(statement.returning(notifications.c.id)) is not None


def _said(connection: Connection, event: Stored) -> tuple[str, str, str, str]:
    """Return how serious it is, a title, a sentence, and the page that shows more."""
    data, state = event.data, event.kind.partition(".")[2]
    if event.kind.startswith("run."):
        row = connection.execute(select(runs.c.title).where(runs.c.id == event.cause)).first()
        title = str(data.get("title") or (row.title if row else "") or "A task")
        level = {"waiting": "warn", "failed": "error"}.get(state, "info")
        said = {"waiting": "It waits for you.", "completed": "It is done.", "cancelled": "It was stopped."}
        return level, title, said.get(state, "") or str(data.get("detail") or "It failed."), f"/tasks/{event.cause}"
    if event.kind == "workflow.node_failed":
        error: dict[str, Any] = data.get("error") or {}
        row = connection.execute(select(runs.c.title).where(runs.c.id == event.cause)).first()
        title = f"{row.title if row else 'A workflow'}: the step {data['node']} failed"
        return "error", title, str(error.get("message", "")), f"/workflow-runs/{event.cause}"
    if event.kind == "job.failed":
        return "error", f"The job {data['name']} failed", str(data.get("detail", "")), "/automation"
    if event.kind == "alert.raised":
        return "warn", "Something needs attention", f"{data['metric']} is {data['value']:g}.", f"/events/{event.seq}"
    return "warn", "An event started nothing", str(data["reason"]), "/events"
