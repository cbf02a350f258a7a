"""Clean up old temporary files, what programs left behind, and files that are there twice: seen first, then removed."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import PurePath
from typing import Literal

import anyio
import anyio.to_thread
from anyio.from_thread import check_cancelled
from pydantic import BaseModel

from homeport_files.changes import Changes
from homeport_files.reading import sha256_of
from homeport_files.walking import Entry, walk
from homeport_files.workspace import Workspace
from homeport_shared.errors import HomeportError
from homeport_shared.jobs import Job, Jobs, Run
from homeport_shared.paths import Place, explained

logger = logging.getLogger(__name__)
KIND = "cleanup"
MOST_SHOWN = 1000
FIRST_SECONDS = 60.0  # a server that just started has better things to do
Why = Literal["temporary", "orphaned", "duplicate"]


class Leftover(BaseModel):
    """A file that can go: why, and for an orphan or a duplicate the file that it belonged to or equals."""

    path: str
    why: Why
    size: int
    of: str = ""


class Leftovers(BaseModel):
    """What can go, in the order of paths; the job that removes some of it."""

    found: list[Leftover]
    bytes: int
    truncated: bool = False
    job_id: str = ""


class Cleaner:
    """Finds leftovers, and removes them like any other file: their content is kept and can be restored.

    Args:
        workspace: The files.
        changes: Deletes them.
    """

    def __init__(self, workspace: Workspace, changes: Changes) -> None:
        self._workspace = workspace
        self._changes = changes

    async def find(self, path: str = "", *, why: Sequence[Why] = ()) -> Leftovers:
        """Return what could be removed below `path`, or everywhere."""
        found = await anyio.to_thread.run_sync(self._find, path, set(why))
        shown = sorted(found, key=lambda each: each.path)[:MOST_SHOWN]
        return Leftovers(found=shown, bytes=sum(each.size for each in found), truncated=len(found) > len(shown))

    async def remove(self, paths: Sequence[str], confirm: int, jobs: Jobs) -> Leftovers:
        """Start the job that removes some of what `find` returned.

        Args:
            paths: Which.
            confirm: How many they are, as a person was shown.
            jobs: Runs it.

        Raises:
            HomeportError: `invalid`, when `confirm` is another number.
        """
        if confirm != len(paths) or not paths:
            raise HomeportError("invalid", f"confirm is {confirm}, but {len(paths)} files are named.", "Say how many.")
        job = await jobs.start(KIND, {"paths": list(paths)})
        return Leftovers(found=[], bytes=0, job_id=job.id)

    async def run(self, run: Run) -> None:
        """Remove files, and report how many, how many bytes, and the errors; without paths, all old temporary files."""
        paths: list[str] | None = run.job.params.get("paths")
        if paths is None:
            paths = [each.path for each in (await self.find(why=["temporary"])).found]
        counters: dict[str, float] = {"files": 0, "bytes": 0, "errors": 0}
        notes: list[str] = []
        for number, path in enumerate(paths):
            run.progress(done=number, total=len(paths), message=path)
            try:
                size = (await self._workspace.entry(path)).size
                result = await self._changes.delete([path], recursive=False)
                notes += result.failed
                counters["files"] += len(result.deleted)
                counters["bytes"] += size if result.deleted else 0
            except HomeportError as error:
                notes.append(str(error))
            counters["errors"] = len(notes)
        run.progress(done=len(paths), total=len(paths), message="", counters=counters, notes=notes)

    async def schedule(self, jobs: Jobs) -> None:
        """Remove old temporary files as often as the settings say, until cancelled."""
        await anyio.sleep(FIRST_SECONDS)
        while True:
            hours = self._workspace.following.settings.cleanup_hours
            try:
                if hours and (await self.find(why=["temporary"])).found:
                    await jobs.start(KIND, {}, once=True)
            except HomeportError as error:  # a root that went this moment, or a mistake in the settings
                logger.warning("old temporary files stay: %s", error)
            await self._workspace.following.pause(lambda chosen: (chosen.cleanup_hours or 1) * 3600)

    async def now(self, jobs: Jobs) -> Job:
        """Remove old temporary files as a job."""
        return await jobs.start(KIND, {}, once=True)

    def _find(self, path: str, why: set[Why]) -> list[Leftover]:
        found: list[Leftover] = []
        sizes: dict[int, list[Place]] = {}
        settings = self._workspace.settings
        oldest, suffixes = time.time() - settings.cleanup_days * 86_400, set(settings.cleanup_suffixes)
        for root in [path] if path else [root.name for root in self._workspace.roots if root.folder.is_dir()]:
            with explained(root), self._workspace.roots.find(root) as spot:
                for entry in walk(spot.enter(), spot.place, check=check_cancelled):
                    if entry.kind != "file":
                        continue
                    if PurePath(entry.place.name).suffix.lower() in suffixes and entry.status.st_mtime < oldest:
                        found.append(_leftover(entry, "temporary"))
                    elif (owner := owner_of(entry.place.name)) and not _has(entry, owner):
                        folder = Place(entry.place.root, entry.place.parts[:-1])
                        found.append(_leftover(entry, "orphaned", str(folder.child(owner))))
                    elif entry.status.st_size:
                        sizes.setdefault(entry.status.st_size, []).append(entry.place)
        if not why or "duplicate" in why:
            found += self._duplicates(sizes)
        return [each for each in found if not why or each.why in why]

    def _duplicates(self, sizes: dict[int, list[Place]]) -> list[Leftover]:
        """Return all but the oldest of each group of files with the same content."""
        found: list[Leftover] = []
        for size, places in sizes.items():
            if len(places) < 2:
                continue
            groups: dict[str, list[tuple[float, Place]]] = {}
            for place in places:
                try:
                    with explained(str(place)), self._workspace.roots.find(str(place), follow=False) as spot:
                        status = spot.status()
                        with spot.folder.open(spot.name) as file:
                            groups.setdefault(sha256_of(file, check_cancelled), []).append(
                                (status.st_mtime if status else 0, place)
                            )
                except HomeportError:  # gone, or not readable: then it is nobody's duplicate
                    continue
            for same in groups.values():
                first, *others = sorted(same, key=lambda each: (each[0], str(each[1])))
                found += [Leftover(path=str(p), why="duplicate", size=size, of=str(first[1])) for _, p in others]
        return found


def owner_of(name: str) -> str:
    """Return the file that a lock or backup file belongs to by its name; empty for any other file.

    `~$report.docx` belongs to `report.docx`, `.~lock.a.ods#` to `a.ods`, `.a.txt.swp` and `a.txt~` to `a.txt`.
    """
    if name.startswith("~$") and len(name) > 2:
        return name[2:]
    if name.startswith(".~lock.") and name.endswith("#"):
        return name[len(".~lock.") : -1]
    if name.startswith(".") and name.endswith((".swp", ".swo")):
        return name[1:-4]
    return name[:-1] if name.endswith("~") and len(name) > 1 else ""


def _has(entry: Entry, name: str) -> bool:
    try:
        entry.folder.look(name)
    except OSError:
        return False
    return True


def _leftover(entry: Entry, why: Why, of: str = "") -> Leftover:
    return Leftover(path=str(entry.place), why=why, size=entry.status.st_size, of=of)
