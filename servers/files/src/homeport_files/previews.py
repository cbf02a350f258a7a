"""What a person sees of a file without opening it: text, a table, a picture, a page, or its first bytes."""

from __future__ import annotations

import base64
import hashlib
from pathlib import PurePath
from typing import Literal

import anyio.to_thread
from pydantic import BaseModel

from homeport_files import pictures, tables
from homeport_files.reading import Opened, Part, open_file
from homeport_files.results import media_type_of
from homeport_files.settings import FilesSettings
from homeport_files.tables import View
from homeport_files.workspace import Workspace
from homeport_shared.atomic import write_atomically
from homeport_shared.errors import HomeportError
from homeport_shared.workers import Worker

MIB = 1 << 20
MOST_EDGE = 2048
HEX_ROWS = 32
THUMBNAIL = 320  # pixels of the longer side
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".ico")
_TABLES = (".csv", ".tsv", ".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
_MARKDOWN = (".md", ".markdown", ".mdx")
_LANGUAGES = {
    **{f".{name}": name for name in ("css", "go", "java", "json", "php", "ruby", "rust", "sql", "xml", "yaml", "diff")},
    **dict.fromkeys((".py", ".pyi"), "python"),
    **dict.fromkeys((".js", ".mjs", ".jsx"), "javascript"),
    **dict.fromkeys((".ts", ".tsx"), "typescript"),
    **dict.fromkeys((".sh", ".bash", ".zsh"), "bash"),
    **dict.fromkeys((".html", ".htm", ".svg", ".xsd", ".xsl", ".vue"), "xml"),
    **dict.fromkeys((".yml", ".toml", ".ini", ".cfg"), "yaml"),
    **dict.fromkeys((".jsonl", ".ipynb"), "json"),
    ".rs": "rust",
    ".rb": "ruby",
    ".patch": "diff",
}

Kind = Literal["text", "markdown", "code", "table", "picture", "page", "binary"]


class Preview(BaseModel):
    """What is shown of a file; which fields are filled follows from `kind`.

    `image` is a `data:` address; `pages` counts the pages of a PDF or the frames of a picture; `total` rows fit the
    filters; `next` is the cursor of more text; `hex` holds 16 bytes in each line.
    """

    path: str
    kind: Kind
    media_type: str
    size: int
    text: str = ""
    language: str = ""
    next: str = ""
    image: str = ""
    width: int = 0
    height: int = 0
    page: int = 1
    pages: int = 1
    columns: list[str] = []
    rows: list[list[str]] = []
    offset: int = 0
    total: int = 0
    whole: int = 0
    sheets: list[str] = []
    sheet: str = ""
    hex: list[str] = []
    warnings: list[str] = []


class Previewer:
    """Shows files; parsers run in a process of their own, with the limits of `FilesSettings`.

    Args:
        workspace: The files.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._thumbnails = workspace.context.folder / "thumbnails"
        self._worker = Worker("preview", memory_mb=workspace.settings.memory_mb)
        workspace.context.closing(self._worker.aclose)

    @property
    def _settings(self) -> FilesSettings:
        return self._workspace.settings

    async def thumbnail(self, path: str) -> bytes:
        """Return a small picture of a picture or of the first page of a PDF; made once for each content.

        Raises:
            HomeportError: `unsupported`, for other files; as for `preview`.
        """
        opened = await anyio.to_thread.run_sync(open_file, self._workspace.roots, path)
        with opened.file:
            key = hashlib.sha256(f"{opened.place}\n{opened.state}".encode("utf-8", "surrogateescape")).hexdigest()
            kept = self._thumbnails / key[:2] / key
            if await anyio.to_thread.run_sync(kept.is_file):
                return await anyio.to_thread.run_sync(kept.read_bytes)
            suffix, seconds = PurePath(opened.place.name).suffix.lower(), self._settings.seconds
            if suffix not in (*_PICTURES, ".pdf"):
                raise HomeportError("unsupported", f"{path} has no thumbnail.", "Preview it instead.")
            data, name = await self._data(opened), opened.place.name
            if suffix == ".pdf":
                made = await self._worker.call(pictures.page, data, name, 1, THUMBNAIL, timeout=seconds)
            else:
                made = await self._worker.call(pictures.picture, data, name, THUMBNAIL, timeout=seconds)
        await anyio.to_thread.run_sync(lambda: kept.parent.mkdir(parents=True, exist_ok=True))
        await anyio.to_thread.run_sync(write_atomically, kept, made.data)
        return made.data

    async def preview(self, path: str, *, page: int, edge: int, view: View, cursor: str) -> Preview:
        """Return what is shown of the file at `path`.

        Args:
            path: The file.
            page: Of a PDF, from 1.
            edge: The longest side of a picture, in pixels.
            view: The rows of a table.
            cursor: `next` of the text before.

        Raises:
            HomeportError: When it cannot be opened, is damaged, or is beyond a limit.
        """
        opened = await anyio.to_thread.run_sync(open_file, self._workspace.roots, path)
        with opened.file:
            head = await anyio.to_thread.run_sync(opened.file.read, HEX_ROWS * 16)
            suffix, edge = PurePath(opened.place.name).suffix.lower(), min(max(edge, 16), MOST_EDGE)
            if head and suffix in _PICTURES:
                return await self._picture(opened, edge)
            if b"%PDF-" in head:
                return await self._page(opened, page, edge)
            if head and suffix in _TABLES:
                return await self._table(opened, view)
        return await self._text(opened, head, suffix, cursor)

    async def _picture(self, opened: Opened, edge: int) -> Preview:
        data = await self._data(opened)
        made = await self._worker.call(pictures.picture, data, opened.place.name, edge, timeout=self._settings.seconds)
        return self._shown(opened, "picture").model_copy(update=_image(made))

    async def _page(self, opened: Opened, number: int, edge: int) -> Preview:
        data = await self._data(opened)
        made = await self._worker.call(
            pictures.page, data, opened.place.name, number, edge, timeout=self._settings.seconds
        )
        return self._shown(opened, "page").model_copy(update={**_image(made), "page": number})

    async def _table(self, opened: Opened, view: View) -> Preview:
        data = await self._data(opened)
        name, seconds = opened.place.name, self._settings.seconds
        found = await self._worker.call(tables.rows, data, name, opened.state, view, timeout=seconds)
        return self._shown(opened, "table").model_copy(
            update={
                "columns": found.columns,
                "rows": found.rows,
                "offset": view.offset,
                "total": found.total,
                "whole": found.whole,
                "sheets": found.sheets,
                "sheet": found.sheet,
            }
        )

    async def _text(self, opened: Opened, head: bytes, suffix: str, cursor: str) -> Preview:
        try:
            read = await self._workspace.read(str(opened.place), Part(cursor=cursor), "auto")
        except HomeportError as error:
            if error.code not in {"unsupported", "damaged"}:
                raise
            shown = self._shown(opened, "binary")
            return shown.model_copy(update={"hex": hex_lines(head), "warnings": [str(error)]})
        language = _LANGUAGES.get(suffix, "")
        converted = suffix in (".docx", ".docm", ".pptx", ".eml") or suffix in _MARKDOWN
        kind = "markdown" if converted else "code" if language else "text"
        update = {"text": read.text, "next": read.next, "language": language, "warnings": read.warnings}
        return self._shown(opened, kind).model_copy(update=update)

    async def _data(self, opened: Opened) -> bytes:
        limit = self._settings.document_mb * MIB
        if opened.status.st_size > limit:
            raise HomeportError(
                "too_large",
                f"{opened.place} has {opened.status.st_size // MIB} MiB; previews are made up to {limit // MIB} MiB.",
                "Raise document_mb in the settings of files.",
            )
        opened.file.seek(0)
        return await anyio.to_thread.run_sync(opened.file.read, limit)

    def _shown(self, opened: Opened, kind: Kind) -> Preview:
        media_type = media_type_of(opened.place.name, "file")
        return Preview(path=str(opened.place), kind=kind, media_type=media_type, size=opened.status.st_size)


def hex_lines(data: bytes) -> list[str]:
    """Return 16 bytes in each line: offset, hexadecimal, printable ASCII."""
    lines: list[str] = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        printed = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{at:08x}  {row.hex(' '):<47}  {printed}")
    return lines


def _image(made: pictures.Picture) -> dict[str, object]:
    address = f"data:{made.media_type};base64,{base64.b64encode(made.data).decode()}"
    return {"image": address, "width": made.width, "height": made.height, "pages": made.pages}
