"""Folders that are taken in by themselves: at once when something in them changes, and all of them now and then.

What the system tells of changes can be incomplete, and nothing is told while the server does not run; so each folder is
also looked at as a whole, at the start and every few minutes. Only what changed is read. In a host all of this is done
by the scheduler's job `Auto-ingest`, so that people see and switch it where they see all that goes on by itself.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import anyio
import anyio.to_thread

from homeport_rag.appointment import Appointment
from homeport_rag.ingest import Order
from homeport_rag.results.upkeep import Ingested
from homeport_rag.settings import RagSettings
from homeport_rag.sources import locate
from homeport_rag.store import Store
from homeport_shared.bursts import Batch
from homeport_shared.context import ServerContext
from homeport_shared.documents import passed_over
from homeport_shared.errors import HomeportError
from homeport_shared.jobs import FINAL, Job, Jobs

logger = logging.getLogger(__name__)
KIND = "auto_ingest"  # of its jobs: a lane of its own, so that what a person asks for does not wait for it
ACTOR = "auto-ingest"
COLLECTION = "default"
ASLEEP = 60.0  # seconds until settings that cannot be read are looked at again
CALLED = 240.0  # seconds that one call of the scheduler waits: the host gives it 300
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
        self._appointment = Appointment(context)
        self._scheduled = False
        self._changed_paths: dict[str, Sequence[str]] = {}
        self._woken = anyio.Event()

    def wake(self) -> None:
        """Have the settings looked at now."""
        self._woken.set()

    def covers(self, folder: str) -> bool:
        """Tell whether changes of this folder, given without links, are taken in by themselves."""
        return Path(folder) in self._folders()

    async def start(self, folder: str) -> Job:
        """Start the job that takes in all of a watched folder, or return the one that is under way.

        Raises:
            HomeportError: `denied` or `not_found`, when it cannot be read.
        """
        return await self._start(folder, self._context.settings(RagSettings))

    async def run(self) -> None:
        """Watch, look, wait, look again."""
        async with anyio.create_task_group() as group:
            watched = begun = False
            while True:
                wait = ASLEEP
                try:
                    chosen = self._context.settings(RagSettings)
                    wait = float(chosen.watch_seconds)
                    if chosen.watch_on and chosen.watch and not watched:
                        watched = True  # watchdog is not even imported where nothing is watched
                        group.start_soon(self._listen)
                    on = chosen.watch_on and bool(chosen.watch)
                    self._scheduled = on and await self._appointment.keep(chosen.watch_seconds)
                    if self._scheduled and not begun:
                        await self._appointment.now()
                    elif not self._scheduled:
                        for folder in chosen.watch if chosen.watch_on else []:
                            await self._take(folder, chosen)
                    begun = on
                except HomeportError:
                    logger.exception("the watched folders cannot be taken in now")
                with anyio.move_on_after(wait):
                    await self._woken.wait()
                self._woken = anyio.Event()

    async def take(self) -> Ingested:
        """Take in what is known to have changed since the last call, or look at all of the watched folders.

        Raises:
            HomeportError: When a folder cannot be taken in.
        """
        chosen, changed = self._context.settings(RagSettings), self._changed_paths
        self._changed_paths = {}
        if not chosen.watch_on or not chosen.watch:
            await self._appointment.withdraw()
            return Ingested(counters={}, why="No folder is watched any more.")
        if not changed:
            changed = dict.fromkeys(chosen.watch, ())
        until = anyio.current_time() + CALLED
        ended = [await self._take(folder, chosen, named, until) for folder, named in changed.items()]
        if failed := next((job for job in ended if job.state == "failed"), None):
            raise HomeportError("unavailable", f"A watched folder could not be taken in: {failed.error}", "Look at it.")
        under_way = any(job.state not in FINAL for job in ended)
        return Ingested(counters=_sum(ended), why="Still under way: the next run goes on." if under_way else "")

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
            await self._take_or_ask(str(batch.folder), named if few else [])
        except HomeportError:
            logger.exception("what changed in %s cannot be taken in now", batch.folder)

    async def _take_or_ask(self, folder: str, named: Sequence[str]) -> None:
        """Take in what changed; where a scheduler sees to it, have it do so, once for all that comes meanwhile."""
        if not self._scheduled:
            await self._take(folder, self._context.settings(RagSettings), named)
            return
        asked, before = bool(self._changed_paths), self._changed_paths.get(folder)
        whole = not named or (before is not None and not before) or len(before or ()) > FEW
        self._changed_paths[folder] = [] if whole else list(dict.fromkeys([*(before or ()), *named]))
        if not asked:
            await self._appointment.now()

    async def _take(self, folder: str, chosen: RagSettings, named: Sequence[str] = (), until: float = math.inf) -> Job:
        """Take in a watched folder, or only what is `named` of it; return the job as it ended, or as it is `until`."""
        job = await self._start(folder, chosen, named)
        try:
            with anyio.CancelScope(deadline=until):
                await self._jobs.wait(job.id)
        except anyio.get_cancelled_exc_class():
            self._context.tasks.start_soon(self._stop, job.id)
            raise
        return await self._jobs.get(job.id)

    async def _start(self, folder: str, chosen: RagSettings, named: Sequence[str] = ()) -> Job:
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
        return await self._jobs.start(KIND, asdict(order), once=True)

    async def _stop(self, job: str) -> None:
        with suppress(HomeportError):  # it ended meanwhile
            await self._jobs.cancel(job)


def _sum(jobs: Sequence[Job]) -> dict[str, float]:
    names = dict.fromkeys(name for job in jobs for name in job.counters)
    return {name: sum(job.counters.get(name, 0) for job in jobs) for name in names}


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
