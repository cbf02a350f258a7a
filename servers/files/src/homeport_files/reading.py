"""Read files: windows of text whatever the size, documents as text, bytes as base64."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import anyio.to_thread
from anyio.from_thread import check_cancelled

from homeport_files.results import Text, media_type_of, uri_of
from homeport_files.settings import FilesSettings
from homeport_files.windows import CHUNK, Position, find_line, read_window
from homeport_shared import paging
from homeport_shared.documents import Decoded, Document, decode, extract_bytes
from homeport_shared.errors import HomeportError
from homeport_shared.paths import Place, Roots, explained
from homeport_shared.workers import Worker

Format = Literal["auto", "text", "markdown", "base64"]
MIB = 1 << 20
MOST_BYTES = 256 * 1024
_SAMPLE = 256 * 1024
_CONVERTED = (".html", ".htm", ".xhtml", ".eml")
_STARTS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a file is wanted.

    Attributes:
        start_line: From 1; not used with a cursor.
        max_lines: The most lines.
        max_bytes: The most bytes of the file.
        cursor: Where the part before ended; empty = at `start_line`.
    """

    start_line: int = 1
    max_lines: int = 2000
    max_bytes: int = 64 * 1024
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """A regular file that is open for reading: what it is, and its handle."""

    place: Place
    status: os.stat_result
    file: BinaryIO

    @property
    def state(self) -> str:
        """A mark that changes with the content."""
        return f"{self.status.st_ino}:{self.status.st_size}:{self.status.st_mtime_ns}"


def open_file(roots: Roots, path: str) -> Opened:
    """Open the file at a user's `path`; the caller closes it.

    Raises:
        HomeportError: When it is outside the roots, missing, no regular file or not readable.
    """
    with explained(path), roots.find(path) as spot:
        if not spot.name:
            raise HomeportError("unsupported", f"{path!r} is a folder, not a file.", "List it instead.")
        file = spot.folder.open(spot.name)
        return Opened(spot.place, os.fstat(file.fileno()), file)


def sha256_of(file: BinaryIO, check: Callable[[], None] = lambda: None) -> str:
    """Return the SHA-256 of a whole file in hexadecimal."""
    digest = hashlib.sha256()
    file.seek(0)
    while chunk := file.read(CHUNK):
        check()
        digest.update(chunk)
    return digest.hexdigest()


def decoded_start(opened: Opened, limit: int) -> Decoded:
    """Find out how a text file is written: from all of it up to `limit` bytes, from its first lines beyond that.

    Raises:
        HomeportError: `unsupported`, when it is not text.
    """
    opened.file.seek(0)
    data = opened.file.read(limit + 1)
    if len(data) > limit:
        head = data[:_SAMPLE]
        data = head[: head.rfind(b"\n") + 1] or head
        data = data[: len(data) - len(data) % 4] if b"\0" in data else data
    try:
        return decode(data, str(opened.place))
    except HomeportError as error:
        if error.code != "unsupported":
            raise
        raise HomeportError(error.code, error.message, "Read it with format base64.") from error


