"""A server and a client in one process, with the server's state in a folder of the test."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
from mcp import Client
from mcp.types import TextResourceContents

from homeport_shared.clock import Clock
from homeport_shared.context import ServerContext, open_context
from homeport_shared.events import EventSink
from homeport_shared.gateway import Gateway
from homeport_shared.jobs import FINAL
from homeport_shared.neighbours import Neighbours
from homeport_shared.server import Server
from homeport_shared.views import SHOWS_VIEWS

Era = Literal["auto", "legacy"]


@asynccontextmanager
async def connected(
    build: Callable[[ServerContext], Server],
    name: str,
    home: Path,
    *,
    flags: Mapping[str, Any] | None = None,
    era: Era = "auto",
    clock: Clock | None = None,
    events: EventSink | None = None,
    views: bool = True,
    gateway: Gateway | None = None,
    neighbours: Neighbours | None = None,
) -> AsyncGenerator[Client]:
    """Serve `build(context)` in memory and yield a client that is connected to it.

    Args:
        build: The server's `build_server`.
        name: The server's key.
        home: The data root.
        flags: Settings that win.
        era: `auto` speaks the newest protocol, `legacy` that of 2025.
        clock: Replaces the machine's clock.
        events: Receives the server's events.
        views: The client shows views, so that the tools of pages are listed too.
        gateway: Has work done for the server.
        neighbours: Its way to other servers.
    """
    async with (
        open_context(
            name, home=home, flags=flags, clock=clock, events=events, gateway=gateway, neighbours=neighbours
        ) as context,
        Client(build(context), mode=era, extensions=[SHOWS_VIEWS] if views else None) as client,
    ):
        yield client


async def finished_job(client: Client, identifier: str, *, seconds: float = 60) -> dict[str, Any]:
    """Return the job `identifier`, as its resource shows it, once it has ended.

    Raises:
        TimeoutError: When it has not within `seconds`.
    """
    with anyio.fail_after(seconds):
        while True:
            [content] = (await client.read_resource(f"job://{identifier}")).contents
            assert isinstance(content, TextResourceContents)
            job: dict[str, Any] = json.loads(content.text)
            if job["state"] in FINAL:
                return job
            await anyio.sleep(0.05)
