"""Go through a tree of open folders in a fixed order, so that a list can be continued where it stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from homeport_shared.errors import HomeportError
from homeport_shared.folders import Folder, is_temporary, kind_of
from homeport_shared.paths import Place

DEEPEST = 64  # levels of folders
CHECKED = 64  # entries between two looks whether to stop
Names = Callable[[Place], Mapping[str, str]]


class Entry(NamedTuple):
    """Something in a folder while the walk is there.

    Attributes:
        folder: The open folder that holds it.
        kind: `file`, `folder`, `link` or `other`.
        seen: Its status, when it was looked at.
    """

    place: Place
    folder: Folder
    kind: str
    seen: os.stat_result | None

    @property
    def status(self) -> os.stat_result:
        """Its status; when it was not looked at before, it may be gone by now."""
        return self.seen or self.folder.look(self.place.name)


def walk(
    folder: Folder,
    place: Place,
    *,
    depth: int = DEEPEST,
    after: tuple[str, ...] = (),
    check: Callable[[], None],
    names: Names | None = None,
    skip: Callable[[str], bool] | None = None,
    look: bool = True,
) -> Generator[Entry]:
    """Yield what is below `folder`, each folder before what is in it, names in the order of their code points.

    What vanishes or cannot be opened on the way is left out.

    Args:
        folder: The open folder.
        place: Where it is.
        depth: How many levels; 1 = only its own entries.
        after: Continue behind this place, given by its names below `folder`; empty = from the start.
        check: Called for each folder and now and then; raises to stop.
        names: Returns the names in a folder that are wanted, with their kinds; None = all.
        skip: Says which names are left out, with all that is below them; None = none.
        look: Look at each entry; False = its kind is all that has to be known.
    """
    kinds = names(place) if names else folder.kinds()
    for number, name in enumerate(sorted(kinds)):
        if number % CHECKED == 0:
            check()
        if (after and name < after[0]) or is_temporary(name) or (skip and skip(name)):
            continue
        begun = bool(after) and name == after[0]
        seen, kind = None, kinds[name]
        if look:
            try:
                seen = folder.look(name)
            except OSError:
                continue
            kind = kind_of(seen)
        entry = Entry(place.child(name), folder, kind, seen)
        if not begun:
            yield entry
        if kind == "folder" and depth > 1:
            try:
                inner = folder.enter(name)
            except (OSError, HomeportError):  # not readable, gone, or Homeport's own
                continue
            rest = after[1:] if begun else ()
            with inner:
                yield from walk(
                    inner, entry.place, depth=depth - 1, after=rest, check=check, names=names, skip=skip, look=look
                )


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
