"""Files that a person brings: collected in parts, checked, compared with what is there, then stored as a job."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath

import anyio.to_thread
from anyio.from_thread import check_cancelled
from pydantic import BaseModel

from homeport_files.changes import Changes
from homeport_files.knowledge import Knowledge
from homeport_files.marks import tag_of
from homeport_files.reading import sha256_of
from homeport_files.walking import walk
from homeport_files.workspace import Workspace
from homeport_shared.errors import HomeportError
from homeport_shared.jobs import Jobs, Run
from homeport_shared.paths import Place

MIB = 1 << 20
MOST_PART = 2 * MIB
KIND = "upload"
MOST_FILES = 50  # in one call
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
    """How far a file is: `upload` names it until it is stored, `received` bytes of it are here."""

    upload: str
    received: int


class Piece(BaseModel):
    """A file of an upload: its name, and its content as base64 or the `upload` whose parts were sent before."""

    name: str
    content: str = ""
    upload: str = ""


class Stored(BaseModel):
    """What became of one file; `error` is empty when it was stored as the change `version`."""

    name: str
    path: str = ""
    sha256: str = ""
    version: int = 0
    upload: str = ""
    code: str = ""
    error: str = ""


class StoredFiles(BaseModel):
    """What became of each file of an upload, the job that stored them, and the one that vectorizes them."""

    job_id: str
    state: str
    files: list[Stored]
    vectorizing: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """How an upload is stored.

    Attributes:
        folder: Where to; made when it is not there.
        tags: For each file.
        category: For each file; empty = none.
        vectorize: Hand the files to the knowledge base afterwards, where there is one.
        overwrite: Replace a file that is there; its content is kept.
        duplicate: Also when a file with this content is there already.
    """

    folder: str
    tags: list[str]
    category: str = ""
    vectorize: bool = True
    overwrite: bool = False
    duplicate: bool = False


class Uploads:
    """Collects the parts of files in the server's own folder, and stores files as jobs.

    Args:
        workspace: The files.
        changes: Writes them.
        knowledge: Takes them in.
    """

    def __init__(self, workspace: Workspace, changes: Changes, knowledge: Knowledge) -> None:
        self._folder = workspace.context.folder / "uploads"
        self._workspace = workspace
        self._changes = changes
        self._knowledge = knowledge

    async def take(self, name: str, *, total: int, offset: int, content: str, upload: str) -> Uploaded:
        """Take one part of a file.

        Args:
            name: The file's name.
            total: Its size in bytes.
            offset: Where this part begins.
            content: The part as base64, at most `MOST_PART` bytes.
            upload: What the first part returned; empty for the first.

        Raises:
            HomeportError: `too_large`; `unsupported`, for a type that is refused; `conflict`, for a part out of order.
        """
        self._admit(name, total)
        upload, received = await anyio.to_thread.run_sync(self._append, upload, offset, _decoded(content))
        return Uploaded(upload=upload, received=received)

    async def store(self, files: Sequence[Piece], options: Options, jobs: Jobs) -> StoredFiles:
        """Store files as a job; each that cannot be stored says why, and the others go on.

        Raises:
            HomeportError: `invalid`, for a tag or a folder that cannot be one.
        """
        for tag in [*options.tags, *([options.category] if options.category else [])]:
            tag_of(tag)
        self._workspace.roots.place(options.folder)
        if not 0 < len(files) <= MOST_FILES:
            raise HomeportError("invalid", f"{len(files)} files were given.", f"Give 1 to {MOST_FILES} at a time.")
        staged: list[Piece] = []
        refused: list[Stored] = []
        for piece in files:
            try:
                staged.append(await self._staged(piece))
            except HomeportError as error:
                refused.append(Stored(name=piece.name, code=error.code, error=str(error)))
        params = {"files": [piece.model_dump() for piece in staged], "options": asdict(options)}
        job = await jobs.wait((await jobs.start(KIND, params)).id)
        stored = [Stored.model_validate_json(note) for note in job.notes]
        result = StoredFiles(job_id=job.id, state=job.state, files=[*stored, *refused])
        paths = [each.path for each in stored if each.path]
        if options.vectorize and paths and self._workspace.context.neighbours.there:
            result.vectorizing = (await self._knowledge.vectorize(paths, "", jobs)).id
        return result

    async def run(self, run: Run) -> None:
        """Store the files of one job; one that is stored already, by a process that was killed, is left out."""
        options = Options(**run.job.params["options"])
        stored: list[Stored] = []
        pieces = [Piece(**each) for each in run.job.params["files"]]
        for number, piece in enumerate(pieces):
            run.progress(done=number, total=len(pieces), message=piece.name)
            stored.append(await self._stored(piece, options))
        failed = sum(1 for each in stored if each.error)
        counters: dict[str, float] = {"stored": len(stored) - failed, "failed": failed}
        notes = [each.model_dump_json() for each in stored]
        run.progress(done=len(pieces), total=len(pieces), message="", counters=counters, notes=notes)

    async def _staged(self, piece: Piece) -> Piece:
        """Return a piece whose content lies in the server's own folder."""
        if piece.upload:
            return piece
        data = _decoded(piece.content)
        self._admit(piece.name, len(data))
        upload, _ = await anyio.to_thread.run_sync(self._append, "", 0, data)
        return Piece(name=piece.name, upload=upload)

    async def _stored(self, piece: Piece, options: Options) -> Stored:
        try:
            path, whole = await anyio.to_thread.run_sync(self._whole, piece, options.folder)
            if not options.duplicate:
                await self._compare(path, whole)
            change = await self._changes.put(path, whole, overwrite=options.overwrite)
        except HomeportError as error:
            return Stored(name=piece.name, upload=piece.upload, code=error.code, error=str(error))
        (self._folder / piece.upload).unlink(missing_ok=True)
        if options.tags or options.category:
            await self._workspace.tag([change.path], options.tags, [], options.category or None)
        return Stored(name=piece.name, path=change.path, sha256=change.sha256, version=change.version)

    def _whole(self, piece: Piece, folder: str) -> tuple[str, bytes]:
        """Return the path and the checked content of a file that is here whole."""
        if not _ID.fullmatch(piece.upload) or not (self._folder / piece.upload).is_file():
            raise HomeportError("not_found", f"The upload of {piece.name} has ended.", "Start it again.")
        name = PurePath(piece.name.replace("\\", "/")).name
        whole = (self._folder / piece.upload).read_bytes()
        _check(name, whole)
        return f"{folder}/{name}", whole

    def _admit(self, path: str, total: int) -> None:
        settings, name = self._workspace.settings, PurePath(path).name
        if total > settings.upload_mb * MIB:
            raise HomeportError(
                "too_large",
                f"{name} has {total / MIB:,.1f} MiB; uploads may have {settings.upload_mb} MiB.",
                "Raise upload_mb in the settings of files, or copy it into the folder.",
            )
        suffix = PurePath(name).suffix.lower()
        if suffix in settings.upload_refused:
            raise HomeportError(
                "unsupported", f"{name} is a program ({suffix}), which is not taken.", "Pack it, or copy it yourself."
            )

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
                for entry in walk(spot.enter(), spot.place, check=check_cancelled):
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


def _check(name: str, whole: bytes) -> None:
    expected = _BEGINNINGS.get(PurePath(name).suffix.lower(), ())
    head = whole[:1024]
    found = b"%PDF-" in head if expected == (b"%PDF-",) else head.startswith(expected)
    if expected and not found:
        raise HomeportError("damaged", f"{name} does not begin like a file of that name.", "Open it to check.")
