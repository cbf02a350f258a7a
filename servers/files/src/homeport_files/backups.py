"""Copies of what is known about the files: marks, history and last use; their contents lie beside them and stay."""

from __future__ import annotations

import re
from pathlib import Path

import anyio.to_thread
from pydantic import BaseModel

from homeport_files.workspace import Workspace
from homeport_shared.errors import HomeportError

KEPT = 10
_NAME = re.compile(r"\d{8}-\d{6}(-\d{1,2})?")


class BackupRow(BaseModel):
    """One backup: its name is when it was made, in UTC, and a number when that second has several."""

    name: str
    bytes: int


class BackupRows(BaseModel):
    """The backups, newest first."""

    backups: list[BackupRow]


class Backups:
    """Backs up and restores the database of the files server.

    Args:
        workspace: The files.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._folder = workspace.context.folder / "backups"

    def rows(self) -> BackupRows:
        """Return the backups that there are."""
        files = (
            sorted(self._folder.glob("*.db"), key=lambda file: file.stem, reverse=True) if self._folder.is_dir() else []
        )
        return BackupRows(backups=[BackupRow(name=file.stem, bytes=file.stat().st_size) for file in files])

    async def make(self) -> BackupRows:
        """Make one; the oldest beyond `KEPT` go."""
        await anyio.to_thread.run_sync(lambda: self._folder.mkdir(parents=True, exist_ok=True))
        moment = self._workspace.context.clock.now().strftime("%Y%m%d-%H%M%S")
        taken = {row.name for row in self.rows().backups}
        name = next(name for name in (moment, *(f"{moment}-{n}" for n in range(1, KEPT + 1))) if name not in taken)
        await self._workspace.marks.copy_to(self._folder / f"{name}.db")
        for old in self.rows().backups[KEPT:]:
            (self._folder / f"{old.name}.db").unlink(missing_ok=True)
        return self.rows()

    async def restore(self, name: str, confirm: str) -> BackupRows:
        """Bring back marks, last use and history as they were; the present state is backed up before.

        Changes made since then stay in the files; the history of them is in the backup that is made now.

        Raises:
            HomeportError: `not_found`; `invalid`, when `confirm` does not repeat the name.
        """
        file = self._folder / f"{name}.db"
        if not _NAME.fullmatch(name) or not await anyio.Path(file).is_file():
            raise HomeportError("not_found", f"There is no backup {name[:40]!r}.", "List them: backups.")
        if confirm != name:
            raise HomeportError("invalid", f"confirm does not repeat {name}.", "Repeat the name of the backup.")
        await self.make()
        await self._workspace.marks.copy_from(Path(file))
        await self._workspace.context.changes.updated("files://tags", "files://history", "files://recent")
        return self.rows()
