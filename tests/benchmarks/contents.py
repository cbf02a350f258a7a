"""Search for words in the contents of 50,000 files, compared with ripgrep: the same lines, and the time."""

from __future__ import annotations

import random
import subprocess
import tempfile
import time
from pathlib import Path

from mcp import Client
from tests.benchmarks import peer_environment
from tests.benchmarks.rows import Row, compared

from homeport_files.server import build_server
from homeport_shared.testing.clients import connected

FILES = 50_000
QUERY = "needle"
WORDS = ("harbour", "lantern", "ledger", "tide", "Needles", "quay", "anchor", "letter")


async def measure() -> list[Row]:
    """Search the tree with both, each once before it is measured."""
    ripgrep = peer_environment.make("ripgrep==14.1.0") / "rg"
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "tree"
        _grow(root)
        flags = {"roots": [str(root)], "watch": False}
        async with connected(build_server, "files", Path(name) / "home", flags=flags) as client:
            await _ours(client)
            began = time.perf_counter()
            ours = await _ours(client)
            own_time = time.perf_counter() - began
        _theirs(ripgrep, root)
        began = time.perf_counter()
        theirs = _theirs(ripgrep, root)
        their_time = time.perf_counter() - began
    same = "same" if ours == theirs else f"{len(ours ^ theirs)} differ"
    label = f"search of {FILES:,} files for a word, {len(theirs):,} lines found, {same}"
    return [compared(label, own_time, their_time, "s", peer="ripgrep 14.1")]


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
