"""Take files in: what is new or changed is read in a worker and stored, what is gone is removed.

The work is a job that may be killed at any moment. What is stored tells what is done: a document and its outcome are
one transaction, so a job that is run again neither loses nor doubles anything, nor miscounts.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio.to_thread

from homeport_rag import reading
from homeport_rag.meaning import Meaning
from homeport_rag.records import Known
from homeport_rag.settings import RagSettings
from homeport_rag.sources import Found, scan
from homeport_rag.store import Store
from homeport_shared.clock import iso
from homeport_shared.context import ServerContext
from homeport_shared.documents import supported
from homeport_shared.errors import HomeportError
from homeport_shared.jobs import Run
from homeport_shared.workers import Worker

READER_MB = 1024
SECONDS_PER_FILE = 120.0
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
    """

    paths: list[str]
    collection: str
    prune: bool
    metadata: dict[str, Any]
    actor: str


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
    """The handler of `ingest` jobs.

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
        await self._store.forget_outcomes(keep=run.job.id)
        scanned = await self._scan(order)
        tokenizer = await self._meaning.tokenizer()
        for number, (uri, file) in enumerate(scanned.files.items()):
            run.progress(done=number, total=len(scanned.files), message=file.path)
            if number % COUNT_EVERY == 0:
                await self._count(run, scanned)
            await self._take(run, order, file, scanned.known.get(uri), tokenizer)
        if order.prune:
            gone = {uri: known.id for uri, known in scanned.known.items() if uri not in scanned.files}
            await self._store.remove(run.job.id, gone)
        await self._count(run, scanned)
        run.progress(done=len(scanned.files), total=len(scanned.files), message="")
        await self._context.changes.updated("rag://collections", "rag://stats")

    async def _scan(self, order: Order) -> Scan:
        folders, home = self._context.settings(RagSettings).folders, str(self._context.home)
        scanned = Scan({}, {})
        for path in order.paths:
            found, others = await anyio.to_thread.run_sync(scan, path, folders, home, supported)
            scanned.files |= {file.uri: file for file in found}
            scanned.known |= await self._store.known(order.collection, Path(path).as_uri())
            scanned.others += others
        return scanned

    async def _take(self, run: Run, order: Order, file: Found, known: Known | None, tokenizer: str) -> None:
        """Bring one file up to date; a file that cannot be read is noted and does not stop the rest."""
        if known and known.mtime_ns and (known.size, known.mtime_ns) == (file.size, file.mtime_ns):
            return
        settings, now = self._context.settings(RagSettings), self._context.clock.now()
        identifier = known.id if known else hashlib.sha256(f"{order.collection}\n{file.uri}".encode()).hexdigest()[:16]
        limits = (settings.folders, str(self._context.home), settings.max_file_mb * 1_000_000)
        try:
            source = await self._reader.call(
                reading.read, file.path, identifier, *limits, tokenizer, timeout=SECONDS_PER_FILE
            )
        except HomeportError as error:
            await self._store.note(run.job.id, file.uri, "failed", f"{file.path}: {error}")
            return
        if source.mtime_ns > now.timestamp() * 1e9 - UNSETTLED_NS:
            source = replace(source, mtime_ns=0)
        source = replace(source, metadata=source.metadata | order.metadata, job=run.job.id)
        await self._store.put(source, order.collection, actor=order.actor, now=iso(now))
        self._meaning.wake()

    async def _count(self, run: Run, scanned: Scan) -> None:
        counters, notes = await self._store.outcomes(run.job.id)
        touched = sum(counters[name] for name in ("new", "changed", "failed"))
        counters |= {"unchanged": len(scanned.files) - touched, "skipped": scanned.others}
        run.progress(counters=counters, notes=notes)
