"""Folders that are taken in by themselves: at once when something in them changes, and all of them now and then.

What the system tells of changes can be incomplete, and nothing is told while the server does not run; so each folder is
also looked at as a whole, at the start and every few minutes. Only what changed is read.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import anyio
import anyio.to_thread

from homeport_rag.ingest import Order
from homeport_rag.settings import RagSettings
from homeport_rag.sources import locate, passed_over
from homeport_rag.store import Store
from homeport_shared.bursts import Batch
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError
from homeport_shared.jobs import Jobs

logger = logging.getLogger(__name__)
KIND = "auto_ingest"  # of its jobs: a lane of its own, so that what a person asks for does not wait for it
ACTOR = "auto-ingest"
COLLECTION = "default"
ASLEEP = 60.0  # seconds until settings that cannot be read are looked at again
FEW = 200  # changed files that are named one by one; above, the whole folder is looked at


class Watching:
    """Queues what changed in the watched folders, for as long as the server lives.

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
        """Watch, look, wait, look again."""
        async with anyio.create_task_group() as group:
            watched = False
            while True:
                wait = ASLEEP
                try:
                    chosen = self._context.settings(RagSettings)
                    wait = float(chosen.watch_seconds)
                    if chosen.watch_on and chosen.watch and not watched:
                        watched = True  # watchdog is not even imported where nothing is watched
                        group.start_soon(self._listen)
                    for folder in chosen.watch if chosen.watch_on else []:
                        await self._take(folder, chosen)
                except HomeportError:
                    logger.exception("the watched folders cannot be taken in now")
                await anyio.sleep(wait)

    async def _listen(self) -> None:
        from homeport_shared.watching import watch

        await watch(self._folders, self._changed, ignored=[self._context.home])

    def _folders(self) -> list[Path]:
        try:
            chosen = self._context.settings(RagSettings)
        except HomeportError:  # the loop above says so in the log
            return []
        return [Path(folder).expanduser().resolve() for folder in chosen.watch] if chosen.watch_on else []

    async def _changed(self, batch: Batch) -> None:
        """Take in what a batch of changes names."""
        if not batch.there:
            return  # a disk that was taken out, perhaps: nothing is removed, and the next look tries again
        named = read_of(batch)
        if batch.complete and not named:
            return
        try:
            few = batch.complete and len(named) <= FEW
            await self._take(str(batch.folder), self._context.settings(RagSettings), named if few else [])
        except HomeportError:
            logger.exception("what changed in %s cannot be taken in now", batch.folder)

    async def _take(self, folder: str, chosen: RagSettings, named: Sequence[str] = ()) -> None:
        """Take in a watched folder, or only what is `named` of it."""
        path = await anyio.to_thread.run_sync(locate, folder, chosen.folders, str(self._context.home))
        order = Order(
            paths=list(named) or [path],
            collection=COLLECTION,
            prune=True,
            metadata={},
            actor=ACTOR,
            ignore=chosen.watch_ignore,
            first=chosen.watch_first,
            tries=chosen.watch_tries,
            below=path if named else "",
        )
        job = await self._jobs.start(KIND, asdict(order), once=True)
        await self._jobs.wait(job.id)


def read_of(batch: Batch) -> list[str]:
    """Return the paths of a batch that are taken in: folders, and files that can be read, but for hidden ones."""
    from homeport_shared.documents import supported

    paths = dict.fromkeys(
        path
        for change in batch.changes
        for path in (change.came_from, change.path)
        if path and (change.folder or supported(path.name))
    )
    return [str(path) for path in paths if not any(map(passed_over, path.relative_to(batch.folder).parts))]
