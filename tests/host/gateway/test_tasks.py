"""The MCP extension for tasks: a long call goes on after its answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from tests.patience import PATIENCE

from homeport_host.database import Database
from homeport_host.gateway.tasks import CallTasks
from homeport_shared.errors import HomeportError

pytestmark = pytest.mark.anyio
DONE = {"content": [{"type": "text", "text": "done"}]}


@asynccontextmanager
async def opened(place: Any, *, long_seconds: float = 30.0) -> AsyncGenerator[CallTasks]:
    database = Database(place.database)
    await database.open()
    async with anyio.create_task_group() as group:
        tasks = CallTasks(group, database, long_seconds=long_seconds)
        await tasks.open()
        with anyio.fail_after(PATIENCE):
            yield tasks
        group.cancel_scope.cancel()
    await database.aclose()


async def reached(tasks: CallTasks, task: str, status: str) -> dict[str, Any]:
    while (shown := await tasks.get("ada", task))["status"] != status:
        await anyio.sleep(0.01)
    return shown


async def test_a_short_call_is_answered_as_ever(place: Any) -> None:
    async def work(*_: Any) -> dict[str, Any]:
        return DONE

    async with opened(place) as tasks:
        assert await tasks.call("ada", work, at_once=False) == DONE


async def test_a_long_call_becomes_a_task_that_its_owner_alone_finds(place: Any) -> None:
    go = anyio.Event()

    async def work(elicit: Any, progress: Any, extra: Any) -> dict[str, Any]:
        await progress(3, 4, "Reading")
        await go.wait()
        return DONE

    async with opened(place) as tasks:
        made = await tasks.call("ada", work, at_once=True)
        assert made["resultType"] == "task" and made["status"] == "working" and "result" not in made
        working = await tasks.get("ada", made["taskId"])
        assert working["statusMessage"] == "Reading (3 of 4)"
        with pytest.raises(HomeportError, match="no task"):
            await tasks.get("eve", made["taskId"])
        with pytest.raises(HomeportError, match="no task"):
            await tasks.cancel("eve", made["taskId"])
        go.set()
        assert (await reached(tasks, made["taskId"], "completed"))["result"] == DONE


async def test_a_cancelled_task_stops_its_call_and_stays_as_it_ended(place: Any) -> None:
    stopped = anyio.Event()

    async def work(*_: Any) -> dict[str, Any]:
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()
        return DONE

    async with opened(place) as tasks:
        made = await tasks.call("ada", work, at_once=True)
        await tasks.cancel("ada", made["taskId"])
        assert stopped.is_set()
        assert (await tasks.get("ada", made["taskId"]))["status"] == "cancelled"
        await tasks.cancel("ada", made["taskId"])


async def test_a_task_asks_goes_on_when_all_is_answered_and_fails_with_its_call(place: Any) -> None:
    async def work(elicit: Any, progress: Any, extra: Any) -> dict[str, Any]:
        if "inputResponses" not in extra:
            asked = {name: {"method": "elicitation/create", "params": {"message": name}} for name in ("a", "b")}
            return {"resultType": "input_required", "inputRequests": asked, "requestState": "s"}
        answers = {name: answer["content"]["x"] for name, answer in extra["inputResponses"].items()}
        raise HomeportError("invalid", f"{answers} {extra['requestState']}")

    async with opened(place) as tasks:
        made = await tasks.call("ada", work, at_once=True)
        asked = await reached(tasks, made["taskId"], "input_required")
        first, second = asked["inputRequests"]
        await tasks.answer("ada", made["taskId"], {first: {"action": "accept", "content": {"x": 1}}, "other": {}})
        left = await tasks.get("ada", made["taskId"])
        assert left["status"] == "input_required" and list(left["inputRequests"]) == [second]
        await tasks.answer("ada", made["taskId"], {second: {"action": "accept", "content": {"x": 2}}})
        failed = await reached(tasks, made["taskId"], "failed")
        assert "{'a': 1, 'b': 2} s" in failed["error"]["message"] and "result" not in failed


async def test_a_task_that_a_stop_cut_off_has_failed_and_is_not_repeated(place: Any) -> None:
    calls: list[int] = []

    async def work(*_: Any) -> dict[str, Any]:
        calls.append(1)
        await anyio.sleep_forever()
        return DONE

    async with opened(place, long_seconds=0.01) as tasks:
        made = await tasks.call("ada", work, at_once=False)
        database = tasks._database
        stored = await tasks.get("ada", made["taskId"])
        assert stored["status"] == "working" and database is not None
        again = CallTasks(tasks._tasks, database)
        await again.open()
        assert "Homeport stopped" in (await again.get("ada", made["taskId"]))["error"]["message"]
    assert calls == [1]
