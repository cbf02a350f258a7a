"""A million passages with synthetic vectors: how fast they are searched, and how much memory that takes.

The server runs as a program of its own, so its memory and that of its worker are all that is counted. Building the
graph takes many minutes, which is why this is not run unless asked for: `--only million`.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import anyio
import psutil
from mcp import Client, StdioServerParameters
from tests.benchmarks.data import folder
from tests.benchmarks.retrieval import MODES, fill, latencies, rows
from tests.benchmarks.rows import Row, compared, middle, shown

PASSAGES = 1_000_000
MOST_MILLISECONDS, MOST_GIB = 60, 2.2
PATIENCE = timedelta(minutes=50)  # for the graph


async def measure() -> list[Row]:
    """Fill a database, wait for its graph, and ask the queries of the collection."""
    places = sorted(path for path in (folder("ir") or Path()).iterdir() if (path / "qrels.tsv").is_file())
    if not places:
        return [Row("a million passages", "skipped", "no collection with judgements on this machine")]
    corpus, queries = rows(places[0] / "corpus.jsonl"), rows(places[0] / "queries.jsonl")
    with tempfile.TemporaryDirectory() as home:
        await fill(Path(home), corpus, PASSAGES)
        return await searched(Path(home), queries)


async def searched(home: Path, queries: list[dict[str, str]]) -> list[Row]:
    """Return what a server on `home` takes for the queries."""
    command = str(Path(sys.executable).with_name("homeport-rag"))
    others = {child.pid for child in psutil.Process().children()}
    async with Client(StdioServerParameters(command=command, args=["--home", str(home)])) as client:
        [server] = [child for child in psutil.Process().children() if child.pid not in others]
        began = time.perf_counter()
        first = await client.call_tool("search", {"query": "lift", "mode": "vector"})
        assert not first.is_error, first.content
        waited = time.perf_counter() - began
        with anyio.fail_after(PATIENCE.seconds):
            while not list((home / "rag").glob("knowledge.vectors/*.faiss")):
                await anyio.sleep(1)
        building = time.perf_counter() - began
        taken = await latencies(client, queries)
        processes = [server, *server.children(recursive=True)]
        memory = sum(process.memory_info().rss for process in processes) / 2**30
    return [
        Row(f"first search of {PASSAGES:,} passages, all compared", shown(waited, "s"), "no target"),
        Row("… their graph built meanwhile", shown(building, "s"), "no target"),
        *(
            compared(
                f"search of {PASSAGES:,} passages, {mode}, p50 ({middle(taken[mode])})",
                statistics.median(taken[mode]),
                MOST_MILLISECONDS,
                "ms",
            )
            for mode in reversed(MODES)
        ),
        compared("memory of server and worker", memory, MOST_GIB, "GiB"),
    ]
