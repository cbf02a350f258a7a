"""Search: how well it finds (nDCG@10 of every collection) and how fast in 100,000 passages.

A collection is a folder with corpus.jsonl (_id, title, text), queries.jsonl (_id, text) and qrels.tsv. Everything is
asked through an MCP client. Relevance is binary; the many passages are made of the collection's own sentences, and of
vectors between its own.
"""

from __future__ import annotations

import json
import math
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import numpy as np
from mcp import Client
from tests.benchmarks.data import folder
from tests.benchmarks.rows import Row, compared, middle, shown
from tests.postgres import Postgres

from homeport_rag.embedding import find_embedder
from homeport_rag.records import Passage, Source
from homeport_rag.server import build_server
from homeport_rag.store import documents, embeddings, store_for
from homeport_shared.testing.clients import connected
from homeport_shared.workers import Worker

MODES = ("lexical", "vector", "hybrid")
PER_DOCUMENT = 100
PASSAGES = 100_000
PART = 100_000  # vectors that are made at once
Judgements = dict[str, set[str]]


async def measure() -> list[Row]:
    """Take in the collection and ask its queries; then ask them of many passages."""
    places = sorted(path for path in (folder("ir") or Path()).iterdir() if (path / "qrels.tsv").is_file())
    if not places:
        return [Row("search", "skipped", "no collection with judgements on this machine")]
    found: list[Row] = []
    for place in places:
        found += await measured_quality(place)
    corpus, queries = rows(places[0] / "corpus.jsonl"), rows(places[0] / "queries.jsonl")
    taken = await measured_speed(corpus, queries)
    found += [
        compared(f"search of {PASSAGES} passages, {mode}, p50 ({middle(taken[mode])})", median, 20, "ms")
        for mode in reversed(MODES)
        for median in [statistics.median(taken[mode])]
    ]
    server = Postgres(durable=True)
    try:
        server.start()
        taken = await measured_speed(corpus, queries, server.url(server.new()))
    finally:
        server.remove()
    return found + [
        Row(f"PostgreSQL: the same, {mode}, p50", shown(statistics.median(taken[mode]), "ms"), "no target")
        for mode in reversed(MODES)
    ]


async def measured_speed(
    corpus: list[dict[str, str]], queries: list[dict[str, str]], address: str = ""
) -> dict[str, list[float]]:
    """Ask the queries of many passages, in SQLite or in a PostgreSQL database."""
    with tempfile.TemporaryDirectory() as home:
        await fill(Path(home), corpus, PASSAGES, address)
        async with connected(build_server, "rag", Path(home), flags={"database": address}) as client:
            return await latencies(client, queries)


async def measured_quality(place: Path) -> list[Row]:
    """Take one collection in and ask its queries in every mode; hybrid has to be above both others."""
    corpus, relevant = rows(place / "corpus.jsonl"), judgements(place / "qrels.tsv")
    queries = [query for query in rows(place / "queries.jsonl") if query["_id"] in relevant]
    with tempfile.TemporaryDirectory() as home:
        async with connected(build_server, "rag", Path(home)) as client:
            seconds = await take_in(client, corpus)
            scores = await quality(client, queries, relevant)
    least = 0.555 if place.name == "cranfield" else max(scores["lexical"], scores["vector"])
    return [
        Row(f"{place.name}: {len(corpus)} documents added and embedded", shown(seconds, "s"), "no target"),
        compared(f"{place.name}: nDCG@10 hybrid (≥)", scores["hybrid"], least, ""),
        *(
            Row(f"{place.name}: nDCG@10 {leg} alone", f"{scores[leg]:.4f}", "below hybrid")
            for leg in ("lexical", "vector")
        ),
    ]


def rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def judgements(path: Path) -> Judgements:
    relevant: Judgements = {}
    for line in path.read_text("utf-8").splitlines()[1:]:
        query, document, score = line.split("\t")
        if int(score) > 0:
            relevant.setdefault(query, set()).add(document)
    return relevant


