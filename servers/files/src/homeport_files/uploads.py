"""Files that a person brings, in parts: checked, compared with what is there, then written like any other file."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
import time
from pathlib import Path, PurePath

import anyio.to_thread
from anyio.from_thread import check_cancelled
from pydantic import BaseModel

from homeport_files.reading import sha256_of
from homeport_files.settings import FilesSettings
from homeport_files.walking import walk
from homeport_files.workspace import Workspace
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError
from homeport_shared.paths import Place

MIB = 1 << 20
MOST_PART = 2 * MIB
STALE_SECONDS = 24 * 3600
_ID = re.compile(r"[0-9a-f]{32}")
# How a file begins whose name promises this.
_BEGINNINGS = {
    ".pdf": (b"%PDF-",),
    ".png": (b"\x89PNG\r\n\x1a\n",),
    **dict.fromkeys((".jpg", ".jpeg"), (b"\xff\xd8\xff",)),
    ".gif": (b"GIF87a", b"GIF89a"),
    ".webp": (b"RIFF",),
    **dict.fromkeys((".docx", ".xlsx", ".pptx", ".zip", ".xlsm", ".docm"), (b"PK\x03\x04", b"PK\x05\x06")),
}


class Uploaded(BaseModel):
    """How far an upload is; when it is done, `path` and `sha256` say what was written and `version` its change."""

    upload: str
    received: int
    done: bool = False
    path: str = ""
    sha256: str = ""
    version: int = 0


class Uploads:
    """Collects the parts of uploads in the server's own folder.

    Args:
        context: What the server was given.
        workspace: Where the files go.
    """

    def __init__(self, context: ServerContext, workspace: Workspace) -> None:
        self._settings = context.settings(FilesSettings)
        self._folder = context.folder / "uploads"
        self._workspace = workspace

    async def take(
        self, path: str, *, total: int, offset: int, content: str, upload: str, overwrite: bool, duplicate: bool
    ) -> Uploaded:
        """Take one part; the last one writes the file.

        Args:
            path: Where it is to be.
            total: Its size in bytes.
            offset: Where this part begins.
            content: The part as base64, at most `MOST_PART` bytes.
            upload: What the first part returned; empty for the first.
            overwrite: Replace a file that is there; its content is kept.
            duplicate: Also when a file with this content is there already.

        Raises:
            HomeportError: `too_large`; `unsupported`, for a type that is refused; `conflict`, when the path is taken or
                the content is there already; `damaged`, when the content is not what the name promises.
        """
        self._admit(path, total)
        data = _decoded(content)
        upload, received = await anyio.to_thread.run_sync(self._append, upload, offset, data)
        if received < total:
            return Uploaded(upload=upload, received=received)
        file = self._folder / upload
        try:
            whole = await anyio.to_thread.run_sync(file.read_bytes)
            _check(path, whole, total)
            if not duplicate:
                await self._compare(path, whole)
            change = await self._workspace.put(path, whole, overwrite=overwrite)
        finally:
            file.unlink(missing_ok=True)
        return Uploaded(
            upload=upload, received=received, done=True, path=change.path, sha256=change.sha256, version=change.version
        )

    def _admit(self, path: str, total: int) -> None:
        name = PurePath(path).name
        if total > self._settings.upload_mb * MIB:
            raise HomeportError(
                "too_large",
                f"{name} has {total / MIB:,.1f} MiB; uploads may have {self._settings.upload_mb} MiB.",
                "Raise upload_mb in the settings of files, or copy it into the folder.",
            )
        suffix = PurePath(name).suffix.lower()
        if suffix in self._settings.upload_refused:
            raise HomeportError(
                "unsupported", f"{name} is a program ({suffix}), which is not taken.", "Pack it, or copy it yourself."
            )
        self._workspace.roots.place(path)

    def _append(self, upload: str, offset: int, data: bytes) -> tuple[str, int]:
        self._folder.mkdir(parents=True, exist_ok=True)
        if not upload:
            self._sweep()
            upload = secrets.token_hex(16)
            (self._folder / upload).touch()
        file = self._folder / upload
        if not _ID.fullmatch(upload) or not file.is_file():
            raise HomeportError("not_found", "That upload has ended.", "Start it again.")
        there = file.stat().st_size
        if offset + len(data) == there and offset < there:
            return upload, there  # the same part once more: the answer to the first got lost
        if offset != there:
            raise HomeportError("conflict", f"The next part begins at {there}, not at {offset}.", "Start again.")
        with file.open("ab") as end:
            end.write(data)
        return upload, there + len(data)

    def _sweep(self) -> None:
        """Remove what uploads left that never ended."""
        for left in self._folder.iterdir():
            if _ID.fullmatch(left.name) and left.stat().st_mtime < time.time() - STALE_SECONDS:
                left.unlink(missing_ok=True)

    async def _compare(self, path: str, whole: bytes) -> None:
        sha256 = hashlib.sha256(whole).hexdigest()
        own = self._workspace.roots.place(path)
        same = await anyio.to_thread.run_sync(self._same, sha256, len(whole), own) if whole else None
        if same is not None:
            raise HomeportError(
                "conflict",
                f"{PurePath(path).name} has the same content as {same}.",
                "Skip it, or upload it as well.",
            )

    def _same(self, sha256: str, size: int, own: Place) -> Place | None:
        """Return a file with this content, found by its size first."""
        for root in self._workspace.roots:
            if not Path(root.folder).is_dir():
                continue
            with self._workspace.roots.find(root.name) as spot:
                for entry in walk(spot.enter(), spot.place, depth=64, after=(), check=check_cancelled):
                    if entry.kind != "file" or entry.status.st_size != size or entry.place == own:
                        continue
                    try:
                        with entry.folder.open(entry.place.name) as file:
                            if sha256_of(file, check_cancelled) == sha256:
                                return entry.place
                    except (OSError, HomeportError):  # gone, or not readable: then it is no duplicate
                        continue
        return None


def _decoded(content: str) -> bytes:
    if len(content) > MOST_PART * 4 // 3 + 4:
        raise HomeportError("too_large", f"A part may have {MOST_PART // MIB} MiB.", "Send smaller parts.")
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise HomeportError("invalid", "The part is not base64.", "Encode its bytes as base64.") from error


def _check(path: str, whole: bytes, total: int) -> None:
    name = PurePath(path).name
    if len(whole) != total:
        raise HomeportError("damaged", f"{name} arrived with {len(whole)} bytes, not {total}.", "Upload it again.")
    expected = _BEGINNINGS.get(PurePath(name).suffix.lower(), ())
    head = whole[:1024]
    found = b"%PDF-" in head if expected == (b"%PDF-",) else head.startswith(expected)
    if expected and not found:
        raise HomeportError(
            "damaged",
            f"{name} does not begin like a file of that name.",
            "Open it to check.",
        )
