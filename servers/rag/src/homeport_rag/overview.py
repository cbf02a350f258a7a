"""The state of the knowledge base in numbers: what is in it, what waits, what it costs, what to worry about."""

from __future__ import annotations

import os
from pathlib import Path

import anyio.to_thread

from homeport_rag.embedding import Embedder
from homeport_rag.meaning import Meaning
from homeport_rag.results.upkeep import Collection, Overview
from homeport_rag.settings import RagSettings
from homeport_rag.store import Store, collections, documents, queries
from homeport_shared.context import ServerContext

LITTLE_SPACE = 1_000_000_000  # bytes
FULL = 90.0  # percent of a disk
GLANCE = 0.05  # seconds for which the first look at the numbers waits for the model


async def overview(context: ServerContext, store: Store, meaning: Meaning) -> Overview:
    """Return the state of the knowledge base."""
    embedder, why = await meaning.ready(patience=0 if meaning.looking else GLANCE)
    if embedder:
        meaning.wake()
    counted = [await _with_pending(each, store, meaning) for each in await store.read(collections.counted)]
    if embedder is None:
        counted = [each.model_copy(update={"embedded": 0}) for each in counted]
    statuses = await store.read(documents.statuses)
    statuses["pending"] = sum(each.pending for each in counted)
    statuses["embedded"] = sum(each.documents for each in counted) - statuses["pending"] - statuses["failed"]
    chosen = context.settings(RagSettings)
    size, free, used = await store.size(), 0, 0.0
    if store.path is not None:
        size += await anyio.to_thread.run_sync(_size, store.path, chosen.index_folder)
        free, used = await anyio.to_thread.run_sync(_disk, context.home)
    chunks, embedded = (sum(getattr(each, name) for each in counted) for name in ("chunks", "embedded"))
    searches, median, slow = await store.read(queries.times)
    warnings = _warnings(free, used, statuses["failed"], statuses["held"])
    return Overview(
        collections=counted,
        folders=chosen.folders,
        bytes=size,
        model=f"{embedder.model.id} ({embedder.model.dimension} dimensions)" if embedder else "",
        why=why,
        documents=sum(each.documents for each in counted),
        chunks=chunks,
        percent_embedded=round(100 * embedded / chunks, 1) if chunks else 100.0,
        model_name=_name(embedder),
        dimension=embedder.model.dimension if embedder else 0,
        free_bytes=free,
        disk_percent=used,
        warnings=warnings,
        health="warning" if warnings else "ok",
        rebuilt=max((each.rebuilt for each in counted), default=""),
        statuses=statuses,
        searches=searches,
        search_median=median,
        search_p95=slow,
    )


async def _with_pending(collection: Collection, store: Store, meaning: Meaning) -> Collection:
    if collection.embedded >= collection.chunks:
        return collection
    after = meaning.embedded_up_to(collection.model)
    pending = await store.read_slowly(collections.pending, collection.name, after)
    return collection.model_copy(update={"pending": pending})


def _name(embedder: Embedder | None) -> str:
    """Return how a person calls the model, such as `MiniLM-L6-v2 (384d)`."""
    if embedder is None:
        return ""
    name = embedder.model.id.replace("\\", "/").rsplit("/", 1)[-1].removeprefix("all-").removesuffix("-int8")
    return f"{name} ({embedder.model.dimension}d)"


def _warnings(free: int, used: float, failed: int, held: int) -> list[str]:
    found: list[str] = []
    if 0 < free < LITTLE_SPACE:
        found.append(f"Only {free / 1e6:,.0f} MB are free on the disk of the index.")
    elif used >= FULL:
        found.append(f"The disk of the index is {used:.0f} % full.")
    if failed:
        found.append(f"{failed:,} documents could not be read; filter by the status Failed for the reasons.")
    if held:
        found.append(f"{held:,} documents wait until you have them embedded.")
    return found


def _size(database: Path, index_folder: str) -> int:
    """Return the bytes of the vector indexes beside the database."""
    folder = Path(index_folder) if index_folder else database.with_suffix(".vectors")
    return sum(file.stat().st_size for file in folder.glob("*.faiss"))


def _disk(folder: os.PathLike[str]) -> tuple[int, float]:
    """Return the free bytes of the disk of `folder` and how many percent of it are used; zeros where nobody can say."""
    import shutil

    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return 0, 0.0
    return usage.free, round(100 * usage.used / max(usage.used + usage.free, 1), 1)
