"""Go through a tree of open folders in a fixed order, so that a list can be continued where it stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from homeport_shared.errors import HomeportError
from homeport_shared.folders import Folder, is_temporary, kind_of
from homeport_shared.paths import Place

CHECKED = 64  # entries between two looks whether to stop


@dataclass(frozen=True, slots=True)
class Entry:
    """Something in a folder while the walk is there.

    Attributes:
        folder: The open folder that holds it.
        kind: `file`, `folder`, `link` or `other`.
    """

    place: Place
    status: os.stat_result
    folder: Folder
    kind: str


def walk(
    folder: Folder, place: Place, *, depth: int, after: tuple[str, ...], check: Callable[[], None]
) -> Generator[Entry]:
    """Yield what is below `folder`, each folder before what is in it, names in the order of their code points.

    What vanishes or cannot be opened on the way is left out.

    Args:
        folder: The open folder.
        place: Where it is.
        depth: How many levels; 1 = only its own entries.
        after: Continue behind this place, given by its names below `folder`; empty = from the start.
        check: Called for each folder and now and then; raises to stop.
    """
    for number, name in enumerate(sorted(folder.names())):
        if number % CHECKED == 0:
            check()
        if (after and name < after[0]) or is_temporary(name):
            continue
        inside = after[1:] if after and name == after[0] else ()
        try:
            status = folder.look(name)
        except OSError:
            continue
        entry = Entry(place.child(name), status, folder, kind_of(status))
        if not (after and name == after[0]):
            yield entry
        if entry.kind == "folder" and depth > 1:
            yield from _inside(entry, depth - 1, inside, check)


def _inside(entry: Entry, depth: int, after: tuple[str, ...], check: Callable[[], None]) -> Generator[Entry]:
    try:
        folder = entry.folder.enter(entry.place.name)
    except (OSError, HomeportError):  # not readable, gone, or Homeport's own
        return
    with folder:
        yield from walk(folder, entry.place, depth=depth, after=after, check=check)


def matches(pattern: str, parts: tuple[str, ...]) -> bool:
    """Say whether the names `parts` fit the glob `pattern`.

    A pattern without `/` is compared with the last name; otherwise with all, where `**` stands for any number of them.
    """
    if not pattern:
        return True
    if "/" not in pattern:
        return bool(parts) and fnmatchcase(parts[-1], pattern)
    return _fits(tuple(pattern.strip("/").split("/")), parts)


def _fits(patterns: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    reached = {0}  # how many of `parts` the patterns so far can have taken
    for pattern in patterns:
        if pattern == "**":
            reached = {at for at in range(len(parts) + 1) if at >= min(reached, default=at + 1)}
        else:
            reached = {at + 1 for at in reached if at < len(parts) and fnmatchcase(parts[at], pattern)}
    return len(parts) in reached
