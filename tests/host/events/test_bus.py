"""Events are kept in order, delivered, and readable again."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from homeport_host.database import Database
from homeport_host.events.bus import EventBus
from homeport_shared.changes import ChangeBus
from homeport_shared.events import Event

pytestmark = pytest.mark.anyio


async def test_events_are_stored_in_order_and_delivered_to_those_who_want_them(place: Any) -> None:
    database = Database(place.database)
    await database.open()
    async with anyio.create_task_group() as tasks:
        bus = EventBus(tasks, database, ChangeBus())
        async with bus.subscribe("file.*") as heard:
            for n in range(50):
                await bus.publish(Event("file.changed" if n % 2 else "mail.arrived", f"files://a/{n}", {"n": n}))
            await bus.drain()
            assert [event.data["n"] for event in [heard.receive_nowait() for _ in range(25)]] == list(range(1, 50, 2))
        stored = await bus.after(0)
        assert [event.data["n"] for event in stored] == list(range(50))
        assert [event.seq for event in await bus.after(stored[9].seq, kinds="mail.*", limit=2)] == [11, 13]
        assert (await bus.latest(1))[0].seq == stored[-1].seq
    await database.aclose()


async def test_a_slow_subscriber_does_not_hold_up_the_others(place: Any) -> None:
    database = Database(place.database)
    await database.open()
    async with anyio.create_task_group() as tasks:
        bus = EventBus(tasks, database, ChangeBus())
        async with bus.subscribe() as slow, bus.subscribe("last") as quick:
            for n in range(1_200):
                await bus.publish(Event("first", str(n)))
            await bus.publish(Event("last", "end"))
            await bus.drain()
            assert quick.receive_nowait().subject == "end"
            assert slow.statistics().current_buffer_used == 1_000
        assert len(await bus.after(0, limit=2_000)) == 1_201
    await database.aclose()
