"""Calls that wait for a person: stored, shown with their exact arguments, used once."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Literal, cast

from sqlalchemy import JSON, Column, Connection, Index, RowMapping, String, Table, select, update

from homeport_host.database import Database, metadata
from homeport_host.dialects import insert
from homeport_host.governance.calls import Hold, digest
from homeport_host.governance.policy import Remembered
from homeport_shared.changes import ChangeBus
from homeport_shared.clock import Clock, SystemClock, iso
from homeport_shared.errors import HomeportError

PENDING = "approval://pending"
DEFAULT_LIFE = timedelta(hours=24)

approvals = Table(
    "approvals",
    metadata,
    Column("id", String, primary_key=True),
    Column("tool", String, nullable=False),
    Column("arguments", JSON, nullable=False),
    Column("digest", String, nullable=False),
    Column("caller", String, nullable=False),
    Column("run", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("created", String, nullable=False),
    Column("expires", String, nullable=False),
    Column("state", String, nullable=False),
    Column("decided_by", String, nullable=False, default=""),
    Column("note", String, nullable=False, default=""),
    Index("approvals_call", "digest", "caller", "run", "state"),
)
rules = Table(
    "rules",
    metadata,
    Column("tool", String, primary_key=True),
    Column("caller", String, primary_key=True),
    Column("effect", String, nullable=False),
)
Decided = Callable[[Hold], Awaitable[None]]


class Approvals:
    """The approvals of one host.

    Args:
        database: Where they survive restarts.
        changes: Told when the list of pending ones changes.
        clock: Decides what is expired.
        life: How long an approval waits and how long it may be used.
    """

    def __init__(
        self,
        database: Database,
        changes: ChangeBus,
        clock: Clock | None = None,
        life: timedelta = DEFAULT_LIFE,
    ) -> None:
        self._database = database
        self._changes = changes
        self._clock = clock or SystemClock()
        self._life = life
        self._rules: dict[tuple[str, str], Remembered] | None = None
        self.on_held: list[Decided] = []
        self.on_decided: list[Decided] = []

    async def hold(self, tool: str, arguments: Mapping[str, Any], *, caller: str, run: str, reason: str) -> Hold:
        """Store a call that waits, or return the pending one for the same call."""
        now = self._clock.now()
        made = Hold(
            id=secrets.token_hex(16),
            tool=tool,
            arguments=dict(arguments),
            digest=digest(tool, arguments),
            caller=caller,
            run=run,
            reason=reason,
            created=iso(now),
            expires=iso(now + self._life),
        )
        hold = await self._database.write(lambda connection: _insert_once(connection, made))
        if hold.id == made.id:
            await self._changes.updated(PENDING)
            for told in self.on_held:
                await told(hold)
        return hold

    async def take(self, call_digest: str, *, caller: str, run: str) -> bool:
        """Use up an approved hold for exactly this call; False when there is none."""
        now = iso(self._clock.now())
        return await self._database.write(lambda connection: _take(connection, call_digest, caller, run, now))

    async def decide(
        self,
        approval: str,
        approve: bool,
        *,
        by: str,
        remember: Literal["once", "always", "never"] = "once",
        note: str = "",
    ) -> Hold:
        """Approve or deny a pending hold.

        Args:
            approval: Its id.
            approve: True = the call may run, once, with these arguments.
            by: Who decided.
            remember: `always` or `never` also settles later calls of this tool by this kind of caller.
            note: A word for the caller, such as why not.

        Raises:
            HomeportError: `not_found`, or `conflict` when it is decided or expired already.
        """
        state = "approved" if approve else "denied"
        now = iso(self._clock.now())
        hold = await self._database.write(lambda connection: _decide(connection, approval, state, by, note, now))
        if remember != "once":
            await self.remember(hold.tool, hold.caller, "always" if approve else "never")
        await self._changes.updated(PENDING, f"approval://{hold.id}")
        for told in self.on_decided:
            await told(hold)
        return hold

    async def get(self, approval: str) -> Hold:
        """Return one hold.

        Raises:
            HomeportError: `not_found`.
        """
        now = iso(self._clock.now())
        return await self._database.read(lambda connection: _find(connection, approval, now))

    async def list(self, state: str = "pending", limit: int = 200) -> list[Hold]:
        """Return up to `limit` holds in `state` (empty = any), newest first."""
        now = iso(self._clock.now())

        def query(connection: Connection) -> list[Hold]:
            rows = connection.execute(select(approvals).order_by(approvals.c.created.desc()).limit(5_000))
            holds = [_hold(row, now) for row in rows.mappings()]
            return [hold for hold in holds if not state or hold.state == state][:limit]

        return await self._database.read(query)

    async def remember(self, tool: str, caller: str, effect: Remembered) -> None:
        """Settle later calls of `tool` by `caller`; `never` is not overwritten by `always`."""
        if await self.remembered(tool, caller) == "never":
            return
        values = {"tool": tool, "caller": caller, "effect": effect}

        def work(connection: Connection) -> None:
            statement = insert(connection, rules).values(values)
            connection.execute(statement.on_conflict_do_update(index_elements=["tool", "caller"], set_=values))

        await self._database.write(work)
        self._rules = None

    async def remembered(self, tool: str, caller: str) -> Remembered | None:
        """Return what was settled for `tool` and `caller`."""
        if self._rules is None:
            rows = await self._database.read(lambda connection: connection.execute(select(rules)).all())
            self._rules = {(row[0], row[1]): cast("Remembered", row[2]) for row in rows}
        return self._rules.get((tool, caller))


def _hold(row: RowMapping, now: str) -> Hold:
    state = "expired" if row["state"] in {"pending", "approved"} and row["expires"] <= now else row["state"]
    names = ("id", "tool", "arguments", "digest", "caller", "run", "reason", "created", "expires")
    return Hold(**{name: row[name] for name in names}, state=state)


def _find(connection: Connection, approval: str, now: str) -> Hold:
    row = connection.execute(select(approvals).where(approvals.c.id == approval)).mappings().first()
    if row is None:
        raise HomeportError("not_found", f"There is no approval {approval!r}.", "List the pending ones.")
    return _hold(row, now)


def _insert_once(connection: Connection, made: Hold) -> Hold:
    same = select(approvals).where(
        approvals.c.digest == made.digest,
        approvals.c.caller == made.caller,
        approvals.c.run == made.run,
        approvals.c.state == "pending",
        approvals.c.expires > made.created,
    )
    row = connection.execute(same).mappings().first()
    if row is not None:
        return _hold(row, made.created)
    names = ("id", "tool", "arguments", "digest", "caller", "run", "reason", "created", "expires", "state")
    connection.execute(approvals.insert().values({name: getattr(made, name) for name in names}))
    return made


def _take(connection: Connection, call_digest: str, caller: str, run: str, now: str) -> bool:
    usable = select(approvals.c.id).where(
        approvals.c.digest == call_digest,
        approvals.c.caller == caller,
        approvals.c.run == run,
        approvals.c.state == "approved",
        approvals.c.expires > now,
    )
    found = connection.scalar(usable.limit(1).with_for_update(skip_locked=True))  # nobody else takes it meanwhile
    if found is None:
        return False
    connection.execute(update(approvals).where(approvals.c.id == found).values(state="used"))
    return True


def _decide(connection: Connection, approval: str, state: str, by: str, note: str, now: str) -> Hold:
    connection.execute(select(approvals.c.id).where(approvals.c.id == approval).with_for_update())
    hold = _find(connection, approval, now)
    if hold.state != "pending":
        raise HomeportError("conflict", f"The approval {approval} is {hold.state} already.", "Make the call again.")
    change = update(approvals).where(approvals.c.id == approval).values(state=state, decided_by=by, note=note)
    connection.execute(change)
    return _find(connection, approval, now)
