"""Messages between agents, on both databases."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
import pytest

from homeport_host.agents.messages import Messages
from homeport_host.agents.runs import Run, RunStore
from homeport_host.database import Database
from homeport_shared.clock import SystemClock

pytestmark = pytest.mark.anyio


async def test_a_message_is_delivered_once_in_order_and_again_only_to_the_same_answer(place: Any) -> None:
    database = Database(place.database)
    await database.open()
    messages = Messages(database, SystemClock())
    for key in ("a:1", "a:2", "a:2"):  # the last one is sent again after a crash
        await messages.send("run", "a", "b", f"text of {key}", key=key)
    await messages.send("run", "a", "c", "to another", key="a:3")
    first = await messages.take("run", "b", key="b:1")
    assert [letter.text for letter in first] == ["text of a:1", "text of a:2"]
    assert await messages.take("run", "b", key="b:1") == first
    assert await messages.take("run", "b", key="b:2") == []
    await messages.send("run", "c", "b", "later", key="c:1")
    assert [letter.text for letter in await messages.take("run", "b", key="b:2")] == ["later"]
    await messages.send("run", "a", "b", "another's", key="a:9")
    assert len(await messages.take("run", "b", key="b2:1")) == 1
    await messages.give_back("run", "b")  # its step failed; another run does it again
    again = await messages.take("run", "b", key="c:1")
    assert [letter.text for letter in again] == ["text of a:1", "text of a:2", "later"]
    assert [letter.seq for letter in await messages.of_run("run")] == [1, 2, 3, 4, 5]
    await database.aclose()


async def test_messages_that_are_sent_at_once_from_two_hosts_get_numbers_in_turn(place: Any) -> None:
    databases = [Database(place.database), Database(place.database)]
    for database in databases:
        await database.open()
    await RunStore(databases[0]).add(Run("run", "workflow", "", "", "Do it", "", "running", "2026-11-21T08:00:00Z"))
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            messages = Messages(databases[number % 2], SystemClock())
            tasks.start_soon(partial(messages.send, "run", "a", "b", str(number), key=f"a:{number}"))
    letters = await Messages(databases[0], SystemClock()).take("run", "b", key="b:1")
    assert [letter.seq for letter in letters] == list(range(1, 21))
    assert {letter.text for letter in letters} == {str(number) for number in range(20)}
    for database in databases:
        await database.aclose()
