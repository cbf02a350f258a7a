"""Look at every file by hand or by the clock: what changed since the last look, and where both sides changed.

The watcher tells changes as they happen; this finds those that nobody watched. A conflict is a file that was changed
through Homeport and then by another program, both since the last look; Homeport's content is in the history.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

import anyio.to_thread
from anyio.from_thread import check_cancelled
from pydantic import BaseModel

from homeport_files.changes import Changes
from homeport_files.reading import open_file, sha256_of
from homeport_files.results import stamp_of, uri_of
from homeport_files.store import Ledger, Version
from homeport_files.walking import walk
from homeport_files.workspace import Workspace
from homeport_shared.atomic import write_atomically
from homeport_shared.clock import iso
from homeport_shared.errors import HomeportError
from homeport_shared.events import Event
from homeport_shared.jobs import Job, Jobs, Run
from homeport_shared.paths import Place, explained

KIND = "sync"
MOST_TOLD = 500
Side = Literal["disk", "homeport", "both"]
Stamps = dict[str, str]
Heard = Callable[[str, Place, Place | None], Awaitable[None]]


class Conflict(BaseModel):
    """A file that both sides changed: `version` is Homeport's in the history, `by` who made it."""

    path: str
    version: int
    by: str


class SyncState(BaseModel):
    """What the last sync saw, and the conflicts that nobody resolved yet."""

    at: str = ""
    files: int = 0
    errors: list[str] = []
    conflicts: list[Conflict] = []
    job_id: str = ""


@dataclass(frozen=True, slots=True)
class _Seen:
    at: str
    stamps: Stamps


