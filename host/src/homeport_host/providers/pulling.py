"""Downloads of local models, started by a person and followed on a page."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Any, Literal

from anyio.abc import TaskGroup

from homeport_shared.errors import HomeportError

logger = logging.getLogger(__name__)
Pull = Callable[[str], AsyncGenerator[tuple[str, int, int]]]


@dataclass(slots=True)
class Download:
    """How far one download is; sizes in bytes, 0 of 0 while they are not known."""

    name: str
    state: Literal["running", "completed", "failed"] = "running"
    message: str = ""
    done: int = 0
    total: int = 0


class Pulling:
    """The downloads of this host's life.

    Args:
        tasks: Runs them.
        pull: Yields message, bytes done and bytes in all, as `Library.pull` does.
        changed: Awaited when something changed.
    """

    def __init__(self, tasks: TaskGroup, pull: Pull, changed: Callable[[], Awaitable[None]]) -> None:
        self._tasks = tasks
        self._pull = pull
        self._changed = changed
        self._downloads: dict[str, Download] = {}

    async def start(self, name: str) -> dict[str, Any]:
        """Start the download of `name`, or return the one that runs."""
        running = self._downloads.get(name)
        if running is None or running.state != "running":
            running = self._downloads[name] = Download(name)
            self._tasks.start_soon(self._run, running)
        return asdict(running)

    def all(self) -> list[dict[str, Any]]:
        """Return the downloads, the newest last."""
        return [asdict(download) for download in self._downloads.values()]

    async def _run(self, download: Download) -> None:
        told = -1
        try:
            async with aclosing(self._pull(download.name.removeprefix("ollama/"))) as steps:
                async for message, done, total in steps:
                    download.message, download.done, download.total = message, done, total
                    percent = done * 100 // total if total else 0
                    if percent != told:
                        told = percent
                        await self._changed()
            download.state = "completed"
        except HomeportError as error:
            download.state, download.message = "failed", str(error)
        except Exception:  # the boundary: whatever Ollama sends, only this download fails
            logger.exception("the download of %s failed", download.name)
            download.state, download.message = "failed", f"The download of {download.name} failed. The log says why."
        await self._changed()
