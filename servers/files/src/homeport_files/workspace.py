"""The files below the roots, as one object: reads, lists, searches, changes, and tells who listens about changes."""

from __future__ import annotations

import base64
import binascii
import builtins
import errno
import logging
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice

import anyio.to_thread
from anyio.from_thread import check_cancelled
from anyio.from_thread import run as run_in_loop

from homeport_files.change_sets import Net, chosen, diff_of, net
from homeport_files.changing import Done, make_folder, text_encoder
from homeport_files.edits import Edit
from homeport_files.outside import Outside
from homeport_files.reading import Format, Part, Reader, decoded_start, open_file, sha256_of
from homeport_files.restoring import Restorer
from homeport_files.results import (
    Change,
    ChangeSets,
    Edited,
    Entry,
    Hits,
    Info,
    Listing,
    NetChange,
    RootRow,
    RootRows,
    Steps,
    Tagged,
    TagsOf,
    Text,
    Undone,
    entry_of,
    row_of,
    step_of,
    uri_of,
)
from homeport_files.searching import Find, Mode, Search, compiled, find_lines
from homeport_files.settings import FilesSettings, new_root, roots_of
from homeport_files.store import Ledger, Store, Version
from homeport_files.tags import Tags
from homeport_files.walking import Entry as Walked
from homeport_files.walking import matches, walk
from homeport_shared import identity, paging, settings
from homeport_shared.clock import iso
from homeport_shared.context import ServerContext
from homeport_shared.documents import Decoded
from homeport_shared.errors import HomeportError
from homeport_shared.events import Event
from homeport_shared.folders import kind_of
from homeport_shared.paths import Place, Roots, Spot, explained
from homeport_shared.workers import Worker

MIB = 1 << 20
DEEPEST = 64
REGEX_SECONDS = 5
_EVENTS = {"created": "file.created", "deleted": "file.deleted", "moved": "file.moved"}
logger = logging.getLogger(__name__)


