"""Office documents into the workspace, by the path of any other write, so with its versions, conflicts and undo."""

from __future__ import annotations

from functools import partial
from pathlib import PurePath
from typing import Literal

import anyio.to_thread

from homeport_files.office.reports import write_report
from homeport_files.office.workbooks import Sheet, write_workbook
from homeport_files.parts import Parts
from homeport_files.reading import open_file, sha256_of
from homeport_files.results import Change
from homeport_files.settings import FilesSettings
from homeport_shared.errors import HomeportError
from homeport_shared.workers import Worker

Mode = Literal["create", "overwrite", "edit"]
MIB = 1 << 20


class OfficeWriter:
    """Writes documents in a process of its own, as the ones it changes come from anywhere.

    Args:
        parts: Where they are written.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._worker = Worker("document writer", memory_mb=self._settings.memory_mb)
        parts.context.closing(self._worker.aclose)

    @property
    def _settings(self) -> FilesSettings:
        return self._parts.workspace.settings

    async def write(
        self,
        path: str,
        *,
        markdown: str,
        sheets: list[Sheet],
        styles: dict[str, str],
        replace: dict[str, str],
        mode: Mode,
        if_sha256: str,
    ) -> Change:
        """Make or change the document at `path`; its suffix says which kind.

        Raises:
            HomeportError: `unsupported`, for another suffix; `invalid`, when the content is not of that kind;
                `conflict`, as for any write.
        """
        name = PurePath(path).name
        word = _kind(name, markdown=markdown, sheets=sheets, replace=replace)
        old, before = await self._read(path) if mode == "edit" else (None, "")
        if before and if_sha256 and before != if_sha256.lower():
            raise HomeportError("conflict", f"{path} is not what if_sha256 names any more.", "Read it again.")
        if word:
            work = partial(self._worker.call, write_report, old, markdown, styles, replace, name)
        else:
            work = partial(self._worker.call, write_workbook, old, sheets, name)
        data = await work(timeout=self._settings.seconds)
        return await self._parts.changes.put(path, data, overwrite=mode != "create", if_sha256=before or if_sha256)

    async def _read(self, path: str) -> tuple[bytes, str]:
        def read() -> tuple[bytes, str]:
            opened = open_file(self._parts.workspace.roots, path)
            with opened.file:
                if opened.status.st_size > self._settings.document_mb * MIB:
                    raise HomeportError("too_large", f"{path} is too large to be changed.", "Raise document_mb.")
                return opened.file.read(), sha256_of(opened.file, lambda: None)

        return await anyio.to_thread.run_sync(read)


def _kind(name: str, *, markdown: str, sheets: list[Sheet], replace: dict[str, str]) -> bool:
    """Say whether `name` is a Word file, after a look whether the content fits."""
    suffix = PurePath(name).suffix.lower()
    if suffix not in (".docx", ".xlsx", ".xlsm"):
        raise HomeportError("unsupported", f"{name!r} is neither .docx nor .xlsx.", "Use one of them, or write.")
    word = suffix == ".docx"
    if (word and sheets) or (not word and (markdown or replace)):
        raise HomeportError(
            "invalid", f"{name!r} takes {'markdown and replace' if word else 'sheets'} only.", "Leave the rest out."
        )
    if not (markdown or sheets or replace):
        raise HomeportError("invalid", f"There is nothing to write into {name!r}.", "Give markdown or sheets.")
    return word
