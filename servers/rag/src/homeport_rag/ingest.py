"""Take files in: what is new or changed is read in a worker and stored, what is gone is removed.

The work is a job that may be killed at any moment. What is stored tells what is done: a document and its outcome are
one transaction, so a job that is run again neither loses nor doubles anything, nor miscounts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import anyio.to_thread

from homeport_rag import reading
from homeport_rag.meaning import Meaning
from homeport_rag.reading import Dividing
from homeport_rag.records import Known, Source, Space
from homeport_rag.settings import RagSettings
from homeport_rag.sources import Found, scan, vanished
from homeport_rag.store import Store, collections, documents, ingests
from homeport_shared.clock import iso
from homeport_shared.context import ServerContext
from homeport_shared.documents import supported
from homeport_shared.errors import HomeportError
from homeport_shared.jobs import Run
from homeport_shared.paths import show
from homeport_shared.workers import Worker

READER_MB = 1024
SECONDS_PER_FILE = 120.0
SECONDS_PER_SCAN = 3600.0  # of hundreds of pages
UNSETTLED_NS = 2_000_000_000  # a file changed this lately may change again without a new time
COUNT_EVERY = 20  # files


@dataclass(frozen=True, slots=True)
class Order:
    """What an ingest job was asked to do; the params of the job.

    Attributes:
        paths: Absolute paths of files and folders.
        prune: Remove documents whose file below `paths` is gone.
        metadata: For every document.
        actor: Who asked.
        ignore: Names or paths that are passed over, with `*` and `?`.
        first: Names or paths that are taken in before all others, with `*` and `?`.
        tries: A file that could not be read so often is left alone until it changes; 0 = it is always tried again.
        below: The folder that `paths` are parts of: what is not there any more is gone, as long as it is there itself.
    """

    paths: list[str]
    collection: str
    prune: bool
    metadata: dict[str, Any]
    actor: str
    ignore: list[str] = field(default_factory=list[str])
    first: list[str] = field(default_factory=list[str])
    tries: int = 0
    below: str = ""


@dataclass
class Scan:
    """What is there and what is stored, by URI.

    Attributes:
        others: Number of files of a type that cannot be read.
    """

    files: dict[str, Found]
    known: dict[str, Known]
    others: int = 0


class Ingest:
    """Reads files in a worker process and stores them; the handler of `ingest` jobs.

    Args:
        context: The server's context.
        store: Where documents go.
        meaning: Embeds them later.
    """

    def __init__(self, context: ServerContext, store: Store, meaning: Meaning) -> None:
        self._context = context
        self._store = store
        self._meaning = meaning
        self._reader = Worker("document reader", memory_mb=READER_MB)
        context.closing(self._reader.aclose)

    async def run(self, run: Run) -> None:
        """Do one job.

        Raises:
            HomeportError: `denied` or `not_found`, when a path of the order cannot be read any more.
        """
        order = Order(**run.job.params)
        await self._store.write(ingests.forget_outcomes, keep=run.job.id)
        space = await self._store.read(collections.space, order.collection)
        scanned = await self._scan(order, space)
        dividing = await self.dividing(space)
        for number, (uri, file) in enumerate(by_priority(scanned.files, order.first)):
            run.progress(done=number, total=len(scanned.files), message=show(file.path))
            if number % COUNT_EVERY == 0:
                await self._count(run, scanned)
            await self._take(run, order, space, file, scanned.known.get(uri), dividing)
        if order.prune:
            gone = {uri: known.id for uri, known in scanned.known.items() if uri not in scanned.files}
            await self._store.write(ingests.remove, run.job.id, gone)
        await self._count(run, scanned)
        run.progress(done=len(scanned.files), total=len(scanned.files), message="")
        await self._context.changes.updated("rag://collections", "rag://stats")

    async def dividing(self, space: Space) -> Dividing:
        """Return how the documents of a collection are read and divided."""
        chosen = self._context.settings(RagSettings)
        scans = chosen.ocr_languages if chosen.ocr else ""
        return Dividing(space.settings, await self._meaning.tokenizer(space.settings.choice), scans)

    async def read(self, path: str, identifier: str, dividing: Dividing) -> Source:
        """Read one file in the worker.

        Raises:
            HomeportError: `unsupported`, `damaged`, `too_large`, `denied`, `not_found` or `timeout`, naming the file.
        """
        settings = self._context.settings(RagSettings)
        limits = (settings.folders, str(self._context.home), settings.max_file_mb * 1_000_000, dividing)
        return await self._reader.call(reading.read, path, identifier, *limits, timeout=_patience(dividing))

    async def read_bytes(self, data: bytes, name: str, identifier: str, uri: str, dividing: Dividing) -> Source:
        """Read the bytes of one file in the worker.

        Raises:
            HomeportError: `unsupported`, `damaged`, `too_large` or `timeout`, naming the file.
        """
        most = self._context.settings(RagSettings).max_file_mb * 1_000_000
        return await self._reader.call(
            reading.uploaded, data, name, identifier, uri, most, dividing, timeout=_patience(dividing)
        )

    async def _scan(self, order: Order, space: Space) -> Scan:
        folders, home = self._context.settings(RagSettings).folders, str(self._context.home)
        scanned = Scan({}, {})
        for path in order.paths:
            if order.below and not await anyio.Path(path).exists():
                found, others = await anyio.to_thread.run_sync(vanished, order.below, folders, home)
            else:
                found, others = await anyio.to_thread.run_sync(scan, path, folders, home, supported)
            scanned.files |= {file.uri: file for file in found if not fits(file.path, order.ignore)}
            scanned.known |= await self._store.read(ingests.known, space.id, Path(path).as_uri())
            scanned.others += others
        return scanned

    async def _take(
        self, run: Run, order: Order, space: Space, file: Found, known: Known | None, dividing: Dividing
    ) -> None:
        """Bring one file up to date; a file that cannot be read is noted and does not stop the rest."""
        if known and known.mtime_ns and (known.size, known.mtime_ns) == (file.size, file.mtime_ns):
            return
        if known and 0 < order.tries <= known.tries and known.failed_ns == file.mtime_ns:
            return
        now = self._context.clock.now()
        identifier = known.id if known else document_id(order.collection, file.uri)
        try:
            source = await self.read(file.path, identifier, dividing)
        except HomeportError as error:
            failure = unreadable(file, identifier, error)
            await self._store.write(documents.fail, failure, space.id, actor=order.actor, now=iso(now))
            await self._store.write(
                documents.note, run.job.id, file.uri, "failed", message=f"{show(file.path)}: {error}"
            )
            return
        if source.mtime_ns > now.timestamp() * 1e9 - UNSETTLED_NS:
            source = replace(source, mtime_ns=0)
        source = replace(source, metadata=source.metadata | order.metadata, job=run.job.id)
        english = space.language == "en"
        await self._store.write(documents.put, source, space.id, english=english, actor=order.actor, now=iso(now))
        self._meaning.wake()

    async def _count(self, run: Run, scanned: Scan) -> None:
        counters, notes = await self._store.read(ingests.outcomes, run.job.id)
        touched = sum(counters[name] for name in ("new", "changed", "failed"))
        counters |= {"unchanged": len(scanned.files) - touched, "skipped": scanned.others}
        run.progress(counters=counters, notes=notes)


def _patience(dividing: Dividing) -> float:
    return SECONDS_PER_SCAN if dividing.scans else SECONDS_PER_FILE


def document_id(collection: str, uri: str) -> str:
    """Return the id of the document at `uri` in a collection."""
    return hashlib.sha256(f"{collection}\n{uri}".encode()).hexdigest()[:16]


def by_priority(files: Mapping[str, Found], first: Sequence[str]) -> list[tuple[str, Found]]:
    """Return URI and file in the order in which they are read: those that fit `first`, then the newest."""

    def place(item: tuple[str, Found]) -> tuple[int, int, str]:
        path = item[1].path
        rank = next((number for number, pattern in enumerate(first) if fits(path, [pattern])), len(first))
        return rank, -item[1].mtime_ns, path

    return sorted(files.items(), key=place)


def fits(path: str, patterns: Sequence[str]) -> bool:
    """Tell whether the path, or the name of the file or of a folder above it, fits one of the patterns."""
    parts = Path(path).parts
    return any(fnmatch(path, pattern) or any(fnmatch(part, pattern) for part in parts) for pattern in patterns)


def unreadable(file: Found, identifier: str, error: HomeportError) -> Source:
    """Return what is stored of a file that could not be read."""
    modified = iso(datetime.fromtimestamp(file.mtime_ns / 1e9, UTC))
    name = show(Path(file.path).name)
    return Source(
        identifier, file.uri, name, "", file.size, "", "", [], file.mtime_ns, modified=modified, error=str(error)
    )