def ndcg(found: list[str], relevant: set[str], depth: int = 10) -> float:
    """Return the normalised discounted cumulative gain with binary relevance (Järvelin and Kekäläinen, 2002)."""
    gain = sum(1 / math.log2(rank + 2) for rank, document in enumerate(found[:depth]) if document in relevant)
    return gain / sum(1 / math.log2(rank + 2) for rank in range(min(depth, len(relevant))))


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    if result.is_error or result.structured_content is None:
        raise SystemExit(f"{tool}: {result.content}")
    return result.structured_content


async def take_in(client: Client, corpus: list[dict[str, str]]) -> float:
    """Add the collection and return the seconds until the last passage had its vector."""
    began = time.perf_counter()
    for row in corpus:
        text = row["text"] or row["title"] or f"(empty) {row['_id']}"
        await call(client, "add", text=text, title=row["title"], uri=f"collection:{row['_id']}")
    while True:
        [default] = [c for c in (await call(client, "stats"))["collections"] if c["name"] == "default"]
        if default["embedded"] >= default["chunks"]:
            return time.perf_counter() - began
        await anyio.sleep(0.5)


async def quality(client: Client, queries: list[dict[str, str]], relevant: Judgements) -> dict[str, float]:
    """Return nDCG@10 per mode; several passages of one document count once, at the best place."""
    scores: dict[str, float] = {}
    for mode in MODES:
        gained: list[float] = []
        for query in queries:
            answer = await call(client, "search", query=query["text"], mode=mode, k=20)
            if answer["mode"] != mode:
                raise SystemExit(f"{mode} was not possible: {answer['why']}")
            found = dict.fromkeys(hit["source"].removeprefix("collection:") for hit in answer["hits"])
            gained.append(ndcg(list(found), relevant[query["_id"]]))
        scores[mode] = statistics.fmean(gained)
    return scores


def between(real: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Return `count` vectors between pairs of real ones, with noise, as float16 of length 1."""
    dice = np.random.default_rng(seed)
    one, other = (real[dice.integers(0, len(real), count)] for _ in range(2))
    share = dice.random((count, 1), np.float32)
    mixed = share * one + (1 - share) * other + 0.02 * dice.standard_normal(one.shape, np.float32)
    return (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype("<f2")


def sources(corpus: list[dict[str, str]], count: int) -> Iterator[Source]:
    """Yield documents that hold `count` passages of six sentences each, drawn from all of the collection."""
    sentences = [sentence for row in corpus for sentence in row["text"].split(" . ") if sentence]
    dice = np.random.default_rng(1)
    for number in range(count // PER_DOCUMENT):
        drawn = dice.integers(0, len(sentences), (PER_DOCUMENT, 6))
        passages = [Passage(" . ".join(sentences[i] for i in row)) for row in drawn]
        name = f"synthetic:{number}"
        yield Source(name, name, name, "text/plain", 0, name, "", passages)


async def fill(home: Path, corpus: list[dict[str, str]], count: int, address: str = "") -> None:
    """Write `count` passages with vectors through the server's store, as embedding so many would take half an hour."""
    worker, store = Worker("embedding model"), store_for(home / "rag", address)
    embedder, reason = await find_embedder(home, worker)
    if embedder is None:
        raise SystemExit(reason)
    texts = [row["text"] for row in corpus]
    real = np.frombuffer(b"".join(await embedder.embed(texts)), "<f2").reshape(len(texts), -1).astype(np.float32)
    await worker.aclose()
    for source in sources(corpus, count):
        await store.write(documents.put, source, 1, english=True, actor="benchmark", now="2026-01-01T00:00:00Z")
    for start in range(0, count, PART):
        blobs = [vector.tobytes() for vector in between(real, min(PART, count - start), seed=start)]
        await store.write(embeddings.put, embedder.model.key, enumerate(blobs, start=start + 1))
    await store.aclose()


async def latencies(client: Client, queries: list[dict[str, str]]) -> dict[str, list[float]]:
    """Return the sorted milliseconds of all searches per mode, after one that loads model and index."""
    await call(client, "search", query="warm up", mode="hybrid", k=10)
    taken: dict[str, list[float]] = {}
    for mode in MODES:
        for query in queries:
            began = time.perf_counter()
            await call(client, "search", query=query["text"], mode=mode, k=10)
            taken.setdefault(mode, []).append(1000 * (time.perf_counter() - began))
    return {mode: sorted(values) for mode, values in taken.items()}
