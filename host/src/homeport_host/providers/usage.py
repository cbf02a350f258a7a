"""What model calls used: one row for each call, and totals over them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from anyio.abc import TaskGroup
from sqlalchemy import Column, Connection, Float, Integer, Select, Table, Text, func, literal_column, select

from homeport_host.database import Database, metadata
from homeport_host.dialects import insert
from homeport_host.providers.protocol import ModelAnswer, UsageOwner
from homeport_shared.batching import Batcher
from homeport_shared.clock import Clock, SystemClock, iso
from homeport_shared.errors import HomeportError

GATHER = 0.05  # seconds
GroupBy = Literal["day", "model", "provider", "agent", "session", "run", "user", "tenant"]

model_calls = Table(
    "model_calls",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", Text, unique=True),  # of the step that called; a step that ran twice paid twice, in one row
    Column("created", Text, nullable=False, index=True),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),  # the exact version that answered
    Column("calls", Integer, nullable=False),
    Column("prompt_tokens", Integer, nullable=False),
    Column("completion_tokens", Integer, nullable=False),
    Column("usd", Float, nullable=False),
    *(Column(name, Text, nullable=False, index=True) for name in ("session", "agent", "run", "user", "tenant")),
)


@dataclass(frozen=True, slots=True)
class UsageTotal:
    """What one group used.

    Attributes:
        group: The value that was grouped by, such as a day `2026-11-21` (UTC); empty = calls that have none.
        usd: As the providers report it.
    """

    group: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    usd: float


class UsageStore:
    """The table of model calls.

    Args:
        database: The host's own.
        clock: Replaces the machine's clock.
        tasks: Writes in the background, so that no step waits for it; a crash can lose the last `GATHER` seconds.
            None = each row is stored when `record` returns.
    """

    def __init__(self, database: Database, clock: Clock | None = None, *, tasks: TaskGroup | None = None) -> None:
        self._database = database
        self._clock = clock or SystemClock()
        self._rows = Batcher[dict[str, Any]](tasks, self._write, gather=GATHER) if tasks else None

    async def record(self, answer: ModelAnswer, who: UsageOwner, *, key: str = "") -> None:
        """Keep what `answer` used.

        Args:
            answer: Also one that could not be used: it was paid for.
            who: Whom it is counted for.
            key: Of the step that called, such as `run:step`; calls with the same key and model share one row.

        Raises:
            HomeportError: When the database cannot be written.
        """
        used = answer.usage
        row = {
            "key": f"{key} {answer.provider}/{answer.model}" if key else None,
            "created": iso(self._clock.now()),
            "calls": 1,
            "provider": answer.provider,
            "model": answer.model,
            "prompt_tokens": used.prompt_tokens,
            "completion_tokens": used.completion_tokens,
            "usd": used.usd,
            **asdict(who),
        }
        if self._rows is None:
            await self._write([row])
        else:
            await self._rows.add(row, durable=False)

    async def drain(self) -> None:
        """Wait until everything is stored."""
        if self._rows is not None:
            await self._rows.drain()

    async def _write(self, rows: list[dict[str, Any]]) -> None:
        def work(connection: Connection) -> None:
            statement = insert(connection, model_calls)
            sums = {name: model_calls.c[name] + statement.excluded[name] for name in _SUMMED}
            connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_=sums), rows)

        await self._database.write(work)

    async def totals(self, by: GroupBy, *, since: str = "") -> list[UsageTotal]:
        """Return what was used, by group: days from the newest, anything else from the most tokens.

        Args:
            by: What to group by.
            since: RFC 3339 time or date in UTC; empty = from the beginning.

        Raises:
            HomeportError: `invalid`, when there is no such group.
        """
        if by not in get_args(GroupBy):
            raise HomeportError(
                "invalid", f"Usage cannot be grouped by {by!r}.", f"Use {', '.join(get_args(GroupBy))}."
            )
        await self.drain()
        statement = _totals(by, since)

        def work(connection: Connection) -> list[UsageTotal]:
            return [UsageTotal(*row) for row in connection.execute(statement)]

        return await self._database.read(work)


_SUMMED = ("calls", "prompt_tokens", "completion_tokens", "usd")


def _totals(by: GroupBy, since: str) -> Select[tuple[str, int, int, int, float]]:
    day = func.substr(
        model_calls.c.created, literal_column("1"), literal_column("10")
    )  # it is grouped by: no parameters
    group = day if by == "day" else model_calls.c[by]
    sums = [func.sum(model_calls.c[name]) for name in _SUMMED]
    order = group.desc() if by == "day" else (sums[1] + sums[2]).desc()
    statement = select(group, *sums).group_by(group).order_by(order)
    return statement.where(model_calls.c.created >= since) if since else statement
