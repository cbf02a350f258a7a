"""What events start: once each, in their own time, followed to the end; on both databases."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from tests.patience import PATIENCE

from homeport_host.agents.runs import Run, RunStore
from homeport_host.database import Database
from homeport_host.events import delivering
from homeport_host.events.bus import EventBus, Wanted
from homeport_host.events.delivering import Deliveries
from homeport_host.events.subscriptions import Subscriptions
from homeport_shared.changes import ChangeBus
from homeport_shared.errors import HomeportError
from homeport_shared.events import Event

pytestmark = pytest.mark.anyio
MAIL = {"account": "home", "folder": "INBOX", "sender": "ann@example.org", "subject": "Bill"}


@dataclass
class House:
    """Subscriptions over a bus; what is started is written down."""

    bus: EventBus
    deliveries: Deliveries
    subscriptions: Subscriptions
    started: list[tuple[str, str]] = field(default_factory=list)
    refusing: list[HomeportError] = field(default_factory=list)
    gates: dict[str, anyio.Event] = field(default_factory=dict)
    held: list[str] = field(default_factory=list)
    reopen: Callable[[], Deliveries] = lambda: None  # type: ignore[assignment,return-value]

    async def begin(self, subscription: Any, event: Any, delivery: Any) -> str:
        if gate := self.gates.get(subscription.name):
            self.held.append(event.subject)
            await gate.wait()
        if self.refusing:
            raise self.refusing.pop()
        self.started.append((subscription.name, event.subject))
        return f"run-{delivery.id}"

    async def wants(self, name: str, kind: str = "a.*", **fields: Any) -> str:
        definition = {"name": name, "kind": kind, "start": {"prompt": "Look."}, **fields}
        return (await self.subscriptions.save(definition)).id

    async def raises(self, kind: str, *subjects: str, **fields: Any) -> None:
        for subject in subjects:
            await self.bus.publish(Event(kind, subject, fields.get("data", {})), cause=fields.get("cause", ""))
        await self.bus.drain()

    async def states(self, name: str) -> dict[str, int]:
        return next(counts for each, counts in await self.subscriptions.list() if each.name == name)

    async def until(self, name: str, **states: int) -> None:
        with anyio.fail_after(PATIENCE):
            while await self.states(name) != states:
                await anyio.sleep(0.01)


@pytest.fixture
async def house(database: Database, bus: EventBus, tasks: Any, clock: Any) -> AsyncGenerator[House]:
    async def no_problems(start: Any) -> list[str]:
        return ["There is no job 'Fly'."] if start.job == "Fly" else []

    changes = ChangeBus()
    house = House(bus, None, Subscriptions(database, changes, clock, no_problems))  # type: ignore[arg-type]

    def opened() -> Deliveries:
        bus.routers.clear()
        wanted = house.subscriptions.on
        return Deliveries(tasks, database, bus, changes, clock, wanted, lambda *given: house.begin(*given), pause=0.0)

    house.deliveries, house.reopen = opened(), opened
    await house.deliveries.open()
    yield house


async def test_an_event_starts_each_subscription_that_it_fits_once(house: House) -> None:
    await house.wants("Bills", "mail.received", where={"data.sender": "*@example.org", "data.folder": "inbox"})
    await house.wants("Others", "mail.*", where={"data.account": "work"})
    await house.bus.publish(Event("mail.received", "mail://1", MAIL), source="mail")
    await house.bus.publish(Event("mail.received", "mail://2", {**MAIL, "sender": "eve@evil"}), source="mail")
    await house.until("Bills", started=1)
    assert house.started == [("Bills", "mail://1")] and await house.states("Others") == {}
    await house.raises("run.completed", "run://1", data={"kind": "job"}, cause="run-" + await delivery(house, 1))
    await house.until("Bills", completed=1)


async def test_subscriptions_are_changed_switched_off_and_deleted(house: House) -> None:
    kept = await house.wants("Any")
    with pytest.raises(HomeportError, match="There is a subscription 'Any' already"):
        await house.wants("Any")
    for wrong, why in (
        ({"kind": "run.exploded"}, "no type of event"),
        ({"kind": "a.*", "start": {"prompt": "x", "job": "y"}}, "it starts one of"),
        ({"kind": "a.*", "start": {"job": "Fly"}}, "There is no job 'Fly'"),
        ({"kind": "a.*", "color": "red"}, "color"),
    ):
        with pytest.raises(HomeportError, match=why):
            await house.subscriptions.save({"name": "Wrong", "start": {"prompt": "x"}, **wrong})
    await house.subscriptions.switch("Any", on=False)
    await house.raises("a.b", "unheard")
    await house.subscriptions.switch(kept, on=True)
    await house.raises("a.b", "heard")
    await house.until("Any", started=1)
    changed = {"name": "Renamed", "kind": "b.*", "start": {"prompt": "Look."}}
    assert (await house.subscriptions.save(changed, subscription="Any")).id == kept
    await house.raises("a.b", "too late")
    await house.subscriptions.remove("Renamed")
    with pytest.raises(HomeportError, match="There is no subscription"):
        await house.subscriptions.get("Renamed")
    assert house.started == [("Any", "heard")]


async def test_a_replay_starts_subscriptions_again_but_never_twice(house: House) -> None:
    await house.wants("First")
    await house.raises("a.b", "1", "2", "3")
    await house.until("First", started=3)
    await house.wants("Second", at_once=9)
    found = await house.bus.latest(9, Wanted("a.*", {"subject": ["1", "2"]}))
    for expected in ({"new": 4, "before": 0}, {"new": 0, "before": 4}):
        assert await house.deliveries.replay(found, "again") == expected
    await house.until("Second", started=2)
    await house.until("First", started=5)
    chosen = await house.subscriptions.get("Second")
    assert await house.deliveries.replay(found[:1], "more", chosen.id) == {"new": 1, "before": 0}
    await house.until("Second", started=3)
    assert sorted(house.started[3:]) == [
        ("First", "1"), ("First", "2"), ("Second", "1"), ("Second", "2"), ("Second", "2"),
    ]  # fmt: skip
    with pytest.raises(HomeportError, match="at most 500"):
        await house.deliveries.replay(found * 300, "large")


async def test_a_slow_subscription_holds_nobody_and_what_is_too_much_is_dropped_and_told(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "MOST_WAITING", 3)
    house.gates["Slow"] = anyio.Event()
    await house.wants("Slow", at_once=50)
    await house.wants("Quick", at_once=50)
    for n in range(6):
        await house.raises("a.b", str(n))
        await house.until("Quick", started=n + 1)
    assert [subject for name, subject in house.started if name == "Quick"] == list("012345")
    assert await house.states("Slow") == {"waiting": 3, "dropped": 3}
    with anyio.fail_after(PATIENCE):
        while len(told := await house.bus.latest(9, Wanted("event.dropped"))) < 3:
            await anyio.sleep(0.01)
    assert told[0].data["reason"] == "Slow: 3 wait already." and house.bus.counts["dropped"] == 3
    house.gates["Slow"].set()
    await house.until("Slow", started=3, dropped=3)


async def test_what_waits_begins_when_there_is_room(house: House) -> None:
    await house.wants("One by one", at_once=1)
    await house.raises("a.b", "1", "2")
    await house.until("One by one", started=1, waiting=1)
    await house.raises("run.failed", "run://1", data={"kind": "job"}, cause="run-" + await delivery(house, 1))
    await house.until("One by one", failed=1, started=1)
    assert [subject for _, subject in house.started] == ["1", "2"]


async def test_a_start_that_fails_is_tried_again_when_that_may_help_and_told_otherwise(house: House) -> None:
    await house.wants("Look")
    house.refusing = [HomeportError("unavailable", "It is starting.", "")] * 2
    await house.raises("a.b", "1")
    await house.until("Look", started=1)
    house.refusing = [HomeportError("not_found", "There is no such workflow.", "")]
    await house.raises("a.b", "2")
    await house.until("Look", started=1, failed=1)
    chain = await house.deliveries.chain((await house.bus.latest(1))[0].correlation)
    assert chain["deliveries"][0]["error"] == "There is no such workflow."
    assert house.bus.counts["failed"] == 1


async def test_what_a_crash_cut_off_goes_on_and_ends_are_noticed(house: House, database: Database) -> None:
    house.gates["Look"] = anyio.Event()
    await house.wants("Look", at_once=1)
    await house.raises("a.b", "1", "2")
    with anyio.fail_after(PATIENCE):
        while not house.held:
            await anyio.sleep(0.01)
    house.started.clear()
    house.gates.clear()
    again = house.reopen()  # what the first one had begun never comes back
    await again.open()
    await house.until("Look", started=1, waiting=1)
    store = RunStore(database)
    run = f"run-{await delivery(house, 1)}"
    await store.add(Run(run, "job", "", "", "", "", "completed", store.now()))  # its event was lost
    await house.reopen().open()
    await house.until("Look", completed=1, started=1)
    assert house.started == [("Look", "1"), ("Look", "2")]


async def test_from_an_event_to_its_result_one_id_leads(house: House, database: Database) -> None:
    await house.wants("Look")
    await house.raises("a.b", "cause")
    await house.until("Look", started=1)
    store, run = RunStore(database), f"run-{await delivery(house, 1)}"
    await store.add(Run(run, "job", "", "", "Look.", "", "completed", store.now(), answer="Two files."))
    await house.raises("c.d", "from within", cause=run)
    await house.raises("run.completed", f"run://{run}", data={"kind": "job"}, cause=run)
    chain = await house.deliveries.chain((await house.bus.get(1)).correlation)
    assert [event["kind"] for event in chain["events"]] == ["a.b", "c.d", "run.completed"]
    assert [(row["name"], row["run"], row["state"]) for row in chain["deliveries"]] == [("Look", run, "completed")]
    assert [(row["id"], row["answer"]) for row in chain["runs"]] == [(run, "Two files.")]


async def test_runs_that_start_each_other_by_events_come_to_an_end(house: House) -> None:
    await house.wants("Round", "run.completed", at_once=50)
    await house.raises("run.completed", "run://0", data={"kind": "ask"}, cause="run-0")
    for number in range(8):
        await house.until("Round", **({"completed": number} if number else {}), started=1)
        run = f"run-{await delivery(house, (await house.bus.latest(1, Wanted('run.*')))[0].seq)}"
        await house.raises("run.completed", f"run://{number}", data={"kind": "ask"}, cause=run)
    await house.until("Round", completed=8, circle=1)
    assert len(house.started) == 8


async def delivery(house: House, event: int) -> str:
    """Return the id of the one delivery of an event; events count from 1 again in each test."""
    chain = await house.deliveries.chain((await house.bus.get(event)).correlation)
    [found] = [row["id"] for row in chain["deliveries"] if row["event"] == event]
    return found
