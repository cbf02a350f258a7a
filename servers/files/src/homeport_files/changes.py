"""Change files and take changes back: every way to do so, told to clients and to the host."""

from __future__ import annotations

import base64
import binascii
import builtins
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import islice

import anyio.to_thread

from homeport_files.batches import FileChange, apply_all
from homeport_files.change_sets import Net, chosen, diff_of, net
from homeport_files.changing import Done, make_folder, text_encoder
from homeport_files.edits import Edit
from homeport_files.restoring import Restorer
from homeport_files.results import (
    Change,
    ChangeSets,
    Deleted,
    Edited,
    Entry,
    NetChange,
    Steps,
    Undone,
    row_of,
    step_of,
    uri_of,
)
from homeport_files.store import Ledger, Version
from homeport_files.workspace import Workspace
from homeport_shared import identity, paging
from homeport_shared.documents import Decoded
from homeport_shared.errors import HomeportError
from homeport_shared.events import Event
from homeport_shared.folders import kind_of
from homeport_shared.paths import Place, explained

MIB = 1 << 20
_EVENTS = {"created": "file.created", "deleted": "file.deleted", "moved": "file.moved"}


class Changes:
    """Changes the files of a workspace.

    Args:
        workspace: The files.

    Attributes:
        on_change: Awaited with each change that was made, after clients and host were told.
        on_folder: Awaited with the place of each folder that was made.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._context = workspace.context
        self._roots = workspace.roots
        self.on_change: list[Callable[[Version], Awaitable[None]]] = []
        self.on_folder: list[Callable[[Place, None], Awaitable[None]]] = []

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
        place = await anyio.to_thread.run_sync(make_folder, self._roots, path)
        await self._context.events.publish(Event("folder.created", uri_of(place), {"path": str(place)}))
        await self._context.changes.updated(
            uri_of(place), uri_of(Place(place.root, place.parts[:-1])), "files://history", "files://recent"
        )
        for told in self.on_folder:
            await told(place, None)
        return await self._workspace.entry(path)

    async def edit(self, path: str, edits: Sequence[Edit], *, if_sha256: str, dry_run: bool) -> Edited:
        """Replace texts in a file."""
        done = await self._change(lambda changer: changer.edit(path, list(edits), if_sha256=if_sha256, dry_run=dry_run))
        return Edited(**_said(done).model_dump(), diff=done.diff)

    async def apply(self, changes: Sequence[FileChange]) -> builtins.list[Change]:
        """Make several changes, all or none.

        Raises:
            HomeportError: What the first change says that cannot be made; the ones before it were taken back.
        """
        return [_said(done) for done in await self._changes(lambda changer: apply_all(changer, changes))]

    async def delete(self, paths: Sequence[str], *, recursive: bool) -> Deleted:
        """Delete files or folders; a path that cannot be deleted is named and does not stop the others."""
        result = Deleted(deleted=[], failed=[])
        for path in paths:
            try:
                done = await self._changes(lambda changer, path=path: changer.delete(path, recursive=recursive))
                result.deleted += [str(one.place) for one in done]
            except HomeportError as error:
                result.failed.append(str(error))
        return result

    async def move(self, source: str, target: str, *, overwrite: bool) -> Change:
        """Move or rename a file or folder."""
        return _said(await self._change(lambda changer: changer.move(source, target, overwrite=overwrite)))

    async def restore(self, path: str, version: int) -> Change:
        """Bring back a version, or undo the last change."""
        return _said((await self._changes(lambda changer: changer.restore(path, version)))[-1])

    async def undo(self, change_set: str, paths: Sequence[str], version: int) -> Undone:
        """Take a set of changes back, or its changes at and below some paths; without a set the last change of each.

        Args:
            change_set: The set; empty = none.
            paths: Files or folders.
            version: Bring back this version of the one path instead.

        Raises:
            HomeportError: `not_found`, when there is no such set; `invalid`, when nothing is named.
        """
        if change_set:
            return await self._take_back(change_set, paths)
        if not paths:
            raise HomeportError("invalid", "Nothing is named.", "Give change_set or paths; see history.")
        result = Undone(taken_back=[], left=[])
        for path in paths:
            try:
                result.taken_back.append((await self.restore(path, version)).path)
            except HomeportError as error:
                result.left.append(str(error))
        return result

    async def _take_back(self, change_set: str, paths: Sequence[str]) -> Undone:
        left: builtins.list[str] = []

        def work(restorer: Restorer) -> builtins.list[Done]:
            changes = _of_set(restorer.ledger, change_set)
            places = [self._roots.place(path) for path in paths]
            done, untouched = restorer.take_back(chosen(changes, places) if places else changes)
            left.extend(untouched)
            return done

        done = await self._changes(work)
        return Undone(taken_back=sorted({str(one.place) for one in done if one.version}), left=left)

    async def sets(self, change_set: str, *, limit: int, cursor: str) -> ChangeSets:
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

        return await self._workspace.store.reading(query)

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

        return await self._workspace.store.reading(query)

    async def _change(self, work: Callable[[Restorer], Done]) -> Done:
        return (await self._changes(lambda changer: [work(changer)]))[0]

    async def _changes(self, work: Callable[[Restorer], builtins.list[Done]]) -> builtins.list[Done]:
        who, settings, outside = identity.current(), self._workspace.settings, self._workspace.outside
        if not (who.change_set or who.run or who.caller == "person"):
            who = replace(who, change_set=f"{who.actor or 'client'}-{self._workspace.session}")
        limits = {"text_limit": settings.text_mb * MIB, "version_limit": settings.version_mb * MIB}
        with outside.changing():
            done = await self._workspace.store.changing(
                lambda ledger: work(Restorer(self._roots, ledger, who, **limits))
            )
            versions = [one.version for one in done if one.version]
            sources = [version.came_from for version in versions if version.came_from]
            await outside.expect([*(version.place for version in versions), *sources])
        for version in versions:
            await self._announce(version)
        return done

    async def _announce(self, version: Version) -> None:
        """Tell clients and the host what was changed."""
        uri = uri_of(version.place)
        self._workspace.outside.remember(version.kind, version.place, version.came_from, version.agent or version.actor)
        data = step_of(version).model_dump(exclude={"at"})
        await self._context.events.publish(Event(_EVENTS.get(version.kind, "file.changed"), uri, data))
        places = [version.place, version.came_from] if version.came_from else [version.place]
        folders = {Place(place.root, place.parts[:-1]) for place in places}
        await self._context.changes.updated(
            *map(uri_of, [*places, *sorted(folders)]), "files://history", "files://changes", "files://recent"
        )
        for told in self.on_change:
            await told(version)

    def _place(self, path: str) -> tuple[Place, str]:
        """Return where `path` leads and what is there; a folder on the way may be gone."""
        try:
            with explained(path), self._roots.find(path) as spot:
                status = spot.status()
                return spot.place, kind_of(status) if status else "folder"
        except HomeportError as error:
            if error.code != "not_found":
                raise
            return self._roots.place(path), "missing"


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
