"""What a set of changes comes to: for each file what it was before the first of them and after the last."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from homeport_files import edits
from homeport_files.store import Ledger, Version
from homeport_shared.documents import decode
from homeport_shared.errors import HomeportError
from homeport_shared.paths import Place

LARGEST_DIFF = 1 << 20  # bytes of a content that is compared line by line


@dataclass(frozen=True, slots=True)
class Net:
    """What a set did to one file or folder.

    Attributes:
        place: Where it is now, or was before it was deleted.
        came_from: Where it was before the set, when that is another place.
        before: SHA-256 before the set; empty = there was none, or it was only moved.
        after: SHA-256 after it; empty = it is gone, or was only moved.
        folder: It is an empty folder that was deleted.
    """

    place: Place
    came_from: Place | None = None
    before: str = ""
    after: str = ""
    folder: bool = False

    @property
    def kind(self) -> str:
        """What was done, in one word."""
        if self.came_from is not None:
            return "moved"
        if not self.after:
            return "deleted"
        return "changed" if self.before else "created"


def net(changes: Iterable[Version]) -> list[Net]:
    """Return what `changes`, oldest first, come to; files that end as they began are left out."""
    known: dict[Place, Net] = {}
    for change in changes:
        if change.kind == "moved" and change.came_from is not None:
            for place in [place for place in known if _below(place, change.came_from)]:
                moved = change.place.parts + place.parts[len(change.came_from.parts) :]
                old = known.pop(place)
                new = Place(change.place.root, moved)
                known[new] = replace(old, place=new, came_from=None if not old.before else old.came_from or old.place)
            if change.place not in known:
                known[change.place] = Net(change.place, change.came_from)
        elif change.kind == "deleted" and not change.before:
            if not change.size:  # else the files in it were changes of their own
                known[change.place] = Net(change.place, folder=True)
        else:
            old = known.get(change.place) or Net(change.place, before=change.before)
            known[change.place] = replace(old, after=change.after)
    return [each for each in known.values() if each.came_from or each.folder or each.before != each.after]


def chosen(changes: Iterable[Version], places: list[Place]) -> list[Version]:
    """Return those of `changes`, newest first, that concern what is at or below `places` now."""
    wanted = list(places)
    found: list[Version] = []
    for change in changes:
        if any(_below(change.place, place) for place in wanted):
            found.append(change)
            if change.came_from is not None:
                wanted.append(change.came_from)
    return found


def _below(place: Place, folder: Place) -> bool:
    return place.root == folder.root and place.parts[: len(folder.parts)] == folder.parts


def diff_of(ledger: Ledger, change: Net) -> str:
    """Return the unified diff of what a set did to a text file; for other contents a sentence; empty for a move."""
    if not (change.before or change.after):
        return ""
    try:
        before, after = (_text(ledger, sha256) for sha256 in (change.before, change.after))
    except HomeportError:
        return "Not text, or too long to be compared."
    return edits.diff(before, after, str(change.place))


def _text(ledger: Ledger, sha256: str) -> str:
    if not sha256:
        return ""
    with ledger.content(sha256) as content:
        data = content.read(LARGEST_DIFF + 1)
    if len(data) > LARGEST_DIFF:
        raise HomeportError("too_large", "The content is too long to be compared.")
    return decode(data).text
