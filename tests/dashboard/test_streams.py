"""The stream of changes that each browser listens to, over real HTTP: what it hears of, and how it ends."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import httpx2
import pytest
from tests.patience import PATIENCE

from homeport_dashboard import live
from homeport_shared.serving import serve_http

from .conftest import Desk
from .house import BASE

pytestmark = pytest.mark.anyio
HOST = {"Host": BASE.removeprefix("http://"), "Origin": BASE}


@asynccontextmanager
async def served(desk: Desk) -> AsyncGenerator[httpx2.AsyncClient]:
    """Serve the dashboard on loopback, as answers in memory are given whole; yields a signed-in client."""
    bound: list[int] = []
    ready = anyio.Event()

    async def started(port: int) -> None:
        bound.append(port)
        ready.set()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":  # the lifespan is the desk's
            await desk.app(scope, receive, send)

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            closing = desk.app.state.close
            tasks.start_soon(partial(serve_http, app, "127.0.0.1", 0, closing=closing, on_started=started))
            await ready.wait()
            cookie = "; ".join(f"{name}={value}" for name, value in desk.client.cookies.items())
            address = f"http://127.0.0.1:{bound[0]}"
            async with httpx2.AsyncClient(base_url=address, headers={**HOST, "Cookie": cookie}) as browser:
                yield browser
            tasks.cancel_scope.cancel()


class Stream:
    """What a browser hears."""

    def __init__(self, browser: httpx2.AsyncClient, lines: AsyncIterator[str], key: str) -> None:
        self._browser, self._lines, self._key = browser, lines, key

    async def watch(self, *uris: str) -> int:
        """Say what the browser looks at; return the answer's status."""
        return (await self._browser.post(f"/live/{self._key}", json=list(uris))).status_code

    async def heard(self) -> str:
        """Return the next address that changed."""
        async for line in self._lines:
            if line.startswith("data: "):
                return json.loads(line.removeprefix("data: "))
        return "the end"

    async def line(self) -> str:
        """Return the next line that says something."""
        return await anext(line async for line in self._lines if line)


@asynccontextmanager
async def listening(browser: httpx2.AsyncClient) -> AsyncGenerator[Stream]:
    """Open a stream, as a page does when it is shown."""
    async with browser.stream("GET", "/live") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        assert await anext(lines) == "event: hello"
        yield Stream(browser, lines, (await anext(lines)).removeprefix("data: "))


async def test_a_browser_hears_of_what_it_looks_at_and_of_nothing_else(desk: Desk) -> None:
    async with served(desk) as browser, listening(browser) as stream:
        assert await stream.watch("homeport://mode") == 204
        assert await stream.heard() == "homeport://mode", "the page may be older than the stream"
        await desk.world.touch("run://recent", "homeport://mode")
        assert await stream.heard() == "homeport://mode"
        await stream.watch("run://recent")
        assert await stream.heard() == "run://recent"
        await desk.world.touch("homeport://mode", "run://recent")
        assert await stream.heard() == "run://recent"


async def test_two_browsers_share_one_stream_to_the_host_and_both_hear(desk: Desk) -> None:
    async with served(desk) as browser, listening(browser) as one, listening(browser) as other:
        await one.watch("run://recent")
        assert await one.heard() == "run://recent"
        await other.watch("run://recent")
        assert await other.heard() == "run://recent", "what another browser watches already is told at once"
        await desk.world.touch("run://recent")
        assert (await one.heard(), await other.heard()) == ("run://recent", "run://recent")


async def test_a_stream_that_is_gone_watches_nothing(desk: Desk) -> None:
    gone = await desk.client.post("/live/none", json=["run://recent"], headers=HOST)
    assert gone.status_code == 410
    wrong = await desk.client.post("/live/none", json={"uri": "run://recent"}, headers=HOST)
    assert (wrong.status_code, wrong.json()["error"]["message"]) == (400, "A stream watches a list of addresses.")


async def test_a_quiet_stream_is_kept_open_and_ends_with_the_host(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PING_SECONDS", 0.01)
    async with served(desk) as browser, listening(browser) as stream:
        assert await stream.line() == ": ping"
        desk.app.state.close()
        monkeypatch.setattr(live, "PING_SECONDS", PATIENCE)
        with pytest.raises(StopAsyncIteration):
            while await stream.line() == ": ping":
                pass


async def test_a_browser_that_reads_too_slowly_is_let_go(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "BACKLOG", 1)
    streams = desk.app.state.live.stream()
    key = (await anext(streams)).partition("data: ")[2].strip()
    assert desk.app.state.live.watch(key, ["run://recent", "homeport://mode"])
    await anyio.wait_all_tasks_blocked()  # both were told
    with anyio.fail_after(PATIENCE):
        told = [event async for event in streams]
    assert len(told) == 1, "the second did not fit; on reconnecting it fetches everything"
    assert not desk.app.state.live.watch(key, [])


async def test_the_events_of_a_run_are_read_from_a_number_on(desk: Desk) -> None:
    sent = (await desk.act("homeport__chat_send", {"text": "When does the lease end?"})).json()["result"]
    found: list[dict[str, Any]] = []
    with anyio.fail_after(PATIENCE):
        while not found or found[-1]["kind"] != "done":
            answer = await desk.client.get(f"/runs/{sent['run_id']}/events", params={"after": len(found)})
            found += answer.json()["events"]
            await anyio.sleep(0.01)
    assert [event["seq"] for event in found] == list(range(1, len(found) + 1))
