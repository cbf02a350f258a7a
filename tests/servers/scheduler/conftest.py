"""A scheduler whose clock is set by the test, whose work is written into a ledger, and a client connected to it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.types import TextResourceContents
from tests.patience import PATIENCE

from homeport_scheduler.server import build_server
from homeport_shared.errors import HomeportError
from homeport_shared.events import Event
from homeport_shared.gateway import Happened, Order, Outcome
from homeport_shared.testing.clients import connected
from homeport_shared.testing.clock import SetClock

START = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)


@dataclass
class Works:
    """Who carries out orders: writes them down; `hold` keeps them from ending, `fail` makes them fail."""

    done: list[Order] = field(default_factory=list)
    abandoned: list[str] = field(default_factory=list)
    hold: anyio.Event | None = None
    fail: list[HomeportError] = field(default_factory=list)
    feed: list[Happened] = field(default_factory=list)
    tasks: dict[str, str] = field(default_factory=dict)

    async def carry_out(self, order: Order) -> Outcome:
        self.done.append(order)
        if self.hold is not None:
            await self.hold.wait()
        if self.fail:
            raise self.fail.pop(0)
        return Outcome(f"did {order.tool or order.prompt}", f"run-{len(self.done)}")

    async def abandon(self, order: str) -> None:
        self.abandoned.append(order)

    async def problems(self, order: Order) -> list[str]:
        return [f"There is no tool {order.tool!r}."] if order.tool == "no__such" else []

    async def states(self, tasks: Any) -> dict[str, str]:
        return {task: self.tasks.get(task, "gone") for task in tasks}

    async def follow(self, after: int | None, handle: Callable[[list[Happened]], Awaitable[None]]) -> None:
        if self.feed:
            await handle([each for each in self.feed if each.seq > (after or 0)])
        await anyio.sleep_forever()


class Told:
    """The host's events as they arrive."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def publish(self, event: Event) -> None:
        self.events.append(event)


@dataclass
class Desk:
    """A connected client and everything around the scheduler."""

    client: Client
    clock: SetClock
    works: Works
    told: Told

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, result.content
        return result.structured_content or {}

    async def refused(self, tool: str, **arguments: Any) -> str:
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error
        return result.content[0].text

    async def add(self, name: str, enabled: bool = True, **fields: Any) -> dict[str, Any]:
        action = fields.pop("action", {"tool": "files__list", "arguments": {"path": name}})
        return (await self.call("add_job", definition={"name": name, "action": action, **fields}, enabled=enabled))[
            "job"
        ]

    async def pass_time(self, **span: float) -> None:
        """Put the clock forward and have it looked at."""
        self.clock.go_on(**span)
        await self.call("change_jobs", names=[], action="enable")

    async def runs(self, count: int, **filters: str) -> list[dict[str, Any]]:
        """Return the runs, oldest first, once there are `count` that fit and have ended."""
        with anyio.fail_after(PATIENCE):
            while True:
                found = (await self.call("list_runs", **filters))["runs"]
                ended = [run for run in found if run["state"] not in {"queued", "running"} or "state" in filters]
                if len(ended) >= count:
                    assert len(found) == count, found
                    return found[::-1]
                await anyio.sleep(0.02)

    async def read(self, uri: str) -> Any:
        [content] = (await self.client.read_resource(uri)).contents
        assert isinstance(content, TextResourceContents)
        return json.loads(content.text)


@asynccontextmanager
async def opened(
    home: Path, works: Works | None = None, clock: SetClock | None = None, **flags: Any
) -> AsyncGenerator[Desk]:
    works, clock, told = works or Works(), clock or SetClock(START), Told()
    flags = {"time_zone": "UTC", **flags}
    async with connected(
        build_server, "scheduler", home, clock=clock, gateway=works, events=told, flags=flags
    ) as client:
        yield Desk(client, clock, works, told)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncGenerator[Desk]:
    async with opened(tmp_path) as made:
        yield made
