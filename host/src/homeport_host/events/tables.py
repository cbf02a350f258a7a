"""What is kept of events: the events themselves, who wants to hear of them, and what they started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import JSON, Boolean, Column, Connection, Index, Integer, String, Table, select

from homeport_host.agents.runs import runs
from homeport_host.database import metadata

DEEPEST = 8  # runs that start each other by events: a longer chain is a circle

events = Table(
    "events",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("at", String, nullable=False),
    Column("kind", String, nullable=False, index=True),
    Column("subject", String, nullable=False),
    Column("data", JSON, nullable=False),
    Column("source", String, nullable=False, server_default=""),
    Column("cause", String, nullable=False, server_default="", index=True),
    Column("correlation", String, nullable=False, server_default="", index=True),
)
subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("kind", String, nullable=False),
    Column("where", JSON, nullable=False),
    Column("start", JSON, nullable=False),
    Column("at_once", Integer, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created", String, nullable=False),
    Column("updated", String, nullable=False),
)
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String, primary_key=True),
    Column("subscription", String, nullable=False, index=True),
    Column("event", Integer, nullable=False, index=True),
    Column("correlation", String, nullable=False, index=True),
    Column("depth", Integer, nullable=False),
    Column("run", String, nullable=False, index=True),
    Column("state", String, nullable=False),
    Column("at", String, nullable=False),
    Column("error", String, nullable=False),
    Index("deliveries_open", "subscription", "state"),
)
feeds = Table(
    "event_feeds",
    metadata,
    Column("feed", String, primary_key=True),
    Column("cursor", String, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Stored:
    """An event as it is kept.

    Attributes:
        seq: Grows by one from event to event.
        source: The key of the server that raised it.
        cause: The run in which it was raised; empty when there was none.
        correlation: The same for all that one event or run led to.
    """

    seq: int
    at: str
    kind: str
    subject: str
    data: dict[str, Any]
    source: str = ""
    cause: str = ""
    correlation: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as filters, blanks and readers see it."""
        return asdict(self)


def origin(connection: Connection, run: str) -> tuple[str, int]:
    """Return the correlation of a run, and how many events led to it one after the other.

    A run that no event started is the beginning: its own id, or that of the run that started it.
    """
    for _ in range(DEEPEST):
        query = select(deliveries.c.correlation, deliveries.c.depth).where(deliveries.c.run == run)
        found = connection.execute(query).first()
        if found is not None:
            return found[0], found[1]
        parent = connection.scalar(select(runs.c.parent).where(runs.c.id == run))
        if not parent:
            break
        run = parent
    return run, 0


def rows(connection: Connection, query: Any) -> list[Stored]:
    """Return the events that a select over their table gives."""
    found: Sequence[Any] = connection.execute(query).all()
    return [Stored(*row) for row in found]
