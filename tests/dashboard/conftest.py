"""The dashboard over a real host's connection: as an application for HTTP tests, and served for a real browser."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
import uvicorn
from anyio.from_thread import BlockingPortal
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from tests.patience import PATIENCE
from tests.run import PROGRAMS

from homeport_dashboard.app import create_dashboard
from homeport_shared.serving import HttpServer

from . import host
from .house import BASE, Tokens

expect.set_options(timeout=1_000 * PATIENCE)
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]


@dataclass
class Desk:
    """The dashboard without a network: an HTTP client of it, and the world behind it."""

    client: httpx2.AsyncClient
    world: Any
    app: Any

    async def sign_in(self) -> None:
        """Open the one-time link."""
        answer = await self.client.get("/login", params={"token": "fresh"})
        assert answer.status_code == 303

    async def act(self, tool: str, arguments: dict[str, Any], **options: Any) -> httpx2.Response:
        """Call a tool as a page does."""
        return await self.client.post(f"/act/{tool}", json=arguments, headers={"Origin": BASE}, **options)


@asynccontextmanager
async def open_desk(home: Path, *, client: str = "127.0.0.1", base: str = BASE) -> AsyncGenerator[Desk]:
    """Run the dashboard in memory."""
    async with host.serving_host(home) as (connect, world):
        app = create_dashboard(connect, version="0.1.0", redeem_login=Tokens().redeem, base_url=base)
        transport = httpx2.ASGITransport(app=app, client=(client, 50000))
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url=base) as browser,
        ):
            yield Desk(browser, world, app)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncGenerator[Desk]:
    """A dashboard where somebody signed in."""
    async with open_desk(tmp_path) as made:
        await made.sign_in()
        yield made


@dataclass
class Site:
    """A dashboard that is served, and the world behind it, which lives in another thread."""

    url: str
    world: Any
    portal: BlockingPortal
    folder: Path
    close: Callable[[], None]

    async def close_streams(self) -> None:
        """End every browser's stream."""
        self.close()

    def run(self, function: Any, *args: Any) -> Any:
        """Run a coroutine function of the world where it lives."""
        return self.portal.call(function, *args)


def documents(folder: Path) -> Path:
    """Write a few files."""
    folder.mkdir(parents=True)
    lease = "\n".join(f"Clause {n}: the rent of part {n} is paid on the first day of the month." for n in range(1, 120))
    (folder / "lease.txt").write_text(lease, "utf-8")
    (folder / "notes.md").write_text("# Notes\n\nCall the bank about the lease.\n", "utf-8")
    (folder / "<img src=x onerror=alert(1)>.txt").write_text("<script>alert(1)</script>", "utf-8")
    return folder


@pytest.fixture
def site(tmp_path: Path) -> Generator[Site]:
    """A served dashboard over the real files and knowledge servers."""
    ready = threading.Event()
    made: dict[str, Any] = {}
    folder = documents(tmp_path / "documents")

    async def serve() -> None:
        async with BlockingPortal() as portal, host.serving_host(tmp_path / "home", folder) as (connect, world):
            port = _free_port()
            app = create_dashboard(
                connect,
                version="0.1.0",
                redeem_login=lambda token: token == "fresh",
                base_url=f"http://127.0.0.1:{port}",
            )
            config = uvicorn.Config(app, port=port, log_config=None, access_log=False, timeout_graceful_shutdown=1)
            server = HttpServer(config, closing=lambda: app.state.close())

            async def started(_port: int) -> None:
                ready.set()

            server.on_started = started
            made.update(portal=portal, world=world, port=port, server=server, close=lambda: app.state.close())
            await server.serve()

    thread = threading.Thread(target=anyio.run, args=(serve,))
    thread.start()
    assert ready.wait(45)
    yield Site(f"http://127.0.0.1:{made['port']}", made["world"], made["portal"], folder, made["close"])
    made["server"].should_exit = True
    thread.join(20)
    assert not thread.is_alive()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    """A real Chromium; ended with its module, as Playwright keeps the thread's event loop that async tests need."""
    found = next(filter(None, map(shutil.which, PROGRAMS["browser"])), None)
    assert found, "chromium is not installed"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, headless=True, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def problems() -> list[str]:
    """What the browser complained about; a test that provokes complaints clears it."""
    return []


@pytest.fixture
def context(browser: Browser, site: Site, problems: list[str]) -> Generator[BrowserContext]:
    """A browser that is signed in; a script that fails or a refused load fails the test."""
    made = browser.new_context(viewport={"width": 1280, "height": 860})
    made.set_default_timeout(1_000 * PATIENCE)
    made.on("weberror", lambda error: problems.append(str(error.error)))
    made.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    made.request.get(f"{site.url}/login?token=fresh", max_redirects=0)  # its cookie is the pages', too
    yield made
    made.close()
    assert [problem for problem in problems if "status of 5" not in problem] == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """An empty page of the signed-in browser."""
    return context.new_page()