class Syncer:
    """Compares the disk with what the last sync saw.

    Args:
        workspace: The files.
        changes: Resolves conflicts.
        heard: Awaited with each difference.
    """

    def __init__(self, workspace: Workspace, changes: Changes, heard: Heard) -> None:
        self._workspace = workspace
        self._changes = changes
        self._heard = heard
        self._folder = workspace.context.folder / "sync"

    async def start(self, path: str, jobs: Jobs) -> Job:
        """Start the job that looks at everything below `path`, or at all roots when it is empty."""
        if path:
            await self._workspace.entry(path)
        return await jobs.start(KIND, {"path": path}, once=True)

    def state(self) -> SyncState:
        """Return what the last sync saw."""
        try:
            return SyncState.model_validate_json((self._folder / "state.json").read_text("utf-8"))
        except FileNotFoundError:
            return SyncState()

    async def run(self, run: Run) -> None:
        """Compare, tell the differences, and note conflicts."""
        path: str = run.job.params["path"]
        run.progress(message="Looking at the files")
        before = await anyio.to_thread.run_sync(self._seen)
        now, errors = await anyio.to_thread.run_sync(self._look, path)
        known = {each: stamp for each, stamp in before.stamps.items() if not path or _below(each, path)}
        found: dict[str, list[str]] = {
            "created": [each for each in now if each not in known] if before.at else [],
            "changed": [each for each in now if each in known and known[each] != now[each]],
            "deleted": [each for each in known if each not in now],
        }
        conflicts = [c for each in found["changed"] if (c := await self._conflict(each, before.at)) is not None]
        for kind, paths in found.items():
            for each in paths:
                await self._tell(kind, self._workspace.roots.place(each), quiet=len(paths) > MOST_TOLD)
        counters: dict[str, float] = {kind: len(paths) for kind, paths in found.items()}
        run.progress(
            done=len(now), total=len(now), message="", counters={**counters, "conflicts": len(conflicts)}, notes=errors
        )
        stamps = {each: stamp for each, stamp in before.stamps.items() if each not in known} | now
        open_ones = {each.path: each for each in [*self.state().conflicts, *conflicts]}
        await self._keep(SyncState(files=len(now), errors=errors, conflicts=list(open_ones.values())), stamps)

    async def resolve(self, path: str, keep: Side) -> SyncState:
        """Resolve a conflict: keep what is on the disk, or Homeport's content, or both, that one beside it.

        Raises:
            HomeportError: `not_found`, when there is no such conflict.
        """
        state = self.state()
        conflict = next((each for each in state.conflicts if each.path == path), None)
        if conflict is None:
            raise HomeportError("not_found", f"{path!r} has no conflict.", "See the state of the sync.")
        if keep == "homeport":
            await self._changes.restore(path, conflict.version)
        elif keep == "both":
            name = PurePosixPath(path)
            await self._changes.put(
                str(name.with_stem(f"{name.stem} (Homeport)")), await self._ours(conflict), overwrite=False
            )
        left = [each for each in state.conflicts if each.path != path]
        seen = await anyio.to_thread.run_sync(self._seen)
        await self._keep(state.model_copy(update={"conflicts": left}), seen.stamps)
        return self.state()

    async def schedule(self, jobs: Jobs) -> None:
        """Sync as often as the settings say, until cancelled."""
        while True:
            await self._workspace.following.pause(lambda chosen: (chosen.sync_minutes or 60) * 60)
            if self._workspace.following.settings.sync_minutes:
                await self.start("", jobs)

    async def _ours(self, conflict: Conflict) -> bytes:
        def read(ledger: Ledger) -> bytes:
            version = ledger.find(conflict.version)
            with ledger.content(version.after if version else "") as content:
                return content.read()

        return await self._workspace.store.reading(read)

    async def _conflict(self, path: str, since: str) -> Conflict | None:
        """Return the conflict at `path`, when Homeport changed it after `since` and the disk holds something else."""
        place = self._workspace.roots.place(path)

        def last(ledger: Ledger) -> Version | None:
            return next((row for row in ledger.trail(place) if row.after and row.kind != "found"), None)

        version = await self._workspace.store.reading(last)
        if version is None or version.at <= since:
            return None
        try:
            sha256 = await anyio.to_thread.run_sync(self._sha256, path)
        except HomeportError:
            return None
        by = version.agent or version.actor
        return Conflict(path=path, version=version.version, by=by) if sha256 != version.after else None

    async def _tell(self, kind: str, place: Place, *, quiet: bool) -> None:
        await self._heard(kind, place, None)
        if quiet:
            return
        data = {"path": str(place), "kind": kind, "came_from": "", "by": "", "seen_by": "sync"}
        await self._workspace.context.events.publish(Event(f"file.{kind}", uri_of(place), data))
        await self._workspace.context.changes.updated(uri_of(Place(place.root, place.parts[:-1])))

    async def _keep(self, state: SyncState, stamps: Stamps) -> None:
        state = state.model_copy(update={"at": iso(self._workspace.context.clock.now())})

        def write() -> None:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._folder / "seen.json", json.dumps({"at": state.at, "stamps": stamps}).encode())
            write_atomically(self._folder / "state.json", state.model_dump_json().encode())

        await anyio.to_thread.run_sync(write)
        await self._workspace.context.changes.updated("files://sync", "files://recent")

    def _seen(self) -> _Seen:
        try:
            return _Seen(**json.loads((self._folder / "seen.json").read_text("utf-8")))
        except (FileNotFoundError, ValueError, TypeError):  # the first time, or a file that was torn: look at all anew
            return _Seen("", {})

    def _look(self, path: str) -> tuple[Stamps, list[str]]:
        stamps: Stamps = {}
        errors: list[str] = []
        for root in [path] if path else [root.name for root in self._workspace.roots]:
            try:
                with explained(root), self._workspace.roots.find(root) as spot:
                    for entry in walk(spot.enter(), spot.place, check=check_cancelled):
                        if entry.kind == "file":
                            stamps[str(entry.place)] = stamp_of(entry.status)
            except HomeportError as error:
                errors.append(str(error))
        return stamps, errors

    def _sha256(self, path: str) -> str:
        opened = open_file(self._workspace.roots, path)
        with opened.file:
            return sha256_of(opened.file, check_cancelled)


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
