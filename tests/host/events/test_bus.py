"""Events are kept in order, delivered, and readable again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio
import pytest

import homeport_host.host  # noqa: F401 (every table is known then)
from homeport_host.database import Database
from homeport_host.events.bus import EventBus, Wanted
from homeport_shared import identity
from homeport_shared.changes import ChangeBus
from homeport_shared.clock import iso
from homeport_shared.errors import HomeportError
from homeport_shared.events import Event
from homeport_shared.identity import Identity

pytestmark = pytest.mark.anyio


async def test_events_are_stored_in_order_and_delivered_to_those_who_want_them(place: Any) -> None:
    database = Database(place.database)
    await database.open()
    async with anyio.create_task_group() as tasks:
        bus = EventBus(tasks, database, ChangeBus())
        async with bus.subscribe("a.*") as heard:
            for n in range(50):
                await bus.publish(Event("a.odd" if n % 2 else "b.even", f"files://a/{n}", {"n": n}))
            await bus.drain()
            assert [event.data["n"] for event in [heard.receive_nowait() for _ in range(25)]] == list(range(1, 50, 2))
        stored = await bus.after(0)
        assert [event.data["n"] for event in stored] == list(range(50))
        assert [event.seq for event in await bus.after(stored[9].seq, kinds="b.*", limit=2)] == [11, 13]
        assert (await bus.latest(1))[0].seq == stored[-1].seq
    await database.aclose()


async def test_a_slow_subscriber_does_not_hold_up_the_others(place: Any) -> None:
    database = Database(place.database)
    await database.open()
    async with anyio.create_task_group() as tasks:
        bus = EventBus(tasks, database, ChangeBus())
        async with bus.subscribe() as slow, bus.subscribe("a.last") as quick:
            for n in range(1_200):
                await bus.publish(Event("a.first", str(n)))
            await bus.publish(Event("a.last", "end"))
            await bus.drain()
            assert quick.receive_nowait().subject == "end"
            assert slow.statistics().current_buffer_used == 1_000
        assert len(await bus.after(0, limit=2_000)) == 1_201
    await database.aclose()


@pytest.mark.parametrize(
    ("event", "source", "why"),
    [
        (Event("file.created", "files://a"), "files", "path: Field required"),
        (Event("file.created", "files://a", {"path": 3}), "files", "should be a valid string"),
        (Event("mail.received", "mail://1", {"account": "a", "folder": "b"}), "mail", "sender"),
        (Event("file.exploded", "files://a", {"path": "a"}), "files", "no type of event"),
        (Event("nonsense", "x"), "files", "no type of event"),
        (Event("run.completed", "run://1", {"kind": "ask"}), "files", "files may not raise"),
        (Event("file.created", "files://a", {"path": "a"}), "rag", "rag may not raise"),
        (Event("a.large", "x", {"text": "x" * 70_000}), "files", "too large"),
        (Event("a.strange", "x", {"text": float("nan")}), "files", "not JSON"),
        (Event("a.nul", "x", {"text": "a\0b"}), "files", "not JSON"),
    ],
)
async def test_an_event_that_is_not_what_it_says_is_refused_and_that_is_kept(
    event: Event, source: str, why: str, bus: EventBus, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(HomeportError, match=why):
        await bus.publish(event, source=source)
    await bus.source(source).publish(event)  # a server is not failed by it
    await bus.publish(Event("a.fine", "x"), source=source)
    await bus.drain()
    assert [(each.kind, each.source) for each in await bus.after(0)] == [
        ("event.refused", "homeport"), ("event.refused", "homeport"), ("a.fine", source),
    ]  # fmt: skip
    assert why.partition(":")[0] in (await bus.after(0))[0].data["reason"]
    assert bus.counts["refused"] == 2 and "was refused" in caplog.text


async def test_events_are_found_by_type_fields_time_and_what_led_to_them(bus: EventBus, clock: Any) -> None:
    for sender, subject in (("ann@x", "Bill"), ("bob@x", "Hello"), ("ann@x", "Hello")):
        mail = {"account": "home", "folder": "INBOX", "sender": sender, "subject": subject}
        await bus.publish(Event("mail.received", "mail://1", mail), source="mail")
        await bus.drain()
        clock.go_on(seconds=60)
    found = await bus.latest(9, Wanted("mail.*", {"data.sender": "ANN@*"}))
    assert [event.data["subject"] for event in found] == ["Hello", "Bill"]
    assert [event.seq for event in await bus.latest(9, Wanted(since=found[0].at))] == [3]
    assert [event.seq for event in await bus.latest(9, Wanted(until=found[0].at, before=2))] == [1]
    assert [event.seq for event in await bus.latest(9, Wanted(correlation=found[1].correlation))] == [1]
    assert (await bus.get(2)).data["subject"] == "Hello"
    with pytest.raises(HomeportError, match="There is no event 99"):
        await bus.get(99)


async def test_what_happens_in_a_run_is_correlated_with_it(bus: EventBus) -> None:
    identity.enter(Identity(run="the-run"))
    await bus.publish(Event("a.first", "x"))
    identity.enter(Identity())
    await bus.publish(Event("run.completed", "run://the-run", {"kind": "ask"}), cause="the-run")
    await bus.publish(Event("a.second", "x", correlation="given"))
    await bus.publish(Event("a.third", "x"))
    await bus.drain()
    assert [(event.cause, event.correlation) for event in await bus.after(0)] == [
        ("the-run", "the-run"), ("the-run", "the-run"), ("", "given"), ("", "event-4"),
    ]  # fmt: skip


async def test_rates_are_counted_and_too_many_raise_one_alert(strict_bus: EventBus, clock: Any) -> None:
    bus = strict_bus
    for n in range(9):
        await bus.publish(Event("a.tick", str(n)))
        await bus.drain()
    await bus.drain()
    [alert] = await bus.latest(9, Wanted("alert.*"))
    assert alert.data == {"metric": "events_per_minute", "value": 6.0, "limit": 5.0}
    assert {row["kind"]: row["hour"] for row in await bus.rates()} == {"a.tick": 9, "alert.raised": 1}
    clock.go_on(seconds=7200)
    assert {row["kind"]: (row["hour"], row["day"]) for row in await bus.rates()}["a.tick"] == (0, 9)
    for _ in range(4):
        await bus.source("files").publish(Event("nonsense", "x"))
    await bus.drain()
    assert [each.data["metric"] for each in await bus.latest(9, Wanted("alert.*", since=iso(clock.now())))] == [
        "event_failures_per_hour"
    ]


async def test_old_events_are_forgotten_by_age_and_by_number(bus: EventBus, clock: Any) -> None:
    for n in range(6):
        await bus.publish(Event("a.day", str(n)))
        await bus.drain()
        clock.go_on(seconds=86_400)
    await bus.forget(timedelta(days=4), 100)
    assert [event.subject for event in await bus.after(0)] == ["2", "3", "4", "5"]
    await bus.forget(timedelta(days=400), 2)
    assert [event.subject for event in await bus.after(0)] == ["4", "5"]