class Reader:
    """Reads files below the roots.

    Args:
        roots: The folders that may be used.
        settings: Returns the limits that hold now.
    """

    def __init__(self, roots: Roots, settings: Callable[[], FilesSettings]) -> None:
        self._roots = roots
        self._current = settings
        self._worker = Worker("document reader", memory_mb=settings().memory_mb)
        self._last: tuple[str, Document] | None = None

    async def read(self, path: str, part: Part, form: Format) -> tuple[Place, Text]:
        """Return a part of the file at `path`, and where it is after all links.

        Raises:
            HomeportError: When it cannot be opened or is of another format; `conflict`, when it changed since `cursor`.
        """
        opened = await anyio.to_thread.run_sync(open_file, self._roots, path)
        with opened.file:
            head = await anyio.to_thread.run_sync(opened.file.read, 1024)
            if form == "markdown" or (form == "auto" and _is_document(opened.place.name, head)):
                document = await self._document(opened)
                return opened.place, await anyio.to_thread.run_sync(self._of_document, opened, document, part)
            read = self._bytes if form == "base64" else self._text
            return opened.place, await anyio.to_thread.run_sync(read, opened, part)

    async def metadata(self, path: str) -> dict[str, Any]:
        """Return what the format of a document says about it, such as `author` or `pages`; empty for other files.

        Raises:
            HomeportError: As for `read`.
        """
        opened = await anyio.to_thread.run_sync(open_file, self._roots, path)
        with opened.file:
            head = await anyio.to_thread.run_sync(opened.file.read, 1024)
            if not _is_document(opened.place.name, head):
                return {}
            document = await self._document(opened)
            return {"title": document.title, **document.metadata}

    async def aclose(self) -> None:
        """End the process that reads documents."""
        await self._worker.aclose()

    @property
    def _settings(self) -> FilesSettings:
        return self._current()

    async def _document(self, opened: Opened) -> Document:
        if self._last is not None and self._last[0] == opened.state:
            return self._last[1]
        limit = self._settings.document_mb * MIB
        opened.file.seek(0)
        data = await anyio.to_thread.run_sync(opened.file.read, limit + 1)
        if len(data) > limit:
            raise HomeportError(
                "too_large",
                f"{opened.place} has {opened.status.st_size // MIB} MiB; documents are read up to {limit // MIB} MiB.",
                "Raise document_mb in the settings of files.",
            )
        name = os.fsencode(opened.place.name).decode("utf-8", "replace")
        document = await self._worker.call(extract_bytes, data, name, timeout=self._settings.seconds)
        self._last = (opened.state, document)
        return document

    def _of_document(self, opened: Opened, document: Document, part: Part) -> Text:
        """Return a part of the text of a document; its lines are those of the text."""
        file = io.BytesIO(document.text.encode())
        written = Decoded("", "utf-8", "\n", b"")
        text = self._window(opened, file, written, part)
        return text.model_copy(
            update={"media_type": document.media_type, "warnings": [*text.warnings, *document.warnings]}
        )

    def _text(self, opened: Opened, part: Part) -> Text:
        return self._window(opened, opened.file, decoded_start(opened, self._settings.text_mb * MIB), part)

    def _window(self, opened: Opened, file: BinaryIO, written: Decoded, part: Part) -> Text:
        start = _start(opened, part)
        if start is None:
            start = find_line(file, written.encoding, part.start_line, len(written.bom), check_cancelled)
        if start is None:
            raise HomeportError(
                "not_found", f"{opened.place} has fewer than {part.start_line} lines.", "Start at an earlier line."
            )
        most = min(part.max_bytes, MOST_BYTES)
        window = read_window(file, written.encoding, start, max_lines=part.max_lines, max_bytes=most)
        ended = window.text.endswith("\n")
        return Text(
            path=str(opened.place),
            uri=uri_of(opened.place),
            text=window.text,
            media_type=media_type_of(opened.place.name, "file"),
            encoding=written.encoding,
            newline=written.newline,
            sha256=self._sha256(opened),
            total_bytes=opened.status.st_size,
            start_line=start.line,
            end_line=start.line + window.text.count("\n") - (1 if ended else 0),
            next=_cursor(opened, window.end) if window.end else "",
            truncated=window.end is not None,
            warnings=[f"Some bytes are not {written.encoding} and are shown as \ufffd."] if window.lossy else [],
        )

    def _bytes(self, opened: Opened, part: Part) -> Text:
        start = _start(opened, part) or Position(0, 1)
        opened.file.seek(start.offset)
        data = opened.file.read(min(part.max_bytes, MOST_BYTES))
        end = start.offset + len(data)
        left = bool(opened.file.read(1))
        return Text(
            path=str(opened.place),
            uri=uri_of(opened.place),
            text=base64.b64encode(data).decode(),
            media_type=media_type_of(opened.place.name, "file"),
            encoding="base64",
            sha256=self._sha256(opened),
            total_bytes=opened.status.st_size,
            start_line=1,
            end_line=1,
            next=_cursor(opened, Position(end, 1)) if left else "",
            truncated=left,
            warnings=[],
        )

    def _sha256(self, opened: Opened) -> str:
        """Return the SHA-256; empty for a file beyond the limit, which cannot be edited anyway."""
        if opened.status.st_size > self._settings.text_mb * MIB:
            return ""
        return sha256_of(opened.file, check_cancelled)


def _is_document(name: str, head: bytes) -> bool:
    return b"%PDF-" in head or head.startswith(_STARTS) or name.lower().endswith(_CONVERTED)


def _cursor(opened: Opened, position: Position) -> str:
    return paging.encode({"at": position.offset, "line": position.line, "state": opened.state})


def _start(opened: Opened, part: Part) -> Position | None:
    """Return where the cursor points; None without one."""
    position = paging.decode(part.cursor)
    if not position:
        return None
    if position.get("state") != opened.state:
        raise HomeportError(
            "conflict", f"{opened.place} changed since that cursor was given.", "Read it again from the start."
        )
    return Position(int(position["at"]), int(position["line"]))
