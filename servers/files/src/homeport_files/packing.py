"""Give files out whole, in parts: one as it is, several or a folder as a ZIP."""

from __future__ import annotations

import base64
import secrets
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import anyio.to_thread
from anyio.from_thread import check_cancelled
from pydantic import BaseModel

from homeport_files.reading import open_file
from homeport_files.walking import walk
from homeport_files.workspace import Workspace
from homeport_shared import paging
from homeport_shared.errors import HomeportError
from homeport_shared.folders import kind_of
from homeport_shared.paths import explained, show

MIB = 1 << 20
PART = 2 * MIB
STALE_SECONDS = 3600


class Packed(BaseModel):
    """A part of what is given out, as base64: `name` is the file's; `failed` says what could not be packed."""

    name: str
    total: int
    content: str
    next: str = ""
    failed: list[str] = []


class Packer:
    """Reads files for a page that saves them.

    Args:
        workspace: The files.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._folder = workspace.context.folder / "packed"

    async def part(self, paths: Sequence[str], cursor: str) -> Packed:
        """Return the first part of a file or of a ZIP of several, or the part that `cursor` names.

        Raises:
            HomeportError: When nothing of it can be read; `too_large`, beyond `version_mb`; `conflict`, when the file
                changed since `cursor`.
        """
        return await anyio.to_thread.run_sync(self._part, list(paths), paging.decode(cursor))

    def _part(self, paths: list[str], position: dict[str, Any]) -> Packed:
        if packed := str(position.get("packed", "")):
            file = self._folder / packed.rpartition("/")[2]
            name, failed = "files.zip", list[str]()
            if not file.is_file():
                raise HomeportError("not_found", "That download has ended.", "Start it again.")
        elif len(paths) == 1 and kind_of(self._workspace.look(paths[0])[1]) == "file":
            return self._single(paths[0], int(position.get("at", 0)), str(position.get("state", "")))
        else:
            file, failed = self._zip(paths)
            name = f"{paths[0].rstrip('/').rpartition('/')[2]}.zip" if len(paths) == 1 else "files.zip"
        at, total = int(position.get("at", 0)), file.stat().st_size
        with file.open("rb") as opened:
            opened.seek(at)
            data = opened.read(PART)
        end = at + len(data)
        following = paging.encode({"at": end, "packed": file.name}) if end < total else ""
        if not following:
            file.unlink()
        return Packed(name=name, total=total, content=base64.b64encode(data).decode(), next=following, failed=failed)

    def _single(self, path: str, at: int, state: str) -> Packed:
        opened = open_file(self._workspace.roots, path)
        with opened.file:
            if state and state != opened.state:
                raise HomeportError("conflict", f"{path} changed while it was read.", "Start again.")
            opened.file.seek(at)
            data = opened.file.read(PART)
        end, total = at + len(data), opened.status.st_size
        following = paging.encode({"at": end, "state": opened.state}) if data and end < total else ""
        return Packed(
            name=show(opened.place.name), total=total, content=base64.b64encode(data).decode(), next=following
        )

    def _zip(self, paths: list[str]) -> tuple[Path, list[str]]:
        self._folder.mkdir(parents=True, exist_ok=True)
        for left in self._folder.iterdir():
            if left.stat().st_mtime < time.time() - STALE_SECONDS:
                left.unlink(missing_ok=True)
        file, failed = self._folder / secrets.token_hex(16), list[str]()
        bytes_left = self._workspace.settings.version_mb * MIB
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in paths:
                try:
                    bytes_left = self._add(archive, path, bytes_left)
                except HomeportError as error:
                    if error.code == "too_large":
                        file.unlink()
                        raise
                    failed.append(str(error))
            if not archive.namelist() and failed:
                raise HomeportError("not_found", " ".join(failed), "List the folder.")
        return file, failed

    def _add(self, archive: zipfile.ZipFile, path: str, bytes_left: int) -> int:
        with explained(path), self._workspace.roots.find(path) as spot:
            if not spot.is_folder():
                with spot.folder.open(spot.name) as source:
                    return _copy(archive, source, show(spot.name), bytes_left)
            above = len(spot.place.parts) - (1 if spot.name else 0)
            for entry in walk(spot.enter(), spot.place, check=check_cancelled):
                if entry.kind == "file":
                    with entry.folder.open(entry.place.name) as source:
                        name = "/".join(map(show, entry.place.parts[above:]))
                        bytes_left = _copy(archive, source, name, bytes_left)
        return bytes_left


def _copy(archive: zipfile.ZipFile, source: BinaryIO, name: str, bytes_left: int) -> int:
    with archive.open(name, "w", force_zip64=True) as target:
        while chunk := source.read(MIB):
            bytes_left -= len(chunk)
            if bytes_left < 0:
                raise HomeportError("too_large", "That is too much for one download.", "Choose fewer files.")
            target.write(chunk)
    return bytes_left
