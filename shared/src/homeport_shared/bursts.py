"""What happens to the files of a folder within a burst: for each path one change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

Kind = Literal["created", "changed", "deleted", "moved"]
MOST_CHANGES = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one path.

    Attributes:
        kind: What; for a file that was saved by renaming a new one over it, `changed`.
        path: Where; for `moved`, where it went.
        came_from: For `moved`, where it came from.
        folder: It is a folder.
    """

    kind: Kind
    path: Path
    came_from: Path | None = None
    folder: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """What happened below one watched folder within a burst.

    Attributes:
        folder: The watched folder.
        changes: In the order in which they began.
        complete: False = there was more; look at everything below the folder.
        there: False = the folder itself has vanished.
    """

    folder: Path
    changes: tuple[Change, ...] = ()
    complete: bool = True
    there: bool = True


class Burst:
    """The changes of one burst, each path once."""

    def __init__(self, most: int = MOST_CHANGES) -> None:
        self._most = most
        self._changes: dict[Path, Change] = {}
        self._left: dict[Path, bool] = {}  # what was moved away from there; True = a folder
        self.complete = True

    def add(self, new: Change) -> None:
        """Add what happened last."""
        if not self.complete:
            return
        if new.kind == "moved" and new.came_from is not None:
            self._move(new, new.came_from)
        else:
            known = self._changes.pop(new.path, None)
            merged = _merged(known, new)
            if merged is not None:
                self._changes[new.path] = merged
        if len(self._changes) + len(self._left) > self._most:
            self.lose()

    def lose(self) -> None:
        """Say that something was missed."""
        self._changes.clear()
        self._left.clear()
        self.complete = False

    def changes(self) -> tuple[Change, ...]:
        """Return what happened; what went along with a moved folder is left out."""
        moves = {change.path: change.came_from for change in self._changes.values() if change.came_from}

        def went_along(change: Change) -> bool:
            above = ((folder, moves[folder]) for folder in change.path.parents if folder in moves)
            return any(change.came_from == source / change.path.relative_to(folder) for folder, source in above)

        told = {path for change in self._changes.values() for path in (change.path, change.came_from)}
        gone = [Change("deleted", path, folder=folder) for path, folder in self._left.items() if path not in told]
        return (*(change for change in self._changes.values() if not went_along(change)), *gone)

    def _move(self, new: Change, source: Path) -> None:
        known = self._changes.pop(source, None)
        self._changes.pop(new.path, None)
        if known is not None and known.kind == "created":  # how an editor saves: a new file is renamed over the old one
            self._changes[new.path] = replace(new, kind="created" if new.folder else "changed", came_from=None)
            return
        self._left[source] = new.folder
        origin = known.came_from if known is not None and known.came_from is not None else source
        if origin == new.path:
            self._changes[new.path] = replace(new, kind="changed", came_from=None)
        else:
            self._changes[new.path] = replace(new, came_from=origin)


def _merged(known: Change | None, new: Change) -> Change | None:
    """Return what `known` and then `new` at the same path come to; None when nothing is left of them."""
    if known is None or known.kind == new.kind:
        return new
    if new.kind == "deleted":
        return None if known.kind == "created" else new
    if known.kind == "deleted":
        return replace(new, kind="changed") if not new.folder else None
    return known
