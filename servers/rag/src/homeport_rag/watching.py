"""Folders that are taken in by themselves: looked at every few minutes, only what changed is read."""

from __future__ import annotations

import logging
from dataclasses import asdict

import anyio
import anyio.to_thread

from homeport_rag.ingest import Order
from homeport_rag.settings import RagSettings
from homeport_rag.sources import locate
from homeport_rag.store import Store
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError
from homeport_shared.jobs import Jobs

logger = logging.getLogger(__name__)
ACTOR = "auto-ingest"
COLLECTION = "default"


class Watching:
    """Queues an ingest of each watched folder, one after the other, for as long as the server lives.

    The settings are read at each look, so a change holds from the next one on. A folder that cannot be read now is
    tried again at the next look.

    Args:
        context: The server's context.
        store: Where documents go.
        jobs: Runs the ingest.
    """

    def __init__(self, context: ServerContext, store: Store, jobs: Jobs) -> None:
        self._context = context
        self._store = store
        self._jobs = jobs

    async def run(self) -> None:
        """Look, wait, look again."""
        while True:
            wait = 60.0
            try:
                chosen = self._context.settings(RagSettings)
                wait = float(chosen.watch_seconds)
                for folder in chosen.watch:
                    await self._take(folder, chosen)
            except HomeportError:
                logger.exception("the watched folders cannot be taken in now")
            await anyio.sleep(wait)

    async def _take(self, folder: str, chosen: RagSettings) -> None:
        path = await anyio.to_thread.run_sync(locate, folder, chosen.folders, str(self._context.home))
        order = Order([path], COLLECTION, prune=True, metadata={}, actor=ACTOR, ignore=chosen.watch_ignore)
        job = await self._jobs.start("ingest", asdict(order), once=True)
        await self._jobs.wait(job.id)
