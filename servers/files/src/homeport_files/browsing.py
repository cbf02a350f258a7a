"""The rows of a folder for a page that shows any number of them: sorted, filtered, and read window by window."""

from __future__ import annotations

import os
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

import anyio.to_thread
from anyio.from_thread import check_cancelled
from pydantic import BaseModel

from homeport_files.filters import Filters, ending_of
from homeport_files.results import Entry
from homeport_files.walking import walk
from homeport_files.workspace import Workspace
from homeport_shared.clock import Clock
from homeport_shared.folders import is_temporary, kind_of
from homeport_shared.paths import Place, explained

Sort = Literal["name", "size", "modified", "type"]
MOST_ROWS = 500
KEPT = 4
OLDEST_SECONDS = 60


class Window(BaseModel):
    """Some rows of a folder: `total` fit the filters, `files` of them are files and have `bytes` together."""

    path: str
    entries: list[Entry]
    offset: int
    total: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows, in which order."""

    sort: Sort = "name"
    descending: bool = False
    filters: Filters = field(default_factory=Filters)


@dataclass(frozen=True, slots=True)
class _Row:
    place: Place
    status: os.stat_result
    kind: str

    @property
    def size(self) -> int:
        return self.status.st_size if self.kind == "file" else 0


@dataclass
class _Folder:
    """What is in a folder, as far as `stale` names do not say otherwise, and the order that was asked for last."""

    place: Place
    rows: dict[str, _Row]
    taken: float
    stale: set[str] = field(default_factory=set[str])
    wanted: Wanted | None = None
    ordered: list[_Row] | None = None


class Browser:
    """Keeps the rows of the folders that were looked at last, so that a window of them costs only its own rows.

    Args:
        workspace: The files.
        clock: Tells when rows are too old.
    """

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        self._workspace = workspace
        self._clock = clock
        self._folders: OrderedDict[str, _Folder] = OrderedDict()

    async def window(self, path: str, wanted: Wanted, *, offset: int, limit: int, fresh: bool) -> Window:
        """Return the rows `offset` to `offset + limit`.

        Args:
            path: The folder.
            wanted: Filters and order.
            offset: From 0.
            limit: At most `MOST_ROWS` are given.
            fresh: Look at the folder again: in a watched one only at names that are new, gone, or said to be changed.

        Raises:
            HomeportError: When it is outside the roots, missing or no folder; `invalid`, for a date that is none.
        """
        with self._workspace.waited_for():
            return await self._window(path, wanted, offset, limit, fresh=fresh)

    async def _window(self, path: str, wanted: Wanted, offset: int, limit: int, *, fresh: bool) -> Window:
        now = self._clock.now().timestamp()
        known = self._folders.get(path)
        watched = known is not None and self._workspace.outside.watch_of(known.place.root) > 0
        if known is None or (fresh and not watched) or now - known.taken > OLDEST_SECONDS:
            place, rows = await anyio.to_thread.run_sync(self._scan, path)
            known = _Folder(place, rows, now)
            self._folders[path] = known
            while len(self._folders) > KEPT:
                self._folders.popitem(last=False)
        elif known.stale or fresh:
            await anyio.to_thread.run_sync(self._renew, path, known)
        self._folders.move_to_end(path)
        if known.ordered is None or known.wanted != wanted:
            tagged = await self._tagged(wanted.filters.tag)
            known.ordered = await anyio.to_thread.run_sync(ordered, list(known.rows.values()), wanted, tagged)
            known.wanted = wanted
        rows = known.ordered
        shown = rows[max(offset, 0) : max(offset, 0) + min(max(limit, 1), MOST_ROWS)]
        return Window(
            path=path,
            entries=await self._workspace.entries([(row.place, row.status) for row in shown]),
            offset=offset,
            total=len(rows),
            files=sum(1 for row in rows if row.kind == "file"),
            bytes=sum(row.size for row in rows),
        )

    async def _tagged(self, tag: str) -> set[Place] | None:
        return {mark.place for mark in await self._workspace.marks.having("tag", tag)} if tag else None

    async def heard(self, kind: str, place: Place, source: Place | None) -> None:
        """Take note of a change, so that the rows that it concerns are looked at again."""
        for path, folder in list(self._folders.items()):
            for each in (place, source):
                if each is None or each.root != folder.place.root:
                    continue
                if kind == "root" or (kind in {"deleted", "moved"} and _above(each, folder.place)):
                    self._folders.pop(path, None)
                elif each.parts and each.parts[:-1] == folder.place.parts:
                    folder.stale.add(each.name)

    def _scan(self, path: str) -> tuple[Place, dict[str, _Row]]:
        with explained(path), self._workspace.roots.find(path) as spot:
            walked = walk(spot.enter(), spot.place, depth=1, after=(), check=check_cancelled)
            return spot.place, {entry.place.name: _Row(entry.place, entry.status, entry.kind) for entry in walked}

    def _renew(self, path: str, known: _Folder) -> None:
        """Look again at the names that changed; the order is made anew, also because tags may have changed."""
        known.ordered = None
        names, known.stale = known.stale, set[str]()
        with explained(path), self._workspace.roots.find(path) as spot:
            folder = spot.enter()
            present = {name for name in folder.names() if not is_temporary(name)}
            for name in names | (present ^ known.rows.keys()):
                known.rows.pop(name, None)
                with suppress(OSError):
                    status = folder.look(name)
                    known.rows[name] = _Row(known.place.child(name), status, kind_of(status))


def _above(place: Place, folder: Place) -> bool:
    return folder.parts[: len(place.parts)] == place.parts


def ordered(rows: list[_Row], wanted: Wanted, tagged: set[Place] | None = None) -> list[_Row]:
    """Return the rows that fit, folders first, in the wanted order; equal ones by name."""
    filters = wanted.filters
    fitting = [
        row
        for row in rows
        if (tagged is None or row.place in tagged)
        and (filters.empty or filters.fits(row.place.name, row.kind, row.status))
    ]
    found = sorted(fitting, key=lambda row: row.place.name.casefold())
    if wanted.sort == "name":
        found.sort(key=lambda row: row.place.name.casefold(), reverse=wanted.descending)
    elif wanted.sort == "size":
        found.sort(key=lambda row: row.size, reverse=wanted.descending)
    elif wanted.sort == "modified":
        found.sort(key=lambda row: row.status.st_mtime, reverse=wanted.descending)
    else:
        found.sort(key=lambda row: ending_of(row.place.name), reverse=wanted.descending)
    found.sort(key=lambda row: row.kind != "folder")
    return found
