"""The settings of the knowledge base as a person changes them: checked before they apply, and from then on in force."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio.to_thread

from homeport_rag.meaning import Meaning
from homeport_rag.settings import RagSettings
from homeport_rag.sources import folder_at, locate
from homeport_rag.watching import Watching
from homeport_shared import redaction, settings
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError
from homeport_shared.settings import SettingList

DATABASE = "database"  # its address may hold a password


class Configuration:
    """The section `[rag]` of `homeport.toml`.

    Args:
        context: The server's context.
        meaning: Knows whether an embedding model answers.
        watching: Follows the watched folders.
    """

    def __init__(self, context: ServerContext, meaning: Meaning, watching: Watching) -> None:
        self._context = context
        self._meaning = meaning
        self._watching = watching

    def show(self) -> SettingList:
        """Return every setting with its value, its default and what it means."""
        listed = settings.shown(self._context.settings(RagSettings), self._context.flags)
        for each in listed.settings:
            if each.name == DATABASE:
                each.value, each.fixed = each.value and redaction.HIDDEN, True
        return listed

    async def change(self, values: Mapping[str, Any]) -> SettingList:
        """Check settings and store them; they hold from the next use on.

        Raises:
            HomeportError: `invalid`, when a value does not fit or a path cannot be written; `not_found`, when a watched
                folder is not there; `denied`, when it may not be read, or the command line says otherwise;
                `unavailable`, when the embedding model does not answer.
        """
        before = self._context.settings(RagSettings)
        if DATABASE in values:
            raise HomeportError(
                "denied",
                "The database is chosen before the server starts.",
                "Name it in the section [rag] of homeport.toml, or in HOMEPORT_RAG_DATABASE.",
            )
        wanted = settings.changed(before, values, self._context.flags)
        await self._check(before, wanted)
        changed = {name: getattr(wanted, name) for name in values}
        await anyio.to_thread.run_sync(settings.save, self._context.home, self._context.name, changed)
        self._meaning.wake()
        self._watching.wake()
        await self._context.changes.updated("rag://stats", "rag://settings")
        return self.show()

    async def _check(self, before: RagSettings, wanted: RagSettings) -> None:
        """Check what a type cannot tell; what stays as it was is not looked at."""
        if wanted.index_folder and wanted.index_folder != before.index_folder:
            await anyio.to_thread.run_sync(check_writable, wanted.index_folder)
        home = str(self._context.home)
        if wanted.folders != before.folders:
            for folder in wanted.folders:
                await anyio.to_thread.run_sync(folder_at, folder, home)
        if wanted.watch != before.watch:
            for folder in wanted.watch:
                await anyio.to_thread.run_sync(folder_at, folder, home)
                await anyio.to_thread.run_sync(locate, folder, wanted.folders, home)
        choice = wanted.embedding_address, wanted.embedding_model
        if choice != (before.embedding_address, before.embedding_model) and choice[0]:
            embedder, why = await self._meaning.embedder(choice)
            if embedder is None:
                raise HomeportError("unavailable", why, "The model that was in use stays in use.")


def check_writable(folder: str) -> None:
    """Check whether files can be written into a folder, which is made where it is missing.

    Raises:
        HomeportError: `invalid`, when it is no absolute path or nothing can be written there.
    """
    path = Path(folder)
    if not path.is_absolute():
        raise HomeportError("invalid", f"{folder} is not an absolute path.", "Write the whole path.")
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as probe:
            probe.write(b"x")
    except OSError as error:
        raise HomeportError(
            "invalid", f"Nothing can be written to {folder}: {error.strerror}.", "Choose another folder."
        ) from error