class Workspace:
    """The folders that one server serves.

    Args:
        context: What the server was given; the workspace closes itself with it.
    """

    def __init__(self, context: ServerContext) -> None:
        self._context = context
        self._settings = context.settings(FilesSettings)
        home = context.home.resolve()
        home.mkdir(parents=True, exist_ok=True)  # it is known by its inode, so it has to be there
        self.roots = Roots(roots_of(self._settings.roots, home / "workspace"), closed=[home])
        self._store = Store(context.folder, context.clock)
        self.tags = Tags(context.folder, self._store)
        self.outside = Outside(context, self.roots, self._store)
        self._reader = Reader(self.roots, self._settings)
        self._matcher = Worker("search", memory_mb=self._settings.memory_mb)
        self._session = secrets.token_hex(4)  # of what a client changes while this server runs
        self._accessed: dict[Place, tuple[str, str]] = {}
        for close in (
            self._store.aclose,
            self.tags.aclose,
            self._reader.aclose,
            self._matcher.aclose,
            self._remember_accesses,
        ):
            context.closing(close)
        if self._settings.watch:
            context.tasks.start_soon(self.outside.run)

    async def list(self, path: str, *, depth: int, glob: str, limit: int, cursor: str) -> Listing:
        """Return what is in a folder; with an empty `path`, the roots.

        Raises:
            HomeportError: When it is outside the roots, missing or no folder.
        """
        after = tuple(paging.decode(cursor).get("after", ()))

        def collect() -> tuple[builtins.list[tuple[Place, Entry]], str]:
            with explained(path), self.roots.find(path) as spot:
                skip = len(spot.place.parts)
                walked = walk(spot.enter(), spot.place, depth=depth, after=after, check=check_cancelled)
                wanted = (entry for entry in walked if matches(glob, entry.place.parts[skip:]))
                found = [(entry.place, entry_of(entry.place, entry.status)) for entry in islice(wanted, limit + 1)]
            more = paging.encode({"after": found[limit - 1][0].parts[skip:]}) if len(found) > limit else ""
            return found[:limit], more

        if not path:
            rows = [self._look(root.name) for root in self.roots if root.folder.is_dir()]
            return Listing(entries=[entry for _, entry in rows])
        found, following = await anyio.to_thread.run_sync(collect)
        accesses = await self.accesses([place for place, _ in found])
        for place, entry in found:
            entry.accessed_by = accesses.get(place, "")
        return Listing(entries=[entry for _, entry in found], next=following)

    async def info(self, path: str) -> Info:
        """Return everything about one file or folder."""
        place, entry = await anyio.to_thread.run_sync(self._look, path)
        info = Info(**entry.model_dump(), uri=uri_of(place))
        if entry.kind == "file":
            info.encoding, info.newline, info.sha256 = await anyio.to_thread.run_sync(self._written, path)
        info.versions = await self._store.reading(lambda ledger: sum(1 for row in ledger.trail(place) if row.after))
        accesses = await self.accesses([place])
        info.accessed_by = accesses.get(place, "")
        return info

    async def read(self, path: str, part: Part, form: Format) -> Text:
        """Return a part of a file and remember who read it."""
        place, text = await self._reader.read(path, part, form)
        who = identity.current()
        self._accessed[place] = (who.agent or who.actor, iso(self._context.clock.now()))
        self._context.tasks.start_soon(self._remember_accesses)
        return text

    async def resource(self, path: str) -> str:
        """Return what `files://{path}` shows, as JSON: the first part of a file, or the entries of a folder."""
        _, entry = await anyio.to_thread.run_sync(self._look, path)
        if entry.kind == "folder":
            return (await self.list(path, depth=1, glob="", limit=1000, cursor="")).model_dump_json()
        return (await self.read(path, Part(), "auto")).model_dump_json()

    async def search(
        self,
        query: str,
        path: str,
        *,
        mode: Mode,
        regex: bool,
        glob: str,
        limit: int,
        cursor: str,
    ) -> Hits:
        """Return files whose name, or lines whose content, fits the query.

        Raises:
            HomeportError: `invalid`, for a query that is no pattern; `timeout`, for a pattern that never ends.
        """
        look = Search(mode, glob, limit, self._settings.text_mb * MIB, self._finder(query, regex=regex))
        start = paging.decode(cursor)
        first = int(start.get("folder", 0))
        folders = [path] if path else [root.name for root in self.roots]

        def run() -> Hits:
            for number, folder in enumerate(folders[first:], first):
                after = tuple(start.get("after", ())) if number == first else ()
                with explained(folder), self.roots.find(folder) as spot:
                    look.through(spot.place, _entries(spot, after, DEEPEST))
                if look.stopped_after is not None:
                    return look.result(paging.encode({"folder": number, "after": look.stopped_after}))
            return look.result("")

        return await anyio.to_thread.run_sync(run)

    async def write(self, path: str, content: str, *, encoding: str, overwrite: bool, if_sha256: str) -> Change:
        """Make or replace a file; `encoding` `base64` takes bytes."""
        encode = _bytes_encoder(content) if encoding == "base64" else text_encoder(content, encoding, path)
        done = await self._change(lambda changer: changer.write(path, encode, overwrite=overwrite, if_sha256=if_sha256))
        return _said(done)

    async def put(self, path: str, data: bytes, *, overwrite: bool, if_sha256: str = "") -> Change:
        """Make or replace a file with these bytes."""
        return _said(
            await self._change(
                lambda changer: changer.write(path, lambda _: data, overwrite=overwrite, if_sha256=if_sha256)
            )
        )

    async def make_folder(self, path: str) -> Entry:
        """Make an empty folder; it has no history until something is in it.

        Raises:
            HomeportError: `conflict`, when there is something of that name.
        """
        place = await anyio.to_thread.run_sync(make_folder, self.roots, path)
        await self._context.events.publish(Event("folder.created", uri_of(place), {"path": str(place)}))
        await self._context.changes.updated(
            uri_of(place), uri_of(Place(place.root, place.parts[:-1])), "files://history"
        )
        return (await anyio.to_thread.run_sync(self._look, path))[1]

    async def edit(self, path: str, edits: builtins.list[Edit], *, if_sha256: str, dry_run: bool) -> Edited:
        """Replace texts in a file."""
        done = await self._change(lambda changer: changer.edit(path, edits, if_sha256=if_sha256, dry_run=dry_run))
        return Edited(**_said(done).model_dump(), diff=done.diff)

    async def delete(self, path: str, *, recursive: bool) -> builtins.list[str]:
        """Delete a file or folder; return the paths of all that went."""
        done = await self._changes(lambda changer: changer.delete(path, recursive=recursive))
        return [str(one.place) for one in done]

    async def move(self, source: str, target: str, *, overwrite: bool) -> Change:
        """Move or rename a file or folder."""
        return _said(await self._change(lambda changer: changer.move(source, target, overwrite=overwrite)))

    async def tag(self, paths: builtins.list[str], add: builtins.list[str], remove: builtins.list[str]) -> Tagged:
        """Add and remove tags of files and folders; what is not there is named and does not stop the others."""
        places: builtins.list[Place] = []
        failed: builtins.list[str] = []
        for path in paths:
            try:
                places.append((await anyio.to_thread.run_sync(self._look, path))[0])
            except HomeportError as error:
                failed.append(str(error))
        tags = await self.tags.change(places, add=add, remove=remove)
        for place in places:
            await self._context.events.publish(Event("file.tagged", uri_of(place), {"tags": tags[place]}))
        await self._context.changes.updated(*map(uri_of, places), "files://tags")
        return Tagged(files=[TagsOf(path=str(place), tags=tags[place]) for place in places], failed=failed)

    async def restore(self, path: str, version: int) -> Change:
        """Bring back a version, or undo the last change."""
        return _said((await self._changes(lambda changer: changer.restore(path, version)))[-1])

    async def change_sets(self, change_set: str, *, limit: int, cursor: str) -> ChangeSets:
        """Return the sets of changes, or what one set comes to, file by file.

        Raises:
            HomeportError: `not_found`, when there is no such set.
        """
        position = paging.decode(cursor)

        def query(ledger: Ledger) -> ChangeSets:
            if not change_set:
                sets = ledger.sets(before=position.get("before"), limit=limit + 1)
                more = paging.encode({"before": sets[limit - 1].last}) if len(sets) > limit else ""
                return ChangeSets(sets=[row_of(each) for each in sets[:limit]], files=[], next=more)
            start = int(position.get("start", 0))
            changes = net(reversed(_of_set(ledger, change_set)))
            more = paging.encode({"start": start + limit}) if len(changes) > start + limit else ""
            files = [_net_change(ledger, each) for each in changes[start : start + limit]]
            return ChangeSets(sets=[], files=files, next=more)

        return await self._store.reading(query)

    async def undo(self, change_set: str, paths: builtins.list[str]) -> Undone:
        """Take a set of changes back, or its changes at and below some paths.

        Raises:
            HomeportError: `not_found`, when there is no such set.
        """
        left: builtins.list[str] = []

        def work(restorer: Restorer) -> builtins.list[Done]:
            changes = _of_set(restorer.ledger, change_set)
            places = [self.roots.place(path) for path in paths]
            done, untouched = restorer.take_back(chosen(changes, places) if places else changes)
            left.extend(untouched)
            return done

        done = await self._changes(work)
        return Undone(taken_back=sorted({str(one.place) for one in done if one.version}), left=left)

    async def history(self, path: str, *, limit: int, cursor: str) -> Steps:
        """Return the versions of a file, of what is below a folder, or of everything."""
        before: int | None = paging.decode(cursor).get("before")

        def query(ledger: Ledger) -> Steps:
            place, kind = self._place(path) if path else (None, "all")
            if place is None:
                rows = ledger.all(before=before, limit=limit + 1)
            elif kind == "file":
                older = (row for row in ledger.trail(place) if before is None or row.version < before)
                rows = list(islice(older, limit + 1))
            else:
                rows = ledger.below(place, before=before, limit=limit + 1)
            more = paging.encode({"before": rows[limit - 1].version}) if len(rows) > limit else ""
            return Steps(versions=[step_of(row) for row in rows[:limit]], next=more)

        return await self._store.reading(query)

    def rows(self) -> RootRows:
        """Return the roots."""
        return RootRows(
            roots=[RootRow(name=r.name, folder=str(r.folder), available=r.folder.is_dir()) for r in self.roots]
        )

    async def add_root(self, folder: str, name: str) -> RootRow:
        """Serve one more folder, from now on and after a restart.

        Raises:
            HomeportError: When it is no folder, Homeport's own, or one of the two is taken.
        """
        root = new_root(folder, name, list(self.roots))
        self.roots.add(root)
        roots = [f"{known.name}={known.folder}" for known in self.roots]
        settings.save(self._context.home, "files", {"roots": roots})
        await self._context.changes.updated("files://roots")
        await self._context.events.publish(Event("root.added", uri_of(Place(root.name)), {"folder": str(root.folder)}))
        return RootRow(name=root.name, folder=str(root.folder), available=True)

    async def _change(self, work: Callable[[Restorer], Done]) -> Done:
        return (await self._changes(lambda changer: [work(changer)]))[0]

    async def _changes(self, work: Callable[[Restorer], list[Done]]) -> list[Done]:
        who = identity.current()
        if not (who.change_set or who.run or who.caller == "person"):
            who = replace(who, change_set=f"{who.actor or 'client'}-{self._session}")
        limits = {"text_limit": self._settings.text_mb * MIB, "version_limit": self._settings.version_mb * MIB}
        with self.outside.changing():
            done = await self._store.changing(lambda ledger: work(Restorer(self.roots, ledger, who, **limits)))
            versions = [one.version for one in done if one.version]
            sources = [version.came_from for version in versions if version.came_from]
            await self.outside.expect([*(version.place for version in versions), *sources])
        for one in done:
            await self._announce(one)
        return done

    async def _announce(self, done: Done) -> None:
        """Tell clients and the host what was changed."""
        version = done.version
        if version is None:
            return
        uri = uri_of(done.place)
        self.outside.remember(version.kind, done.place, version.came_from, version.agent or version.actor)
        data = step_of(version).model_dump(exclude={"at"})
        await self._context.events.publish(Event(_EVENTS.get(version.kind, "file.changed"), uri, data))
        places = [done.place, version.came_from] if version.came_from else [done.place]
        folders = {Place(place.root, place.parts[:-1]) for place in places}
        await self._context.changes.updated(
            *map(uri_of, [*places, *sorted(folders)]), "files://history", "files://changes", "files://recent"
        )

    def _finder(self, query: str, *, regex: bool) -> Find:
        """Return what finds the lines of a text; a regular expression runs where it can be stopped."""
        compiled(query, regex=regex)
        if not regex:
            return partial(find_lines, query, False)
        call = partial(self._matcher.call, find_lines, query, True, timeout=REGEX_SECONDS)
        return lambda text: run_in_loop(lambda: call(text))

    def _place(self, path: str) -> tuple[Place, str]:
        """Return where `path` leads and what is there; a folder on the way may be gone."""
        try:
            with explained(path), self.roots.find(path) as spot:
                status = spot.status()
                return spot.place, kind_of(status) if status else "folder"
        except HomeportError as error:
            if error.code != "not_found":
                raise
            return self.roots.place(path), "missing"

    def _look(self, path: str) -> tuple[Place, Entry]:
        with explained(path), self.roots.find(path) as spot:
            status = spot.status()
            if status is None and spot.name:
                raise FileNotFoundError(errno.ENOENT, "missing", path)
            return spot.place, entry_of(spot.place, status or spot.folder.status())

    def _written(self, path: str) -> tuple[str, str, str]:
        """Return encoding, line end and SHA-256 of a file; empty where it is not text, or too large to be hashed."""
        limit = self._settings.text_mb * MIB
        opened = open_file(self.roots, path)
        with opened.file:
            sha256 = sha256_of(opened.file, check_cancelled) if opened.status.st_size <= limit else ""
            try:
                written = decoded_start(opened, limit)
            except HomeportError:
                return "", "", sha256
            return written.encoding, written.newline, sha256

    async def accesses(self, places: builtins.list[Place]) -> dict[Place, str]:
        """Return who read each of `places` last, where somebody did."""
        await self._remember_accesses()
        return await self._store.accesses(places)

    async def _remember_accesses(self) -> None:
        """Write down who read what since the last time."""
        accessed, self._accessed = self._accessed, {}
        if not accessed:
            return
        try:
            await self._store.accessed(accessed)
        except (HomeportError, OSError):  # a read that worked does not fail for this
            logger.exception("who read %d files could not be written down", len(accessed))


