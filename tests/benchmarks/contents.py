"""Search for a word in the contents of 50,000 files, compared with ripgrep: the same lines, and the time."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import anyio
import psutil
from mcp import Client
from tests.benchmarks import peer_environment
from tests.benchmarks.rows import Row, compared, memory

from homeport_files.server import build_server
from homeport_shared.testing.clients import connected

FILES = 50_000
QUERY = "needle"
WORDS = ("harbour", "lantern", "ledger", "tide", "Needles", "quay", "anchor", "letter")


async def measure() -> list[Row]:
    """Search the tree with both, first without our index, then with it."""
    ripgrep = peer_environment.make("ripgrep==14.1.0") / "rg"
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "tree"
        _grow(root)
        async with connected(build_server, "files", Path(name) / "home", flags={"roots": [str(root)]}) as client:
            await client.call_tool("search", {"query": QUERY, "mode": "name"})
            _theirs(ripgrep, root)
            before = memory(os.getpid())
            began = time.perf_counter()
            cold = await _ours(client)
            cold_time = time.perf_counter() - began
            theirs, their_cold_time = _timed(ripgrep, root)
            await _indexed()
            grown = memory(os.getpid()) - before
            times: list[tuple[float, float]] = []
            for _ in range(5):
                began = time.perf_counter()
                warm = await _ours(client)
                times.append((time.perf_counter() - began, _timed(ripgrep, root)[1]))
    same = "the same" if cold == warm == theirs else f"{len(cold ^ theirs)} and {len(warm ^ theirs)} differ"
    label = f"search of {FILES:,} files for a word, {len(theirs):,} lines found, {same};"
    ours, against = (statistics.median(each) for each in zip(*times, strict=True))
    return [
        compared(f"{label} without an index", cold_time, their_cold_time, "s", peer="ripgrep 14.1"),
        compared(f"{label} with the index", ours, against, "s", peer="ripgrep 14.1"),
        compared("memory that the index takes", grown, 30, "MiB"),
    ]


async def _indexed() -> None:
    """Wait until the process that makes the index has come and gone."""
    for there in (True, False):
        with anyio.fail_after(300):
            while bool(psutil.Process().children()) is not there:
                await anyio.sleep(0.1)


def _timed(ripgrep: Path, root: Path) -> tuple[set[tuple[str, int]], float]:
    began = time.perf_counter()
    return _theirs(ripgrep, root), time.perf_counter() - began


def _grow(root: Path) -> None:
    choose = random.Random(7)
    for number in range(FILES):
        folder = root / f"{number % 100:02}" / f"{number // 100 % 10}"
        folder.mkdir(parents=True, exist_ok=True)
        weights = [20, 20, 20, 20, 0.02, 20, 20, 20]
        lines = [" ".join(choose.choices(WORDS, weights, k=8)) for _ in range(20)]
        (folder / f"{number}.txt").write_text(
            "\n".join(lines) + ("\n\u00e9t\u00e9\n" if number % 10 == 0 else "\n"), "utf-8"
        )


async def _ours(client: Client) -> set[tuple[str, int]]:
    found: set[tuple[str, int]] = set()
    cursor = ""
    while True:
        result = await client.call_tool("search", {"query": QUERY, "limit": 1000, "cursor": cursor})
        page = result.structured_content or {}
        found |= {(hit["path"].partition("/")[2], hit["line"]) for hit in page["hits"]}
        if not (cursor := page["next"]):
            return found


def _theirs(ripgrep: Path, root: Path) -> set[tuple[str, int]]:
    command = [str(ripgrep), "-i", "-n", "-F", "--no-ignore", "--hidden", "--no-heading", QUERY, "."]
    done = subprocess.run(command, cwd=root, capture_output=True, check=False, encoding="utf-8")
    rows = (line.split(":", 2) for line in done.stdout.splitlines())
    return {(path.removeprefix("./"), int(line)) for path, line, _ in rows}
