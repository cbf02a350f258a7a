"""Approvals: stored once, decided once, used once, worth nothing after their time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from homeport_host.database import Database
from homeport_host.governance.approvals import Approvals
from homeport_shared.changes import ChangeBus
from homeport_shared.errors import HomeportError
from homeport_shared.testing.clock import SetClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def approvals(place: Any, clock: SetClock, anyio_backend: str) -> AsyncGenerator[Approvals]:
    database = Database(place.database)
    await database.open()
    yield Approvals(database, ChangeBus(), clock)
    await database.aclose()


async def test_the_same_call_waits_once(approvals: Approvals) -> None:
    first = await approvals.hold("a__b", {"x": 1}, caller="chat", run="r", reason="because")
    again = await approvals.hold("a__b", {"x": 1}, caller="chat", run="r", reason="because")
    other = await approvals.hold("a__b", {"x": 2}, caller="chat", run="r", reason="because")
    assert first.id == again.id != other.id
    assert {hold.id for hold in await approvals.list()} == {first.id, other.id}


async def test_a_decision_is_final(approvals: Approvals) -> None:
    hold = await approvals.hold("a__b", {}, caller="chat", run="r", reason="because")
    await approvals.decide(hold.id, False, by="ada")
    with pytest.raises(HomeportError, match="denied already"):
        await approvals.decide(hold.id, True, by="ada")
    assert not await approvals.take(hold.digest, caller="chat", run="r")


async def test_an_approval_is_worth_nothing_after_its_time(approvals: Approvals, clock: SetClock) -> None:
    hold = await approvals.hold("a__b", {}, caller="chat", run="r", reason="because")
    await approvals.decide(hold.id, True, by="ada")
    clock.go_on(hours=24)
    assert not await approvals.take(hold.digest, caller="chat", run="r")
    assert (await approvals.get(hold.id)).state == "expired"


async def test_those_who_wait_are_told(approvals: Approvals) -> None:
    told: list[str] = []

    async def listener(hold: object) -> None:
        told.append(hold.state)

    approvals.on_decided.append(listener)
    hold = await approvals.hold("a__b", {}, caller="chat", run="r", reason="because")
    await approvals.decide(hold.id, True, by="ada", remember="always")
    assert told == ["approved"]
    assert await approvals.remembered("a__b", "chat") == "always"


async def test_never_is_not_overwritten_by_always(approvals: Approvals) -> None:
    await approvals.remember("a__b", "chat", "never")
    await approvals.remember("a__b", "chat", "always")
    assert await approvals.remembered("a__b", "chat") == "never"


async def test_an_unknown_approval_is_named(approvals: Approvals) -> None:
    with pytest.raises(HomeportError, match="no approval 'nope'"):
        await approvals.decide("nope", True, by="ada")


async def test_an_approval_that_arrives_twice_counts_once(approvals: Approvals) -> None:
    hold = await approvals.hold("a__b", {"x": 1}, caller="chat", run="r", reason="because")
    outcomes: list[str] = []

    async def decide() -> None:
        try:
            outcomes.append((await approvals.decide(hold.id, True, by="ada")).state)
        except HomeportError as error:
            outcomes.append(error.code)

    async def take() -> None:
        outcomes.append(str(await approvals.take(hold.digest, caller="chat", run="r")))

    for work in (decide, take):
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(work)
    assert sorted(outcomes) == sorted(["approved", *["conflict"] * 4, "True", *["False"] * 4])
