"""The room that earlier contents take, and how the oldest of them go: by hand, or by themselves after some days."""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial

import anyio
from pydantic import BaseModel

from homeport_files.settings import FilesSettings
from homeport_files.store import Ledger
from homeport_files.workspace import Workspace
from homeport_shared.clock import iso
from homeport_shared.errors import HomeportError

logger = logging.getLogger(__name__)
FIRST_SECONDS = 90.0  # a server that just started has better things to do
DAY_SECONDS = 86_400


class VersionSpace(BaseModel):
    """How many contents the history keeps, in bytes, and those of them that only changes `days` ago or more need."""

    contents: int
    bytes: int
    days: int
    old: int
    old_bytes: int


class Versions:
    """Tells what the history keeps and takes the oldest of it away; what was done stays in it.

    Args:
        workspace: The files.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def space(self, days: int) -> VersionSpace:
        """Return how much is kept, and how much of it is at least `days` old."""
        if self._workspace.store.empty:
            return VersionSpace(contents=0, bytes=0, days=days, old=0, old_bytes=0)
        kept, old = await self._workspace.store.reading(lambda ledger: ledger.kept(self._before(days)))
        return _space(kept, old, days)

    async def forget(self, days: int, confirm: int) -> VersionSpace:
        """Remove the contents that are at least `days` old, for good; return what is kept now.

        Raises:
            HomeportError: `invalid`, when `confirm` is not how many these are now.
        """

        def work(ledger: Ledger) -> VersionSpace:
            kept, old = ledger.kept(self._before(days))
            if confirm != len(old):
                raise HomeportError(
                    "invalid", f"confirm is {confirm}, but {len(old)} contents would go.", "Look again."
                )
            ledger.forget(old)
            return _space({name: size for name, size in kept.items() if name not in old}, {}, days)

        return await self._workspace.store.changing(work)

    async def schedule(self) -> None:
        """Remove what is older than the settings say, once a day and when they change, until cancelled."""
        await anyio.sleep(FIRST_SECONDS)
        while True:
            days = self._workspace.following.settings.version_days
            try:
                if days and not self._workspace.store.empty:
                    await self._forget(days)
            except HomeportError as error:  # another process keeps the lock
                logger.warning("old versions stay: %s", error)
            await self._workspace.following.pause(partial(_rest, days))

    async def _forget(self, days: int) -> None:
        await self._workspace.store.changing(lambda ledger: ledger.forget(ledger.kept(self._before(days))[1]))

    def _before(self, days: int) -> str:
        return iso(self._workspace.context.clock.now() - timedelta(days=days))


def _space(kept: dict[str, int], old: dict[str, int], days: int) -> VersionSpace:
    return VersionSpace(
        contents=len(kept), bytes=sum(kept.values()), days=days, old=len(old), old_bytes=sum(old.values())
    )


def _rest(days: int, chosen: FilesSettings) -> float:
    return DAY_SECONDS if chosen.version_days == days else 0
