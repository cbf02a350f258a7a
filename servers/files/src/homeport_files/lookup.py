"""Look at what is there: lists, details, searches by name, tag and content."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio.to_thread
from anyio.from_thread import check_cancelled
from anyio.from_thread import run as run_in_loop

from homeport_files.filters import Filters
from homeport_files.indexing import Indexer
from homeport_files.literals import literals_of
from homeport_files.reading import Part, decoded_start, open_file, sha256_of
from homeport_files.results import Hits, Info, Listing, uri_of
from homeport_files.searching import Find, Mode, Search, compiled, find_lines
from homeport_files.walking import DEEPEST, Names, matches, walk
from homeport_files.walking import Entry as Walked
from homeport_files.workspace import Workspace
from homeport_shared import paging
from homeport_shared.clock import iso
from homeport_shared.errors import HomeportError
from homeport_shared.folders import kind_of
from homeport_shared.paths import Place, Spot, explained
from homeport_shared.workers import Worker

MIB = 1 << 20
Found = list[tuple[Place, os.stat_result]]
REGEX_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Way:
    """How to go through the folders: which names of each are wanted, and whether their status is."""

    below: Callable[[Place], Names | None]
    look: bool = True


ALL = Way(lambda _: None)


class Lookup:
    """Reads the folders of a workspace and changes nothing.

    Args:
        workspace: The files.

    Attributes:
        indexer: Spares searches the files that cannot have what they look for.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._roots = workspace.roots
        self._matcher = Worker("search", memory_mb=workspace.settings.memory_mb)
        workspace.context.closing(self._matcher.aclose)
        memory = workspace.settings.memory_mb
        self.indexer = Indexer(workspace.context, workspace.roots, workspace.outside, memory)

    async def list(self, path: str, *, depth: int, glob: str, filters: Filters, limit: int, cursor: str) -> Listing:
        """Return what is in a folder; with an empty `path` the roots, or with `depth` above 1 what is in all of them.

        Raises:
            HomeportError: When it is outside the roots, missing or no folder.
        """
        if not path and depth == 1:
            available = [root.name for root in self._roots if root.folder.is_dir()]
            return Listing(entries=await self._workspace.entries([self._workspace.look(name) for name in available]))
        tagged = await self._tagged(filters.tag)
        start = paging.decode(cursor)

        def collect() -> tuple[Found, str]:
            found: Found = []
            for number, root, entry in self._through(path, depth, start):
                below = entry.place.parts[len(root.parts) :]
                if not (matches(glob, below) and wanted(entry, filters, tagged)):
                    continue
                if len(found) == limit:
                    last = found[-1][0].parts[len(root.parts) :] if found[-1][0].root == root.root else ()
                    return found, paging.encode({"folder": number, "after": last})
                found.append((entry.place, entry.status))
            return found, ""

        found, following = await anyio.to_thread.run_sync(collect)
        return Listing(entries=await self._workspace.entries(found), next=following)

    async def info(self, path: str, *, detail: bool = False) -> Info:
        """Return what is known about one file or folder; with `detail` also what its format says about it."""
        place, status = await anyio.to_thread.run_sync(self._workspace.look, path)
        [entry] = await self._workspace.entries([(place, status)])
        marked = (await self._workspace.marks.of([place]))[place]
        known = {"collection": marked.collection, "indexed": marked.indexed, "problem": marked.failed}
        created = getattr(status, "st_birthtime", 0.0) or min(status.st_ctime, status.st_mtime)
        info = Info(
            **entry.model_dump(),
            uri=uri_of(place),
            created=iso(datetime.fromtimestamp(created, UTC)),
            knowledge={name: value for name, value in known.items() if value},
        )
        if entry.kind == "file":
            info.encoding, info.newline, info.sha256 = await anyio.to_thread.run_sync(self._written, path)
        info.versions = await self._workspace.store.reading(
            lambda ledger: sum(1 for row in ledger.trail(place) if row.after)
        )
        if detail and entry.kind == "file":
            try:
                info.metadata = await self._workspace.reader.metadata(path)
            except HomeportError as error:
                info.metadata = {"problem": str(error)}
        return info

    async def resource(self, path: str) -> str:
        """Return what `files://{path}` shows, as JSON: the first part of a file, or the entries of a folder."""
        place, _ = await anyio.to_thread.run_sync(self._workspace.look, path)
        if (await self._workspace.entry(str(place))).kind == "folder":
            listing = await self.list(path, depth=1, glob="", filters=Filters(), limit=1000, cursor="")
            return listing.model_dump_json()
        return (await self._workspace.read(path, Part(), "auto")).model_dump_json()

    async def search(
        self,
        query: str,
        path: str,
        *,
        mode: Mode,
        regex: bool,
        glob: str,
        filters: Filters,
        limit: int,
        cursor: str,
    ) -> Hits:
        """Return files whose name or tag, or lines whose content, fits the query.

        Raises:
            HomeportError: `invalid`, for a query that is no pattern; `timeout`, for a pattern that never ends.
        """
        tagged = await self._tagged(filters.tag)
        by_tag = await self._tags_like(query, regex=regex) if mode == "tag" else {}
        text_limit = self._workspace.settings.text_mb * MIB
        find, literals = self._finder(query, regex=regex), literals_of(query, regex=regex)
        plan = partial(self.indexer.plan, text_limit)
        search = Search(mode, limit, text_limit, find, tags=by_tag, literals=literals, plan=plan)
        start = paging.decode(cursor)
        everything = filters.empty and tagged is None

        def run() -> Hits:
            for number, root, entry in self._through(path, DEEPEST, start, Way(search.below, look=not everything)):
                below = entry.place.parts[len(root.parts) :]
                if glob and not matches(glob, below or entry.place.parts[-1:]):
                    continue
                if not everything and not wanted(entry, filters, tagged):
                    continue
                if search.at(entry):
                    return search.result(paging.encode({"folder": number, "after": below}))
            return search.result("")

        if mode != "content":
            return await anyio.to_thread.run_sync(run)
        with self.indexer.searching():
            return await anyio.to_thread.run_sync(run)

    def _through(
        self, path: str, depth: int, start: dict[str, Any], way: Way = ALL
    ) -> Iterator[tuple[int, Place, Walked]]:
        """Yield what is below `path`, or below all roots, from where a page ended on, with the number of its folder."""
        folders = [path] if path else [root.name for root in self._roots if root.folder.is_dir()]
        first = int(start.get("folder", 0))
        for number, folder in enumerate(folders[first:], first):
            after = tuple[str, ...](start.get("after", ())) if number == first else ()
            with explained(folder), self._roots.find(folder) as spot:
                for entry in _entries(spot, after, depth, way):
                    yield number, spot.place, entry

    async def _tagged(self, tag: str) -> set[Place] | None:
        if not tag:
            return None
        return {mark.place for mark in await self._workspace.marks.having("tag", tag.strip().casefold())}

    async def _tags_like(self, query: str, *, regex: bool) -> dict[Place, str]:
        pattern = compiled(query, regex=regex)
        found: dict[Place, str] = {}
        for mark in await self._workspace.marks.having("tag"):
            if pattern.search(mark.value):
                found[mark.place] = f"{found[mark.place]}, {mark.value}" if mark.place in found else mark.value
        return found

    def _finder(self, query: str, *, regex: bool) -> Find:
        """Return what finds the lines of a text; a regular expression runs where it can be stopped."""
        compiled(query, regex=regex)
        if not regex:
            return partial(find_lines, query, False)
        call = partial(self._matcher.call, find_lines, query, True, timeout=REGEX_SECONDS)
        return lambda text: run_in_loop(lambda: call(text))

    def _written(self, path: str) -> tuple[str, str, str]:
        """Return encoding, line end and SHA-256 of a file; empty where it is not text, or too large to be hashed."""
        limit = self._workspace.settings.text_mb * MIB
        opened = open_file(self._roots, path)
        with opened.file:
            sha256 = sha256_of(opened.file, check_cancelled) if opened.status.st_size <= limit else ""
            try:
                written = decoded_start(opened, limit)
            except HomeportError:
                return "", "", sha256
            return written.encoding, written.newline, sha256


def wanted(entry: Walked, filters: Filters, tagged: set[Place] | None) -> bool:
    """Say whether an entry fits; `tagged` are the places that have the wanted tag, None = any tag or none."""
    if tagged is not None and entry.place not in tagged:
        return False
    return filters.empty or filters.fits(entry.place.name, entry.kind, entry.status)


def _entries(spot: Spot, after: tuple[str, ...], depth: int, way: Way) -> Iterator[Walked]:
    """Return what is at `spot`: a folder's content, or the one file."""
    if spot.is_folder():
        names = way.below(spot.place)
        return walk(
            spot.enter(), spot.place, depth=depth, after=after, check=check_cancelled, names=names, look=way.look
        )
    status = spot.status()
    if status is None:
        raise FileNotFoundError(errno.ENOENT, "missing", str(spot.place))
    return iter([Walked(spot.place, spot.folder, kind_of(status), status)])
