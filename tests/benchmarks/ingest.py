"""Ingest: a folder until its last passage has its vector, against the embedding model alone on the same passages.

The model alone is asked for all passages in one go, loaded before and with nothing beside it; so is the ingest, which
also reads, divides, stores and indexes. The target is nine tenths of the model's own throughput.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from tests.benchmarks.data import folder
from tests.benchmarks.rows import Row, compared

from homeport_rag.embedding import find_embedder
from homeport_rag.server import build_server
from homeport_shared.testing.clients import connected
from homeport_shared.workers import Worker

PER_FILE = 7
SHARE = 0.9


async def measure() -> list[Row]:
    """Take the collection in as Markdown files, then embed the same passages with the model alone."""
    places = sorted(path for path in (folder("ir") or Path()).iterdir() if (path / "corpus.jsonl").is_file())
    if not places:
        return [Row("ingest", "skipped", "no collection on this machine")]
    corpus = [json.loads(line) for line in (places[0] / "corpus.jsonl").read_text("utf-8").splitlines()]
    with tempfile.TemporaryDirectory() as temporary:
        documents, home = Path(temporary, "documents"), Path(temporary, "home")
        write(documents, corpus)
        taken = await ingested(home, documents)
        with closing(sqlite3.connect(home / "rag" / "knowledge.db")) as database:
            rows = database.execute("SELECT trim(header || char(10) || text, char(10)) FROM chunks ORDER BY id")
            texts = [text for (text,) in rows if text != "warm up\nwarm up"]
        alone = await embedded(home, texts)
    ours, own = len(texts) / taken, len(texts) / alone
    return [
        compared(f"ingest of {len(texts)} passages, share of the model alone ({own:.0f}/s)", ours / own, SHARE, "of it")
    ]


def write(documents: Path, corpus: Sequence[dict[str, str]]) -> None:
    """Write the collection as Markdown files of several texts each."""
    documents.mkdir()
    for start in range(0, len(corpus), PER_FILE):
        parts = [f"## {row['title']}\n\n{row['text']}" for row in corpus[start : start + PER_FILE]]
        (documents / f"{start:05}.md").write_text(f"# Part {start}\n\n" + "\n\n".join(parts), "utf-8")


async def ingested(home: Path, documents: Path) -> float:
    """Return the seconds from the order until the last passage has its vector."""
    async with connected(build_server, "rag", home, flags={"folders": [str(documents)]}) as client:
        await call(client, "add", text="warm up")
        await finished(client)
        began = time.perf_counter()
        job = (await call(client, "sync_folder", path=str(documents)))["id"]
        while (await call(client, "jobs", job_id=job))["jobs"][0]["state"] in ("queued", "running"):
            await anyio.sleep(0.2)  # asking is work too
        await finished(client)
        return time.perf_counter() - began


async def finished(client: Client) -> None:
    """Wait until every passage has its vector."""
    while True:
        counts = (await call(client, "stats"))["collections"]
        if sum(each["chunks"] for each in counts) == sum(each["embedded"] for each in counts) > 0:
            return
        await anyio.sleep(0.2)  # asking is work too


async def embedded(home: Path, texts: list[str]) -> float:
    """Return the seconds that the model alone takes."""
    worker = Worker("embedding model")
    embedder, reason = await find_embedder(home, worker)
    if embedder is None:
        raise SystemExit(reason)
    await embedder.embed(["warm up"])
    began = time.perf_counter()
    await embedder.embed(texts)
    taken = time.perf_counter() - began
    await worker.aclose()
    return taken


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool; a refusal ends the benchmark."""
    result = await client.call_tool(tool, arguments)
    if result.is_error or result.structured_content is None:
        raise SystemExit(f"{tool}: {result.content}")
    return result.structured_content
