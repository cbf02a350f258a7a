"""The folders that one server serves, and what is known about the files in them."""

from __future__ import annotations

import errno
import logging
import os
import secrets
import shutil
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager

import anyio.to_thread
from anyio.from_thread import check_cancelled

from homeport_files.following import Following
from homeport_files.marks import Marks
from homeport_files.outside import Outside
from homeport_files.reading import Format, Part, Reader
from homeport_files.results import Entry, RootRow, RootRows, Tagged, TagsOf, Text, entry_of, uri_of
from homeport_files.settings import FilesSettings, new_root, roots_of
from homeport_files.store import Store
from homeport_shared import identity, settings
from homeport_shared.clock import iso
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError
from homeport_shared.events import Event
from homeport_shared.paths import Place, Root, Roots, explained

logger = logging.getLogger(__name__)
PAUSE_SECONDS = 0.01


class Workspace:
    """The roots, the history, the marks and who read what; `lookup` and `changes` work on them.

    Args:
        context: What the server was given; the workspace closes itself with it.

    Attributes:
        session: Names the changes that a client makes while this server runs.
    """

    def __init__(self, context: ServerContext) -> None:
        self.context = context
        home = context.home.resolve()
        home.mkdir(parents=True, exist_ok=True)  # it is known by its inode, so it has to be there
        self.roots = Roots(roots_of(self.settings.roots, home / "workspace"), closed=[home])
        self.store = Store(context.folder, context.clock)
        self.marks = Marks(context.folder, self.store)
        self.outside = Outside(context, self.roots, self.store)
        self.reader = Reader(self.roots, lambda: self.settings)
        self.session = secrets.token_hex(4)
        self._waited_for = 0
        self._accessed: dict[Place, tuple[str, str]] = {}
        for close in (self.store.aclose, self.marks.aclose, self.reader.aclose, self._remember_accesses):
            context.closing(close)
        self.following = Following(context, self.roots, self.outside)
        context.tasks.start_soon(self.following.run)

    @property
    def settings(self) -> FilesSettings:
        """The settings as they are now: a change holds from the next call on."""
        return self.context.settings(FilesSettings)

    @contextmanager
    def waited_for(self) -> Generator[None]:
        """Let what calls `give_way` stand still as long as this lasts: somebody waits for a folder to be shown.

        Two threads that ask the disk in turns take ten times as long as one after the other.
        """
        self._waited_for += 1
        try:
            yield
        finally:
            self._waited_for -= 1

    def give_way(self) -> None:
        """Stand still while somebody waits for something else; called by a worker thread now and then.

        Raises:
            CancelledError: When what the thread does is no longer wanted.
        """
        check_cancelled()
        while self._waited_for:
            time.sleep(PAUSE_SECONDS)
            check_cancelled()

    async def read(self, path: str, part: Part, form: Format) -> Text:
        """Return a part of a file and remember who read it."""
        place, text = await self.reader.read(path, part, form)
        who = identity.current()
        self._accessed[place] = (who.agent or who.actor, iso(self.context.clock.now()))
        self.context.tasks.start_soon(self._remember_accesses)
        return text

    def look(self, path: str) -> tuple[Place, os.stat_result]:
        """Return where `path` leads and the status of what is there.

        Raises:
            HomeportError: When it is outside the roots or missing.
        """
        with explained(path), self.roots.find(path) as spot:
            status = spot.status()
            if status is None and spot.name:
                raise FileNotFoundError(errno.ENOENT, "missing", path)
            return spot.place, status or spot.folder.status()

    async def entries(self, found: Sequence[tuple[Place, os.stat_result]]) -> list[Entry]:
        """Return the rows of files and folders, with who read them last and their marks."""
        places = [place for place, _ in found]
        accesses, marks = await self.accesses(places), await self.marks.of(places)
        return [entry_of(place, status, accesses.get(place, ""), marks[place]) for place, status in found]

    async def entry(self, path: str) -> Entry:
        """Return the row of one file or folder."""
        return (await self.entries([await anyio.to_thread.run_sync(self.look, path)]))[0]

    async def looked(self, paths: Iterable[str]) -> tuple[list[tuple[Place, os.stat_result]], list[str]]:
        """Look at each path; return what is there, and a sentence for each where nothing is."""
        found: list[tuple[Place, os.stat_result]] = []
        failed: list[str] = []
        for path in paths:
            try:
                found.append(await anyio.to_thread.run_sync(self.look, path))
            except HomeportError as error:
                failed.append(str(error))
        return found, failed

    async def tag(
        self, paths: Sequence[str], add: Sequence[str], remove: Sequence[str], category: str | None = None
    ) -> Tagged:
        """Add and remove tags of files and folders; what is not there is named and does not stop the others."""
        found, failed = await self.looked(paths)
        places = [place for place, _ in found]
        marked = await self.marks.change(places, add=add, remove=remove, category=category)
        for place in places:
            data = {"path": str(place), "tags": marked[place].tags, "category": marked[place].category}
            await self.context.events.publish(Event("file.tagged", uri_of(place), data))
        await self.context.changes.updated(*map(uri_of, places), "files://tags", "files://recent")
        rows = [TagsOf(path=str(p), tags=marked[p].tags, category=marked[p].category) for p in places]
        return Tagged(files=rows, failed=failed)

    def rows(self) -> RootRows:
        """Return the roots with the space of their disks."""
        return RootRows(roots=[self._row(root) for root in self.roots])

    async def add_root(self, folder: str, name: str) -> RootRow:
        """Serve one more folder, from now on and after a restart.

        Raises:
            HomeportError: When it is no folder, Homeport's own, or one of the two is taken.
        """
        root = new_root(folder, name, list(self.roots))
        self.roots.add(root)
        await self._save_roots(list(self.roots))
        await self.context.changes.updated("files://roots")
        await self.context.events.publish(Event("root.added", uri_of(Place(root.name)), {"folder": str(root.folder)}))
        return self._row(root)

    async def remove_root(self, name: str) -> RootRows:
        """Serve a folder no longer; nothing in it changes.

        Raises:
            HomeportError: `not_found`; `denied`, for the last one.
        """
        left = [root for root in self.roots if root.name != name]
        if len(left) == len(list(self.roots)):
            raise HomeportError("not_found", f"There is no root {name!r}.", "List them: roots.")
        if not left:
            raise HomeportError("denied", f"{name} is the only root.", "Add another one first.")
        await self._save_roots(left)
        self.roots.remove(name)
        await self.context.changes.updated("files://roots")
        return self.rows()

    async def _save_roots(self, roots: Sequence[Root]) -> None:
        named = [f"{root.name}={root.folder}" for root in roots]
        await anyio.to_thread.run_sync(settings.save, self.context.home, "files", {"roots": named})

    async def accesses(self, places: list[Place]) -> dict[Place, str]:
        """Return who read each of `places` last, where somebody did."""
        await self._remember_accesses()
        return await self.store.accesses(places)

    async def most_used(self, limit: int) -> list[tuple[Place, int]]:
        """Return the places that were read most often, with how often."""
        await self._remember_accesses()
        return await self.store.most_used(limit)

    async def _remember_accesses(self) -> None:
        """Write down who read what since the last time."""
        accessed, self._accessed = self._accessed, {}
        if not accessed:
            return
        try:
            await self.store.accessed(accessed)
        except (HomeportError, OSError):  # a read that worked does not fail for this
            logger.exception("who read %d files could not be written down", len(accessed))

    def _row(self, root: Root) -> RootRow:
        row = RootRow(name=root.name, folder=str(root.folder), available=root.folder.is_dir())
        if row.available:
            space = shutil.disk_usage(root.folder)
            row.used_bytes, row.free_bytes = space.used, space.free
            row.low = space.free < self.settings.low_space_gb * 1e9
        return row
