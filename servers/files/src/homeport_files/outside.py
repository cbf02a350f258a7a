"""What others change below the roots: seen within two seconds, told as events and resource updates, once."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from pydantic import BaseModel

from homeport_files.results import uri_of
from homeport_files.store import Ledger, Store
from homeport_shared.clock import iso
from homeport_shared.context import ServerContext
from homeport_shared.events import Event
from homeport_shared.folders import is_temporary, kind_of
from homeport_shared.identity import Identity
from homeport_shared.paths import Place, Roots

if TYPE_CHECKING:
    from homeport_shared.bursts import Batch, Change

KEPT = 200
MOST_EXPECTED = 20_000
Stamp = tuple[int, ...] | None


class RecentChange(BaseModel):
    """Something that changed; `by` is empty when somebody outside of Homeport did it."""

    number: int
    at: str
    kind: str
    path: str
    came_from: str = ""
    by: str = ""


class Recent(BaseModel):
    """What changed lately, newest first, and the roots that are watched."""

    changes: list[RecentChange]
    watched: list[str]


class Outside:
    """Watches the roots and tells what this server did not do itself.

    Args:
        context: Where events and updates go.
        roots: The folders.
        store: The history, in which a rename by others is written down, so that versions follow it.

    Attributes:
        on_change: Awaited with kind, place and former place of each change by others, after it was told; the kind
            `root` says that anything in that root may be different.
    """

    def __init__(self, context: ServerContext, roots: Roots, store: Store) -> None:
        self._context = context
        self._roots = roots
        self._store = store
        self._expected: OrderedDict[Place, Stamp] = OrderedDict()
        self._under_way = 0
        self._idle = anyio.Event()
        self._number = 0
        self._recent: deque[RecentChange] = deque(maxlen=KEPT)
        self._watched: set[str] = set()
        self._watches = 0
        self.on_change: list[Callable[[str, Place, Place | None], Awaitable[None]]] = []

    async def run(self) -> None:
        """Watch until cancelled."""
        from homeport_shared.watching import watch

        try:
            async with anyio.create_task_group() as group:
                ignored = [self._context.home.resolve()]
                await group.start(partial(watch, self._folders, self._tell, ignored=ignored))
                self._watches += 1
                self._watched = {root.name for root in self._roots if root.folder.is_dir()}
                await self._context.changes.updated("files://recent")
        finally:
            self._watched = set()

    def watch_of(self, root: str) -> int:
        """Return the number of the watch that tells of changes in this root; 0 = none; a new one = there was a gap."""
        return self._watches if root in self._watched else 0

    def recent(self, *, after: int) -> Recent:
        """Return the last changes with a greater number than `after`."""
        changes = [change for change in reversed(self._recent) if change.number > after]
        return Recent(changes=changes, watched=sorted(self._watched))

    @contextmanager
    def changing(self) -> Generator[None]:
        """Tell nothing while this server changes files itself: it says afterwards what was its own."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()
                self._idle = anyio.Event()

    async def expect(self, places: Iterable[Place]) -> None:
        """Take what is at `places` now for this server's own doing."""
        wanted = {
            Place(place.root, place.parts[:count]) for place in places for count in range(1, len(place.parts) + 1)
        }
        self._expected.update(await anyio.to_thread.run_sync(self._stamps, wanted))
        while len(self._expected) > MOST_EXPECTED:
            self._expected.popitem(last=False)

    def remember(self, kind: str, place: Place, came_from: Place | None, by: str) -> None:
        """Add a change to the recent ones."""
        self._number += 1
        source = str(came_from) if came_from else ""
        at = iso(self._context.clock.now())
        self._recent.append(
            RecentChange(number=self._number, at=at, kind=kind, path=str(place), came_from=source, by=by)
        )

    def _folders(self) -> list[Path]:
        return [root.folder for root in self._roots]

    async def _tell(self, batch: Batch) -> None:
        while self._under_way:
            await self._idle.wait()
        for name in [root.name for root in self._roots if root.folder == batch.folder]:
            if not batch.complete:
                await self._root_changed(name, there=batch.there)
                continue
            changes = [_Told(change, name, batch.folder) for change in batch.changes]
            for told in await anyio.to_thread.run_sync(self._of_others, changes):
                await self._changed(told)

    async def _root_changed(self, name: str, *, there: bool) -> None:
        """Tell that a root came or went, or that so much happened in it that only a look at it tells what."""
        root, known = Place(name), name in self._watched
        (self._watched.add if there else self._watched.discard)(name)
        kind = "folder.changed" if there and known else ("root.returned" if there else "root.vanished")
        self.remember(kind.partition(".")[2], root, None, "")
        await self._context.events.publish(Event(kind, uri_of(root), {"path": name, "complete": False, "by": ""}))
        await self._context.changes.updated(uri_of(root), "files://roots", "files://recent")
        for heard in self.on_change:
            await heard("root", root, None)

    async def _changed(self, told: _Told) -> None:
        place, source = told.place, told.source
        if source is not None:
            await self._follow(place, source)
        kind = told.change.kind
        self.remember(kind, place, source, "")
        data = {"path": str(place), "kind": kind, "came_from": str(source) if source else "", "by": ""}
        what = "folder" if told.change.folder else "file"
        await self._context.events.publish(Event(f"{what}.{kind}", uri_of(place), data))
        places = {place, source} - {None}
        folders = {Place(each.root, each.parts[:-1]) for each in places if each}
        uris = {uri_of(each) for each in (places | folders) if each}
        await self._context.changes.updated(*sorted(uris), "files://history", "files://recent")
        for heard in self.on_change:
            await heard(kind, place, source)

    async def _follow(self, place: Place, source: Place) -> None:
        """Write a rename by others into the history of what has one, once also when two servers see it."""

        def work(ledger: Ledger) -> None:
            last = ledger.last(source)
            told = last is not None and last.kind == "moved" and (last.place, last.came_from) == (place, source)
            if not told and ledger.below(source, before=None, limit=1):
                ledger.record(Identity(), "moved", place, came_from=source)

        await self._store.changing(work)

    def _of_others(self, changes: list[_Told]) -> list[_Told]:
        def own(told: _Told) -> bool:
            return all(self._as_expected(place) for place in (told.place, told.source) if place is not None)

        return [told for told in changes if not is_temporary(told.place.name) and not own(told)]

    def _as_expected(self, place: Place) -> bool:
        """Say whether `place` is as this server left it, itself or with a folder above it that is gone."""
        above = [Place(place.root, place.parts[:count]) for count in range(1, len(place.parts) + 1)]
        now = self._stamps([each for each in above if each in self._expected])
        return any(stamp == self._expected[each] and (each == place or stamp is None) for each, stamp in now.items())

    def _stamps(self, places: Iterable[Place]) -> dict[Place, Stamp]:
        folders = {root.name: root.folder for root in self._roots}
        return {place: _stamp(folders[place.root].joinpath(*place.parts)) for place in places if place.root in folders}


class _Told:
    """A change with the places that its paths are."""

    def __init__(self, change: Change, root: str, folder: Path) -> None:
        self.change = change
        self.place = Place(root, change.path.relative_to(folder).parts)
        self.source = Place(root, change.came_from.relative_to(folder).parts) if change.came_from else None


def _stamp(path: Path) -> Stamp:
    """Return what tells whether something else is at `path` now; None when nothing is."""
    try:
        status = path.lstat()
    except OSError:
        return None
    if kind_of(status) == "folder":
        return (status.st_ino,)  # its times change with what is in it
    return (status.st_ino, status.st_mtime_ns, status.st_size)
