"""Change files so that nothing is lost: each content that goes is kept first, and each change can be undone.

Every function here runs under the ledger's lock, so two processes never change files at the same time. The order is
always: keep what is there, change the file in one step, record it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import unicodedata
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import BinaryIO

from homeport_files import edits
from homeport_files.edits import Edit
from homeport_files.store import Ledger, Version
from homeport_files.walking import walk
from homeport_shared.documents import Decoded, decode
from homeport_shared.errors import HomeportError
from homeport_shared.folders import kind_of
from homeport_shared.identity import Identity
from homeport_shared.paths import Place, Roots, Spot, explained

CHUNK = 1 << 20
MIB = 1 << 20
MOST_FILES = 10_000
_NEW = Decoded("", "utf-8", "", b"")


@dataclass(frozen=True, slots=True)
class Done:
    """What a change did.

    Attributes:
        place: Where.
        version: Its row in the history; None for a dry run or when nothing had to be changed.
        sha256: The content after it.
        diff: What differs, for an edit.
    """

    place: Place
    version: Version | None
    sha256: str
    diff: str = ""


class Changer:
    """Changes files below the roots on behalf of somebody.

    Args:
        roots: The folders that may be used.
        ledger: The history, its lock held.
        who: Who makes the change.
        text_limit: The largest file that is edited, in bytes.
        version_limit: The largest file that is replaced or deleted, in bytes.
    """

    def __init__(self, roots: Roots, ledger: Ledger, who: Identity, *, text_limit: int, version_limit: int) -> None:
        self._roots = roots
        self._ledger = self.ledger = ledger
        self._who = who
        self._text_limit = text_limit
        self._version_limit = version_limit

    def write(
        self, path: str, encode: Callable[[Decoded | None], bytes], *, overwrite: bool, if_sha256: str = ""
    ) -> Done:
        """Make or replace the file at `path`.

        Args:
            path: The file; folders on the way are made.
            encode: Returns the new content; gets how the old one is written, None when there is none or it is no text.
            overwrite: Replace a file that is there.
            if_sha256: Replace it only when this is its content.

        Raises:
            HomeportError: `conflict`, when it is there, or is not what `if_sha256` says.
        """
        with explained(path), self._roots.find(path, make=True) as spot:
            status = spot.status()
            if status is None:
                _require_new(spot)
                _require_sha256(spot.place, "", if_sha256)
                return self._put(spot, encode(None), None, before="")
            if not (overwrite or if_sha256):
                raise HomeportError(
                    "conflict", f"{spot.place} is there already.", "Set overwrite to replace it; its content is kept."
                )
            with self._open(spot) as file:
                before = self._keep(spot.place, file)
                _require_sha256(spot.place, before, if_sha256)
                data = encode(self._decoded(file))
            return self._put(spot, data, status, before=before)

    def edit(self, path: str, changes: list[Edit], *, if_sha256: str, dry_run: bool) -> Done:
        """Replace texts in the file at `path`; every byte outside of them stays.

        Raises:
            HomeportError: `conflict`, when it is not what `if_sha256` says; `unsupported`, when it is no text;
                `too_large`; what `edits.apply` and `edits.encoded` raise.
        """
        with explained(path), self._roots.find(path) as spot:
            status = spot.status()
            with self._open(spot) as file:
                data = file.read(self._text_limit + 1)
                if len(data) > self._text_limit:
                    raise HomeportError(
                        "too_large", f"{spot.place} is too large to edit.", f"Up to {self._text_limit // MIB} MiB work."
                    )
                _require_sha256(spot.place, hashlib.sha256(data).hexdigest(), if_sha256)
                written = decode(data, str(spot.place))
                text = edits.apply(written.text, changes, written.newline)
                after = edits.encoded(text, written, str(spot.place))
                before = hashlib.sha256(data).hexdigest() if dry_run else self._keep(spot.place, file)
            diff = edits.diff(written.text, text, str(spot.place))
            if dry_run:
                return Done(spot.place, None, before, diff)
            done = self._put(spot, after, status, before=before)
            return Done(done.place, done.version, done.sha256, diff)

    def delete(self, path: str, *, recursive: bool) -> list[Done]:
        """Delete a file, or a folder with all that is in it; every content is kept.

        Raises:
            HomeportError: `conflict`, for a folder that is not empty without `recursive`.
        """
        with explained(path), self._roots.find(path, follow=False) as spot:
            if spot.is_folder():
                return self._delete_folder(spot, recursive=recursive)
            return [self._delete_file(spot)]

    def move(self, source: str, target: str, *, overwrite: bool) -> Done:
        """Move or rename a file or folder.

        A file that somebody else makes at `target` between the check and the rename, some microseconds, is replaced.

        Raises:
            HomeportError: `conflict`, when there is something at `target`; `unsupported`, for a folder that would go to
                another disk.
        """
        with explained(source), self._roots.find(source, follow=False) as old:
            status = old.status()
            if status is None and old.name:
                raise FileNotFoundError(errno.ENOENT, "missing", source)
            if status is None or kind_of(status) not in {"file", "folder"}:
                raise HomeportError("unsupported", f"{old.place} cannot be moved.", "Move a file or a folder.")
            with explained(target), self._roots.find(target, make=True, follow=False) as new:
                before = self._make_way(old, new, overwrite=overwrite)
                self._rename(old, new)
                row = self._ledger.record(
                    self._who, "moved", new.place, came_from=old.place, before=before, size=status.st_size
                )
                return Done(new.place, row, row.after)

    def _delete_file(self, spot: Spot) -> Done:
        status = spot.status()
        with self._open(spot) as file:
            before = self._keep(spot.place, file)
            size = file.tell()
        spot.folder.require_unchanged(spot.name, status)
        spot.folder.remove(spot.name)
        spot.folder.sync()
        row = self._ledger.record(self._who, "deleted", spot.place, before=before, size=size)
        return Done(spot.place, row, "")

    def _delete_folder(self, spot: Spot, *, recursive: bool) -> list[Done]:
        if not spot.name:
            raise HomeportError("denied", f"{spot.place} is a root and is not deleted.", "Remove the root instead.")
        inside = list(walk(spot.enter(), spot.place, check=lambda: None))
        if inside and not recursive:
            raise HomeportError("conflict", f"The folder {spot.place} is not empty.", "Set recursive to delete it all.")
        files = [entry.place for entry in inside if entry.kind == "file"]
        odd = next((entry.place for entry in inside if entry.kind not in {"file", "folder"}), None)
        if odd is not None or len(files) > MOST_FILES:
            what = f"holds {odd}, which cannot be kept" if odd else f"holds more than {MOST_FILES} files"
            raise HomeportError("unsupported", f"The folder {spot.place} {what}.", "Delete its parts by themselves.")
        done: list[Done] = []
        for place in files:
            with self._roots.find(str(place), follow=False) as file:
                done.append(self._delete_file(file))
        for entry in reversed(inside):
            if entry.kind == "folder":
                with self._roots.find(str(entry.place), follow=False) as folder:
                    folder.folder.drop(folder.name)
        spot.folder.drop(spot.name)
        row = self._ledger.record(self._who, "deleted", spot.place, size=len(files))
        return [*done, Done(spot.place, row, "")]

    def _make_way(self, old: Spot, new: Spot, *, overwrite: bool) -> str:
        """Check that `old` may go to `new`; keep the file that it replaces and return its SHA-256."""
        if new.place.root == old.place.root and new.place.parts[: len(old.place.parts)] == old.place.parts:
            raise HomeportError("invalid", f"{old.place} cannot be moved into itself.", "Choose another place.")
        status = new.status()
        if status is None and new.name:
            sibling = old.place.parts[:-1] == new.place.parts[:-1] and old.place.root == new.place.root
            _require_new(new, renamed=old.name if sibling else "")
            return ""
        if not overwrite or status is None or kind_of(status) != "file" or old.is_folder():
            raise HomeportError(
                "conflict", f"{new.place} is there already.", "Give a path that is free, or for a file set overwrite."
            )
        with self._open(new) as file:
            return self._keep(new.place, file)

    def _rename(self, old: Spot, new: Spot) -> None:
        try:
            old.folder.move(old.name, new.folder, new.name)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            if old.is_folder():
                raise HomeportError(
                    "unsupported", f"{old.place} and {new.place} are on different disks.", "Move its files one by one."
                ) from error
            with self._open(old) as file:
                new.folder.put(new.name, chunks(file), like=new.status())
            old.folder.remove(old.name)

    def _open(self, spot: Spot) -> BinaryIO:
        if not spot.name:
            raise HomeportError("unsupported", f"{spot.place} is a folder, not a file.", "Name a file in it.")
        file = spot.folder.open(spot.name)
        size = file.seek(0, 2)
        file.seek(0)
        if size <= self._version_limit:
            return file
        file.close()
        raise HomeportError(
            "too_large",
            f"{spot.place} has {size // MIB} MiB; a change keeps the old content, up to {self._version_limit // MIB}.",
            "Change it with another program, or raise version_mb in the settings of files.",
        )

    def _keep(self, place: Place, file: BinaryIO) -> str:
        """Keep the content of `file` and record it when the history does not know it; return its SHA-256."""
        sha256, size = self._ledger.keep(chunks(file))
        if self._ledger.known(place) != sha256:
            self._ledger.record(Identity(), "found", place, after=sha256, size=size)
        return sha256

    def _decoded(self, file: BinaryIO) -> Decoded | None:
        file.seek(0)
        data = file.read(self._text_limit + 1)
        try:
            return decode(data) if len(data) <= self._text_limit else None
        except HomeportError:
            return None

    def _put(self, spot: Spot, data: bytes, status: os.stat_result | None, *, before: str) -> Done:
        after, size = self._ledger.keep([data])
        if status is not None and after == before:
            return Done(spot.place, None, after)
        spot.folder.sweep()
        spot.folder.put(spot.name, [data], like=status)
        kind = "changed" if status is not None else "created"
        row = self._ledger.record(self._who, kind, spot.place, before=before, after=after, size=size)
        return Done(spot.place, row, after)


def make_folder(roots: Roots, path: str) -> Place:
    """Make an empty folder, and those on the way to it.

    Raises:
        HomeportError: `conflict`, when there is something of that name, in any case of its letters.
    """
    with explained(path), roots.find(path, make=True, follow=False) as spot:
        if spot.status() is not None or not spot.name:
            raise HomeportError("conflict", f"{spot.place} is there already.", "Choose another name.")
        _require_new(spot)
        spot.folder.make(spot.name)
        spot.folder.sync()
        return spot.place


def text_encoder(content: str, encoding: str, place: str) -> Callable[[Decoded | None], bytes]:
    """Return the `encode` of `Changer.write` for a text.

    Args:
        content: The new text.
        encoding: Empty = as the old content is written, with its byte order mark and line ends; UTF-8 for a new file.
        place: What to call the file in errors.

    Raises:
        HomeportError: `invalid`, when there is no such encoding.
    """
    try:
        like = Decoded("", encoding, "", b"") if encoding else None
        "".encode(encoding or "utf-8")
    except (LookupError, ValueError) as error:  # the latter for a name with a NUL in it
        raise HomeportError("invalid", f"There is no encoding {encoding!r}.", "Use utf-8, or base64.") from error

    def encode(old: Decoded | None) -> bytes:
        written = like or old or _NEW
        return edits.encoded(edits.with_newline(content, written.newline), written, place)

    return encode


def chunks(file: BinaryIO) -> Generator[bytes]:
    """Yield the whole content of `file` in parts."""
    file.seek(0)
    while chunk := file.read(CHUNK):
        yield chunk


def _require_sha256(place: Place, now: str, wanted: str) -> None:
    if wanted and now != wanted.lower():
        raise HomeportError(
            "conflict", f"{place} is not the content that if_sha256 names any more.", "Read it again, then retry."
        )


def _require_new(spot: Spot, renamed: str = "") -> None:
    """Refuse a name that other systems take for the same as one that is there.

    Args:
        spot: Where something new is to be.
        renamed: The name that goes away by it.

    Raises:
        HomeportError: `conflict`.
    """
    if not spot.name:
        raise HomeportError("conflict", f"{spot.place} is a root, which is a folder.", "Give a path below it.")
    folded = _folded(spot.name)
    for name in spot.folder.names():
        if name not in {spot.name, renamed} and _folded(name) == folded:
            raise HomeportError(
                "conflict", f"{name!r} is there already and differs from {spot.name!r} only in case.", "Use that name."
            )


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
