"""Bring back what the history keeps: one content, the last change of a path, or a whole set of changes."""

from __future__ import annotations

from collections.abc import Iterable

from homeport_files.changing import Changer, Done, chunks
from homeport_files.store import Version
from homeport_shared.errors import HomeportError
from homeport_shared.paths import Place, Spot, explained


class Restorer(Changer):
    """Changes files, and takes changes back; each step back is a change of its own, which can be taken back too."""

    def restore(self, path: str, version: int) -> list[Done]:
        """Bring back a content, or undo the last change when `version` is 0.

        Raises:
            HomeportError: `not_found`, when the history has no such version of this file.
        """
        with explained(path), self._roots.find(path, make=True) as spot:
            if version:
                change = next((row for row in self._ledger.trail(spot.place) if row.version == version), None)
                if change is None or not (change.after or change.before):
                    raise HomeportError(
                        "not_found", f"{spot.place} has no content of version {version}.", "See its history."
                    )
                return [self._bring_back(spot, change.after or change.before)]
            last = self._ledger.last(spot.place)
            if last is None or last.kind == "found":
                raise HomeportError("not_found", f"There is no change of {spot.place} to undo.", "See its history.")
            return self._undo(spot, last)

    def _undo(self, spot: Spot, last: Version) -> list[Done]:
        if last.kind == "moved" and last.came_from is not None:
            done = [self.move(str(last.place), str(last.came_from), overwrite=False)]
            if last.before:
                with self._roots.find(str(last.place)) as overwritten:
                    done.append(self._bring_back(overwritten, last.before))
            return done
        if last.before:
            return [self._bring_back(spot, last.before)]
        if last.kind == "deleted":
            return self._bring_folder_back(spot, last)
        return [self._delete_file(spot)]

    def _bring_back(self, spot: Spot, sha256: str) -> Done:
        status = spot.status()
        before = ""
        if status is not None:
            with self._open(spot) as file:
                before = self._keep(spot.place, file)
        if before == sha256:
            return Done(spot.place, None, sha256)
        with self._ledger.content(sha256) as content:
            spot.folder.put(spot.name, chunks(content), like=status)
            size = content.tell()
        row = self._ledger.record(self._who, "restored", spot.place, before=before, after=sha256, size=size)
        return Done(spot.place, row, sha256)

    def _bring_folder_back(self, spot: Spot, deletion: Version) -> list[Done]:
        """Bring back the `deletion.size` files whose rows come right before that of their folder."""
        spot.folder.make(spot.name)
        rows = self._ledger.below(spot.place, before=deletion.version, limit=2 * deletion.size + 1)
        gone = [row for row in rows if row.kind == "deleted" and row.before][: deletion.size]
        done: list[Done] = []
        for row in gone:
            with self._roots.find(str(row.place), make=True) as file:
                done.append(self._bring_back(file, row.before))
        return [*done, Done(spot.place, done[-1].version if done else None, "")]

    def take_back(self, changes: Iterable[Version]) -> tuple[list[Done], list[str]]:
        """Undo changes one by one, each only where its file is still what that change made of it.

        Args:
            changes: Newest first.

        Returns:
            What was done, and a sentence for each file that was left as it is; its earlier changes are left, too.
        """
        done: list[Done] = []
        left: list[str] = []
        kept: set[Place | None] = set()
        for change in changes:
            touched = {change.place, change.came_from} - {None}
            if kept & touched:
                kept |= touched
                continue
            try:
                done += self._take_back(change)
            except HomeportError as error:
                left.append(str(error))
                kept |= touched
        return done, left

    def _take_back(self, change: Version) -> list[Done]:
        if change.kind == "moved" and change.came_from is not None:
            done = [self.move(str(change.place), str(change.came_from), overwrite=False)]
            if change.before:
                with self._roots.find(str(change.place)) as overwritten:
                    done.append(self._bring_back(overwritten, change.before))
            return done
        place = str(change.place)
        with explained(place), self._roots.find(place, make=True) as spot:
            if change.kind == "deleted" and not change.before:
                if spot.name and spot.status() is None:
                    spot.folder.make(spot.name)
                return []  # of a folder: the files in it were changes of their own
            if self._content(spot) != change.after:
                raise HomeportError(
                    "conflict",
                    f"{place} was changed afterwards and is left as it is.",
                    f"Its history has the content before, see version {change.version}.",
                )
            return [self._bring_back(spot, change.before) if change.before else self._delete_file(spot)]

    def _content(self, spot: Spot) -> str:
        """Return the SHA-256 of what is at `spot`, which is kept; empty when nothing is."""
        if spot.status() is None:
            return ""
        with self._open(spot) as file:
            return self._keep(spot.place, file)
