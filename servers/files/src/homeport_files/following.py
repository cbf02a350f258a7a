"""The running server follows `homeport.toml`: which folders it serves, if it watches them, and when things are due.

All other settings are read at each call anyway.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import anyio.to_thread

from homeport_files.outside import Outside
from homeport_files.results import uri_of
from homeport_files.settings import FilesSettings, roots_of
from homeport_shared import settings
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError
from homeport_shared.events import Event
from homeport_shared.paths import Place, Root, Roots

logger = logging.getLogger(__name__)
LOOK_SECONDS = 1.0
FIRST_SECONDS = 0.5  # loading what watches takes 40 ms, for which the first answer would wait


class Following:
    """Takes over what somebody changes in the settings.

    Args:
        context: Has the settings, and tells what changed.
        roots: The folders that are served.
        outside: Watches them.

    Attributes:
        settings: As they were when they were without a mistake; for what nobody waits for, who could be told of one.
    """

    def __init__(self, context: ServerContext, roots: Roots, outside: Outside) -> None:
        self._context = context
        self._roots = roots
        self._outside = outside
        self.settings = context.settings(FilesSettings)
        self._watching: anyio.CancelScope | None = None
        self._changed = anyio.Event()

    async def run(self) -> None:
        """Follow the settings until cancelled."""
        path = self._context.home / settings.FILE
        seen: tuple[int, int, int] | None = (0, 0, 0)  # unlike any file, or none
        served = self.settings.roots  # those of the start
        while True:
            if (stamp := await anyio.to_thread.run_sync(_stamp, path)) != seen:
                seen = stamp
                try:
                    wanted = self.settings = self._context.settings(FilesSettings)
                    if wanted.roots != served:
                        await self._serve(await anyio.to_thread.run_sync(self._wanted, wanted.roots))
                    served = wanted.roots
                    self._watch(wanted.watch)
                except HomeportError as error:
                    logger.warning("the settings cannot be followed: %s", error)
                self._changed.set()
                self._changed = anyio.Event()
            await anyio.sleep(LOOK_SECONDS)

    async def pause(self, seconds: Callable[[FilesSettings], float]) -> None:
        """Sleep as long as the settings say, also when they change meanwhile."""
        began = anyio.current_time()
        while (left := began + seconds(self.settings) - anyio.current_time()) > 0:
            changed = self._changed
            with anyio.move_on_after(left):
                await changed.wait()

    def _wanted(self, configured: list[str]) -> list[Root]:
        return roots_of(configured, self._context.home.resolve() / "workspace")

    async def _serve(self, wanted: Sequence[Root]) -> None:
        """Serve exactly these folders; nothing in those that go is changed."""
        before = list(self._roots)
        for root in before:
            if root not in wanted:
                self._roots.remove(root.name)
        for root in wanted:
            if root not in before:
                try:
                    self._roots.add(root)
                except HomeportError as error:
                    logger.warning("%s is not served: %s", root.folder, error)
                else:
                    data = {"folder": str(root.folder)}
                    await self._context.events.publish(Event("root.added", uri_of(Place(root.name)), data))
        if before != list(self._roots):
            await self._context.changes.updated("files://roots")

    def _watch(self, wanted: bool) -> None:
        if wanted and self._watching is None:
            self._watching = anyio.CancelScope()
            self._context.tasks.start_soon(self._watched, self._watching)
        elif not wanted and self._watching is not None:
            self._watching.cancel()
            self._watching = None

    async def _watched(self, scope: anyio.CancelScope) -> None:
        with scope:
            await anyio.sleep(FIRST_SECONDS)
            await self._outside.run()


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
