"""How much there is: files and bytes for each folder, for each type, and on the disk."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import anyio.to_thread
from anyio.from_thread import check_cancelled
from pydantic import BaseModel

from homeport_files.walking import walk
from homeport_files.workspace import Workspace
from homeport_shared.clock import iso
from homeport_shared.jobs import FINAL, Job
from homeport_shared.paths import Roots, explained

MOST_FOLDERS = 5000
MOST_USED = 20


class FolderTotal(BaseModel):
    """A folder with all that is below it; `modified` is that of its newest file.

    `indexed` is the collection in which the folder is kept in step: `vectorized` files are in it, `failed` ones are
    not. `problem` is the reason of the first of those, or of a whole job that failed; `indexing` says how far a job is
    that works on it.
    """

    path: str
    files: int = 0
    bytes: int = 0
    modified: str = ""
    indexed: str = ""
    vectorized: int = 0
    failed: int = 0
    problem: str = ""
    indexing: str = ""


class Tree(BaseModel):
    """Folders, each before those in it; `truncated` = there are more than are shown."""

    folders: list[FolderTotal]
    truncated: bool = False


class TypeTotal(BaseModel):
    """The files of one suffix; empty = without one."""

    suffix: str
    files: int
    bytes: int


class Disk(BaseModel):
    """The disk of one root, in bytes."""

    root: str
    used: int
    available: int


class Used(BaseModel):
    """A file and how often it was read."""

    path: str
    uses: int


class Stats(BaseModel):
    """How many files and bytes, by type, largest first; the disks of the roots; the files used most."""

    files: int
    bytes: int
    types: list[TypeTotal]
    disks: list[Disk]
    most_used: list[Used] = []


def tree(roots: Roots, path: str, *, depth: int, check: Callable[[], None]) -> Tree:
    """Return the folder at `path` and those up to `depth` levels below it, with the totals of everything in them.

    `check` is called now and then, and raises to stop.
    """
    totals: dict[tuple[str, ...], FolderTotal] = {}
    newest: dict[tuple[str, ...], float] = {}
    with explained(path), roots.find(path) as spot:
        top = spot.place
        totals[top.parts] = FolderTotal(path=str(top))
        for entry in walk(spot.enter(), top, check=check):
            parts = entry.place.parts
            if entry.kind == "folder" and len(parts) - len(top.parts) <= depth:
                totals[parts] = FolderTotal(path=str(entry.place))
            elif entry.kind == "file":
                for count in range(len(top.parts), min(len(parts), len(top.parts) + depth + 1)):
                    folder = totals[parts[:count]]
                    folder.files += 1
                    folder.bytes += entry.status.st_size
                    newest[parts[:count]] = max(newest.get(parts[:count], 0), entry.status.st_mtime)
    for parts, at in newest.items():
        totals[parts].modified = iso(datetime.fromtimestamp(at, UTC))
    return Tree(folders=list(totals.values())[:MOST_FOLDERS], truncated=len(totals) > MOST_FOLDERS)


async def marked_tree(workspace: Workspace, path: str, jobs: Sequence[Job], *, depth: int) -> Tree:
    """Return `tree` with what the knowledge base holds of the folders that are kept in step with it."""
    found = await anyio.to_thread.run_sync(lambda: tree(workspace.roots, path, depth=depth, check=workspace.give_way))
    indexed = {str(mark.place): mark.value for mark in await workspace.marks.having("indexed")}
    newest = {path: job for job in reversed(jobs) if job.kind == "vectorize" for path in job.params["paths"]}
    for folder in found.folders:
        folder.indexed = indexed.get(folder.path, "")
        job = newest.get(folder.path)
        if job and job.state not in FINAL:
            folder.indexing = f"{job.done} of {job.total or '?'}"
        if folder.indexed:
            place = workspace.roots.place(folder.path)
            folder.vectorized = len(await workspace.marks.having("knowledge", below=place))
            failed = await workspace.marks.having("failed", below=place)
            folder.failed = len(failed)
            folder.problem = f"{failed[0].place}: {failed[0].detail}" if failed else job.error if job else ""
    return found


async def all_stats(workspace: Workspace) -> Stats:
    """Return `stats` with the files used most."""
    found = await anyio.to_thread.run_sync(stats, workspace.roots)
    found.most_used = [Used(path=str(place), uses=uses) for place, uses in await workspace.most_used(MOST_USED)]
    return found


def stats(roots: Roots) -> Stats:
    """Return the totals of all roots that are there."""
    files: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    disks: list[Disk] = []
    for root in roots:
        if not root.folder.is_dir():
            continue
        with explained(root.name), roots.find(root.name) as spot:
            for entry in walk(spot.enter(), spot.place, check=check_cancelled):
                if entry.kind == "file":
                    stem, dot, suffix = entry.place.name.rpartition(".")
                    suffix = suffix.lower() if stem and dot else ""
                    files[suffix] += 1
                    sizes[suffix] += entry.status.st_size
        usage = shutil.disk_usage(root.folder)
        disks.append(Disk(root=root.name, used=usage.used, available=usage.free))
    types = [TypeTotal(suffix=suffix, files=files[suffix], bytes=sizes[suffix]) for suffix in files]
    types.sort(key=lambda each: (-each.bytes, each.suffix))
    return Stats(files=files.total(), bytes=sizes.total(), types=types, disks=disks)
