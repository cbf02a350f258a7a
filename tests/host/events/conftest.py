"""A bus on a real database, with a clock that the test moves."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

import homeport_host.host  # noqa: F401 (every table is known then)
from homeport_host.database import Database
from homeport_host.events.bus import EventBus
from homeport_shared.changes import ChangeBus
from homeport_shared.testing.clock import SetClock


@pytest.fixture
def clock() -> SetClock:
    return SetClock(datetime(2026, 11, 21, 12, tzinfo=UTC))


@pytest.fixture
async def database(place: Any) -> AsyncGenerator[Database]:
    database = Database(place.database)
    await database.open()
    yield database
    await database.aclose()


@pytest.fixture
async def tasks() -> AsyncGenerator[Any]:
    async with anyio.create_task_group() as tasks:
        yield tasks
        tasks.cancel_scope.cancel()


@pytest.fixture
async def bus(database: Database, clock: SetClock, tasks: Any) -> EventBus:
    return EventBus(tasks, database, ChangeBus(), clock)


@pytest.fixture
async def strict_bus(database: Database, clock: SetClock, tasks: Any) -> EventBus:
    """A bus to which six events in a minute and four failures in an hour are too many."""
    return EventBus(tasks, database, ChangeBus(), clock, per_minute=5, failures_per_hour=3)
