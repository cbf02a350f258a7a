"""What the tools return."""

from __future__ import annotations

import mimetypes
import os
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel

from homeport_files.marks import Marked
from homeport_files.store import ChangeSet, Version
from homeport_shared.clock import iso
from homeport_shared.folders import kind_of
from homeport_shared.paths import Place, show

Kind = Literal["file", "folder", "link", "other"]


class Entry(BaseModel):
    """Something in a folder."""

    path: str
    kind: str
    size: int
    modified: str
    media_type: str
    accessed_by: str = ""
    tags: list[str] = []
    category: str = ""
    vectorized: bool = False


class Listing(BaseModel):
    """Entries of a folder; `next` is the cursor of the next page, empty at the end."""

    entries: list[Entry]
    next: str = ""


class Info(Entry):
    """Everything about one file.

    `knowledge` has the `collection` that holds it, the `problem` that kept it out, and `indexed`, the collection with
    which a folder is kept in step; `metadata` is what the format says.
    """

    uri: str
    created: str = ""
    encoding: str = ""
    newline: str = ""
    sha256: str = ""
    versions: int = 0
    knowledge: dict[str, str] = {}
    metadata: dict[str, Any] = {}


class Text(BaseModel):
    """A part of a file as text; `next` is the cursor of the next part, empty at the end."""

    path: str
    uri: str
    text: str
    media_type: str
    encoding: str
    newline: str = ""
    sha256: str
    total_bytes: int
    start_line: int
    end_line: int
    next: str = ""
    truncated: bool = False
    warnings: list[str]


class Hit(BaseModel):
    """One find; `line` is 0 for a name."""

    path: str
    line: int
    text: str


class Hits(BaseModel):
    """What was found; `next` is the cursor of more, empty at the end.

    `skipped` files were binary, too large or not readable.
    """

    hits: list[Hit]
    next: str = ""
    skipped: int = 0


class Change(BaseModel):
    """What was done; version 0 = nothing, as it was a dry run or no change."""

    path: str
    kind: str
    version: int
    sha256: str


class Applied(BaseModel):
    """What was done, change by change."""

    files: list[Change]


class Edited(Change):
    """What an edit did, with the unified diff."""

    diff: str


class Deleted(BaseModel):
    """The paths of what was deleted, and a sentence for each that could not be."""

    deleted: list[str]
    failed: list[str]


class Step(BaseModel):
    """One version in the history; `sha256` is empty where the file is gone."""

    version: int
    at: str
    kind: str
    path: str
    came_from: str
    sha256: str
    size: int
    by: str
    change_set: str


class Steps(BaseModel):
    """Versions, newest first; `next` is the cursor of older ones."""

    versions: list[Step]
    next: str = ""


class ChangeSetRow(BaseModel):
    """Changes that belong together, such as those of one run."""

    id: str
    began: str
    ended: str
    by: str
    run: str
    files: int


class NetChange(BaseModel):
    """What a set did to one file; `diff` is unified."""

    path: str
    kind: str
    came_from: str = ""
    diff: str = ""


class ChangeSets(BaseModel):
    """Sets, newest first, or the `files` of one; `next` is the cursor of more."""

    sets: list[ChangeSetRow]
    files: list[NetChange]
    next: str = ""


class Undone(BaseModel):
    """The paths taken back, and a sentence for each that was left."""

    taken_back: list[str]
    left: list[str]


class TagsOf(BaseModel):
    """The tags and the category of a file or folder."""

    path: str
    tags: list[str]
    category: str = ""


class Tagged(BaseModel):
    """The tags of each path now, and a sentence for each that has none because it is not there."""

    files: list[TagsOf]
    failed: list[str]


class TagCounts(BaseModel):
    """How many files and folders have each tag and category, and the paths that have the tag asked for."""

    tags: dict[str, int]
    categories: dict[str, int] = {}
    paths: list[str]


class RootRow(BaseModel):
    """A folder that may be used, and the space of its disk; `low` when that runs short."""

    name: str
    folder: str
    available: bool
    used_bytes: int = 0
    free_bytes: int = 0
    low: bool = False


class RootRows(BaseModel):
    """The folders that may be used."""

    roots: list[RootRow]


class Shown(BaseModel):
    """What the page shows."""

    roots: list[str]


def uri_of(place: Place) -> str:
    """Return the URI of what is at `place`."""
    path = "/".join(quote(show(part), safe="") for part in place.parts)
    return f"files://{place.root}/{path}"


def media_type_of(name: str, kind: str) -> str:
    """Return the media type that a name promises."""
    if kind != "file":
        return "inode/directory" if kind == "folder" else ""
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def entry_of(place: Place, status: os.stat_result, accessed_by: str = "", marked: Marked | None = None) -> Entry:
    """Return the row of what is at `place`."""
    kind, marked = kind_of(status), marked or Marked()
    return Entry(
        path=str(place),
        kind=kind,
        size=status.st_size if kind == "file" else 0,
        modified=iso(datetime.fromtimestamp(status.st_mtime, UTC)),
        media_type=media_type_of(place.name, kind),
        accessed_by=accessed_by,
        tags=marked.tags,
        category=marked.category,
        vectorized=bool(marked.collection) and marked.stamp == stamp_of(status),
    )


def stamp_of(status: os.stat_result) -> str:
    """Return what tells whether a file is still the one that the knowledge base took in."""
    return f"{status.st_size}:{status.st_mtime_ns}"


def row_of(found: ChangeSet) -> ChangeSetRow:
    """Return the row of a set of changes."""
    by = found.agent or found.actor
    return ChangeSetRow(id=found.id, began=found.began, ended=found.ended, by=by, run=found.run, files=found.paths)


def step_of(version: Version) -> Step:
    """Return the row of the history."""
    return Step(
        version=version.version,
        at=version.at,
        kind=version.kind,
        path=str(version.place),
        came_from=str(version.came_from) if version.came_from else "",
        sha256=version.after,
        size=version.size,
        by=version.agent or version.actor,
        change_set=version.change_set,
    )
