"""Take files in: what is new or changed is read in a worker and stored, what is gone is removed.

The work is a job that may be killed at any moment. What is stored tells what is done: a file and its outcome are one
transaction, so a job that is run again neither loses nor doubles anything, nor miscounts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import anyio.to_thread

from homeport_rag import reading
from homeport_rag.records import Known
from homeport_rag.settings import RagSettings
from homeport_rag.sources import Found, allowed, scan
from homeport_rag.store import Store
from homeport_shared.clock import iso
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError
from homeport_shared.jobs import Run
from homeport_shared.workers import Worker

READER_MB = 1024
SECONDS_PER_FILE = 120.0
UNSETTLED_NS = 2_000_000_000  # a file changed this lately may change again without a new time


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


class Ingest:
    """The handler of `ingest` jobs.

    Args:
        context: The server's context.
        store: Where documents go.
        stored: Called when new passages are there.
    """

    def __init__(self, context: ServerContext, store: Store, stored: Callable[[], None]) -> None:
        self._context = context
        self._stored = stored
        self._store = store
        self._reader = Worker("document reader", memory_mb=READER_MB)
        context.closing(self._reader.aclose)

    async def run(self, run: Run) -> None:
        """Do one job.

        Raises:
            HomeportError: `denied` or `not_found`, when a path of the order cannot be read any more.
        """
        order = Order(**run.job.params)
        settings = self._context.settings(RagSettings)
        files: dict[str, Found] = {}
        known: dict[str, Known] = {}
        others = 0
        for path in order.paths:
            root = allowed(path, settings.folders)
            found, skipped = await anyio.to_thread.run_sync(partial(scan, root, reading.supported))
            files |= {file.uri: file for file in found}
            known |= await self._store.known(order.collection, root.as_uri())
            others += skipped
        run.progress(total=len(files), counters={"skipped": others})
        for number, (uri, file) in enumerate(files.items()):
            run.progress(done=number, message=file.path)
            await self._take(run, order, file, known.get(uri), settings.max_file_mb * 1_000_000)
            if number % 20 == 0:
                await self._count(run, len(files), others)
        if order.prune:
            gone = {uri: k.id for uri, k in known.items() if uri not in files}
            await self._store.remove(run.job.id, gone)
        await self._count(run, len(files), others)
        run.progress(done=len(files), message="")
        await self._context.changes.updated("rag://collections", "rag://stats")

    async def _take(self, run: Run, order: Order, file: Found, known: Known | None, max_bytes: int) -> None:
        """Bring one file up to date; a file that cannot be read is noted and does not stop the rest."""
        if known and known.mtime_ns and (known.size, known.mtime_ns) == (file.size, file.mtime_ns):
            return
        now = self._context.clock.now()
        identifier = known.id if known else hashlib.sha256(f"{order.collection}\n{file.uri}".encode()).hexdigest()[:16]
        try:
            source = await self._reader.call(reading.read, file.path, identifier, max_bytes, timeout=SECONDS_PER_FILE)
        except HomeportError as error:
            await self._store.note(run.job.id, file.uri, "failed", str(error))
            return
        if source.mtime_ns > now.timestamp() * 1e9 - UNSETTLED_NS:
            source = replace(source, mtime_ns=0)
        source = replace(source, metadata=source.metadata | order.metadata, job=run.job.id)
        await self._store.put(source, order.collection, actor=order.actor, now=iso(now))
        self._stored()

    async def _count(self, run: Run, total: int, others: int) -> None:
        counters, notes = await self._store.outcomes(run.job.id)
        touched = sum(counters.get(name, 0) for name in ("new", "changed", "failed"))
        run.progress(counters={**counters, "unchanged": total - touched, "skipped": others}, notes=notes)
