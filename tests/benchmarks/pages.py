"""Pages: what a first load transfers, and when its largest part is painted (LCP), on loopback in Chromium."""

from __future__ import annotations

import gzip
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

import anyio
from playwright.async_api import Browser, async_playwright
from tests.benchmarks.homes import host
from tests.benchmarks.rows import Row, compared

from homeport.connection import call, connect

PAGES = {"/": 60, "/chat": 100}  # path → KB of gzipped scripts and styles that it may load
ROUNDS = 7
PREPARATION = 30  # seconds, at most
LARGEST = """() => new Promise(done => new PerformanceObserver(list =>
    done(list.getEntries().at(-1).startTime)).observe({type: "largest-contentful-paint", buffered: true}))"""


async def measure() -> list[Row]:
    """Open each page several times in a browser that has nothing cached, once the embedding model is built.

    That happens once per data root and takes one of two cores for some seconds.
    """
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        return [Row("pages", "skipped", "no Chromium on this machine")]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        async with host(Path(folder)) as (_, address, _), async_playwright() as playwright:
            async with connect(Path(folder), start=False) as client:
                await call(client, "homeport__finish_setup")
                with anyio.move_on_after(PREPARATION):
                    while not (await call(client, "rag__stats"))["model"]:
                        await anyio.sleep(0.5)
            browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for path, most in PAGES.items():
                found = [await _load(browser, Path(folder), address + path) for _ in range(ROUNDS)]
                sizes, painted, answered = zip(*found, strict=True)
                rows += [
                    compared(f"scripts and styles of `{path}`, gzip", statistics.median(sizes), most, "KB"),
                    compared(f"LCP of `{path}`", statistics.median(painted), 300, "ms"),
                    Row(f"… of it the server's answer, `{path}`", f"{statistics.median(answered):.0f} ms", "no target"),
                ]
            await browser.close()
    return rows


async def _load(browser: Browser, home: Path, url: str) -> tuple[float, float, float]:
    """Return KB of scripts and styles, ms to the largest paint, and ms to the server's first byte."""
    async with connect(home, start=False) as client:
        login = (await call(client, "homeport__create_ticket", purpose="login"))["url"]
    context = await browser.new_context()
    await context.request.get(login)
    page = await context.new_page()
    assets: list[Any] = []
    page.on("response", lambda answer: assets.append(answer))
    await page.goto(url, wait_until="load")
    painted = await page.evaluate(LARGEST)
    first_byte = await page.evaluate("() => performance.getEntriesByType('navigation')[0].responseStart")
    bodies = [await each.body() for each in assets if each.request.resource_type in {"script", "stylesheet"}]
    await context.close()
    return sum(len(gzip.compress(body)) for body in bodies) / 1000, painted, first_byte
