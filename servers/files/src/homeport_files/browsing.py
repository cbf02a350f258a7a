"""The rows of a folder for a page that shows any number of them: sorted, filtered, and read window by window."""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

import anyio.to_thread
from anyio.from_thread import check_cancelled
from pydantic import BaseModel

from homeport_files.results import Entry, entry_of
from homeport_files.walking import walk
from homeport_files.workspace import Workspace
from homeport_shared.clock import Clock
from homeport_shared.errors import HomeportError
from homeport_shared.paths import Place, explained

Sort = Literal["name", "size", "modified", "type"]
Group = Literal["", "folder", "document", "table", "picture", "text", "other"]
MOST_ROWS = 500
KEPT = 4
OLDEST_SECONDS = 60
_SUFFIXES: dict[str, Group] = {
    **dict.fromkeys(("pdf", "docx", "docm", "pptx", "odt", "eml", "epub", "rtf"), "document"),
    **dict.fromkeys(("csv", "tsv", "xlsx", "xlsm", "xlsb", "xls", "ods"), "table"),
    **dict.fromkeys(("png", "jpg", "jpeg", "gif", "webp", "bmp", "tif", "tiff", "svg", "ico"), "picture"),
    **dict.fromkeys(("txt", "md", "log", "py", "js", "ts", "json", "html", "css", "yaml", "yml", "toml"), "text"),
    **dict.fromkeys(("xml", "ini", "sh", "sql", "rs", "go", "java", "c", "h", "cpp", "rst", "tex"), "text"),
}


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
    """Which rows, in which order; sizes in bytes, dates as ISO text that includes its own day."""

    sort: Sort = "name"
    descending: bool = False
    name: str = ""
    group: Group = ""
    smallest: int = 0
    largest: int = 0
    since: str = ""
    until: str = ""


@dataclass(frozen=True, slots=True)
class _Row:
    place: Place
    status: os.stat_result
    kind: str

    @property
    def group(self) -> Group:
        if self.kind == "folder":
            return "folder"
        return _SUFFIXES.get(self.place.name.rpartition(".")[2].lower(), "other")

    @property
    def size(self) -> int:
        return self.status.st_size if self.kind == "file" else 0


@dataclass
class _Folder:
    """What was in a folder at `taken`, and the order that was asked for last."""

    rows: list[_Row]
    taken: float
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
            fresh: Look at the folder again, also when its rows are known.

        Raises:
            HomeportError: When it is outside the roots, missing or no folder; `invalid`, for a date that is none.
        """
        now = self._clock.now().timestamp()
        known = self._folders.get(path)
        if known is None or fresh or now - known.taken > OLDEST_SECONDS:
            known = _Folder(await anyio.to_thread.run_sync(self._scan, path), now)
            self._folders[path] = known
            while len(self._folders) > KEPT:
                self._folders.popitem(last=False)
        self._folders.move_to_end(path)
        if known.ordered is None or known.wanted != wanted:
            known.ordered = await anyio.to_thread.run_sync(ordered, known.rows, wanted)
            known.wanted = wanted
        rows = known.ordered
        shown = rows[max(offset, 0) : max(offset, 0) + min(max(limit, 1), MOST_ROWS)]
        accesses = await self._workspace.accesses([row.place for row in shown])
        return Window(
            path=path,
            entries=[entry_of(row.place, row.status, accesses.get(row.place, "")) for row in shown],
            offset=offset,
            total=len(rows),
            files=sum(1 for row in rows if row.kind == "file"),
            bytes=sum(row.size for row in rows),
        )

    def _scan(self, path: str) -> list[_Row]:
        with explained(path), self._workspace.roots.find(path) as spot:
            walked = walk(spot.enter(), spot.place, depth=1, after=(), check=check_cancelled)
            return [_Row(entry.place, entry.status, entry.kind) for entry in walked]


def ordered(rows: list[_Row], wanted: Wanted) -> list[_Row]:
    """Return the rows that fit, folders first, in the wanted order; equal ones by name."""
    since, until = _day(wanted.since), _day(wanted.until)
    name = wanted.name.casefold()
    plain = wanted == replace(Wanted(), sort=wanted.sort, descending=wanted.descending)

    def fits(row: _Row) -> bool:
        return (
            name in row.place.name.casefold()
            and (not wanted.group or row.group == wanted.group)
            and (row.size >= wanted.smallest or row.kind == "folder")
            and (not wanted.largest or row.size <= wanted.largest)
            and (since is None or row.status.st_mtime >= since)
            and (until is None or row.status.st_mtime < until + 86_400)
        )

    found = sorted(rows if plain else filter(fits, rows), key=lambda row: row.place.name.casefold())
    if wanted.sort == "name":
        found.sort(key=lambda row: row.place.name.casefold(), reverse=wanted.descending)
    elif wanted.sort == "size":
        found.sort(key=lambda row: row.size, reverse=wanted.descending)
    elif wanted.sort == "modified":
        found.sort(key=lambda row: row.status.st_mtime, reverse=wanted.descending)
    else:
        found.sort(key=lambda row: row.place.name.rpartition(".")[2].lower(), reverse=wanted.descending)
    found.sort(key=lambda row: row.kind != "folder")
    return found


def _day(text: str) -> float | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise HomeportError("invalid", f"{text!r} is no date.", "Write one like 2026-01-31.") from error