def _entries(spot: Spot, after: tuple[str, ...], depth: int) -> Iterator[Walked]:
    """Return what is at `spot`: a folder's content, or the one file."""
    if spot.is_folder():
        return walk(spot.enter(), spot.place, depth=depth, after=after, check=check_cancelled)
    status = spot.status()
    if status is None:
        raise FileNotFoundError(errno.ENOENT, "missing", str(spot.place))
    return iter([Walked(spot.place, status, spot.folder)])


def _of_set(ledger: Ledger, change_set: str) -> list[Version]:
    changes = ledger.of_set(change_set)
    if not changes:
        raise HomeportError("not_found", f"There is no set of changes {change_set[:80]!r}.", "List them: changes.")
    return changes


def _net_change(ledger: Ledger, change: Net) -> NetChange:
    source = str(change.came_from) if change.came_from else ""
    return NetChange(path=str(change.place), kind=change.kind, came_from=source, diff=diff_of(ledger, change))


def _said(done: Done) -> Change:
    kind = done.version.kind if done.version else "unchanged"
    version = done.version.version if done.version else 0
    return Change(path=str(done.place), kind=kind, version=version, sha256=done.sha256)


def _bytes_encoder(content: str) -> Callable[[Decoded | None], bytes]:
    try:
        data = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise HomeportError("invalid", "The content is not base64.", "Encode the bytes as base64.") from error
    return lambda _: data
