"""The pages over a real host in the process of the tests, and somebody who reads them without a browser."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client
from selectolax.lexbor import LexborHTMLParser, LexborNode
from tests.patience import PATIENCE

from homeport_dashboard.app import create_dashboard
from homeport_host.host import Host

BASE = "http://127.0.0.1:8642"
FINAL = {"completed", "failed", "cancelled"}


@dataclass
class Tokens:
    """One-time tokens, as a launcher would keep them."""

    good: set[str] = field(default_factory=lambda: {"fresh"})

    def redeem(self, token: str) -> bool:
        """Use `token` up."""
        try:
            self.good.remove(token)
        except KeyError:
            return False
        return True


@asynccontextmanager
async def pages_of(host: Host) -> AsyncGenerator[httpx2.AsyncClient]:
    """Run the dashboard over `host`, signed in."""
    server = host.person_server()

    @asynccontextmanager
    async def connect() -> AsyncGenerator[Client]:
        async with Client(server) as client:
            yield client

    app = create_dashboard(connect, version="0.1.0", redeem_login=Tokens().redeem, base_url=BASE)
    transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 50000))
    async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport, base_url=BASE) as browser:
        await browser.get("/login", params={"token": "fresh"})
        yield browser


class Shown:
    """What somebody sees: a page, or a part of it."""

    def __init__(self, answer: httpx2.Response) -> None:
        self.status = answer.status_code
        self.tree = LexborHTMLParser(answer.text)

    def all(self, selector: str) -> list[LexborNode]:
        """Return the elements that fit."""
        return self.tree.css(selector)

    def texts(self, selector: str) -> list[str]:
        """Return what stands in the elements that fit, with single spaces."""
        return [" ".join(node.text().split()) for node in self.all(selector)]

    def text(self, selector: str = "main") -> str:
        """Return what stands in the one element that fits."""
        [found] = self.texts(selector)
        return found

    def links(self, selector: str) -> dict[str, str]:
        """Return where the links lead that fit, by their words."""
        return {" ".join(node.text().split()): node.attributes["href"] or "" for node in self.all(selector)}

    def facts(self, selector: str = "dl.facts") -> dict[str, str]:
        """Return the facts of a list of them, by their names."""
        rows = [(node.css_first("dt"), node.css_first("dd")) for node in self.all(f"{selector} > div")]
        return {name.text(): " ".join(value.text().split()) for name, value in rows if name and value}


@dataclass
class House:
    """A dashboard over a real host, and somebody who is signed in."""

    browser: httpx2.AsyncClient
    docs: Path

    async def page(self, path: str, /, **query: Any) -> Shown:
        """Open a page that must be there, and not be broken."""
        shown = await self.ask(path, **query)
        assert shown.status == 200, f"{path}: {shown.texts('body')}"
        return shown

    async def ask(self, path: str, /, **query: Any) -> Shown:
        """Open a page, whatever comes."""
        return Shown(await self.browser.get(path, params=query or None, headers={"Accept": "text/html"}))

    async def act(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """Call a tool as a page does."""
        answer = await self.told(tool, **arguments)
        assert "error" not in answer, answer
        return answer["result"]

    async def told(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """Call a tool as a page does and return what the page is told, also of a failure."""
        return (await self.browser.post(f"/act/{tool}", json=arguments, headers={"Origin": BASE})).json()

    async def ended(self, run: str, state: str = "") -> dict[str, Any]:
        """Return a run when it has ended, or is in `state`."""
        found: dict[str, Any] = {}

        async def looked() -> bool:
            found.update(await self.act("homeport__run_get", run_id=run))
            return found["state"] == state or found["state"] in FINAL

        await self.eventually(looked)
        return found

    async def task(self, prompt: str, state: str = "", **plan: Any) -> str:
        """Let an agent do something, and return the task's id when it has ended, or is in `state`."""
        started = await self.act("homeport__run_start", prompt=prompt, **plan)
        await self.ended(started["run_id"], state)
        return started["run_id"]

    async def eventually(self, true: Callable[[], Awaitable[bool]]) -> None:
        """Return as soon as `true` says so."""
        with anyio.fail_after(PATIENCE):
            while not await true():
                await anyio.sleep(0.05)
