"""Watch folders for changes that others make: in batches, with renames, and honest when something was missed.

`watchdog` tells single events from threads. Here they become batches: what happens to one path within a burst is one
change; a moved folder is one change, not one for each file in it; when too much happens, or the system's own queue
overflows, a batch says that it is not complete, so that the reader looks at the folder again. A folder that vanishes is
said to be gone, and is watched again when it is back. Where the system has no room for more watches, the folder is
polled instead, once a second.
"""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from anyio import from_thread
from anyio.abc import TaskStatus
from anyio.lowlevel import current_token
from watchdog import events
from watchdog.observers import Observer
from watchdog.observers.polling import PollingObserver

from homeport_shared.bursts import MOST_CHANGES, Batch, Burst, Change, Kind

QUIET_SECONDS = 0.1  # a burst has ended when nothing came for this long
LONGEST_BURST_SECONDS = 0.5
LOOK_SECONDS = 1.0
_KINDS: dict[str, Kind] = {
    events.EVENT_TYPE_CREATED: "created",
    events.EVENT_TYPE_MODIFIED: "changed",
    events.EVENT_TYPE_CLOSED: "changed",
    events.EVENT_TYPE_DELETED: "deleted",
    events.EVENT_TYPE_MOVED: "moved",
}
_WANTED: list[type[events.FileSystemEvent]] = [
    events.FileCreatedEvent,
    events.FileModifiedEvent,
    events.FileClosedEvent,
    events.FileDeletedEvent,
    events.FileMovedEvent,
    events.DirCreatedEvent,
    events.DirDeletedEvent,
    events.DirMovedEvent,
]
logger = logging.getLogger(__name__)


class _Watch(events.FileSystemEventHandler):
    """One watched folder. Its handler is called on a thread of watchdog, the rest on the loop's worker threads."""

    def __init__(self, folder: Path, ignored: tuple[Path, ...], most: int, wake: Callable[[], None]) -> None:
        self.folder = folder
        self._ignored = tuple(path for path in ignored if folder != path and path not in folder.parents)
        self._most = most
        self._wake = wake
        self._lock = threading.Lock()
        self._burst = Burst(most)
        self._observer: Any = None
        self._identity: tuple[int, int] | None = None

    def look(self) -> bool | None:
        """Start watching a folder that has come, stop for one that went.

        Returns:
            True when it has come, False when it went, None when nothing is new.
        """
        identity = _identity(self.folder)
        if identity == self._identity:
            return None
        self.stop()
        if identity is not None:
            try:
                self._observe(Observer())
            except FileNotFoundError:
                return None  # it went this moment: the next look tells
            except OSError as error:
                logger.warning("%s is polled, as it cannot be watched: %s", self.folder, error)
                self._observe(PollingObserver(timeout=LOOK_SECONDS))
        self._identity = identity
        return identity is not None

    def stop(self) -> None:
        """Stop watching; returns when the threads have ended."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
            self._observer = None

    def lose(self) -> None:
        """Say that something was missed."""
        with self._lock:
            self._burst.lose()

    def drain(self) -> Batch | None:
        """Return what happened since the last call; None when nothing did."""
        with self._lock:
            burst, self._burst = self._burst, Burst(self._most)
        changes = burst.changes()
        return Batch(self.folder, changes, complete=burst.complete) if changes or not burst.complete else None

    def on_any_event(self, event: events.FileSystemEvent) -> None:
        """Take what watchdog tells."""
        change = self._change(event)
        if change is not None:
            with self._lock:
                self._burst.add(change)
            self._wake()

    def _observe(self, observer: Any) -> None:
        observer.schedule(self, str(self.folder), recursive=True, event_filter=_WANTED)
        try:
            observer.start()
        except BaseException:
            observer.unschedule_all()
            raise
        self._observer = observer

    def _change(self, event: events.FileSystemEvent) -> Change | None:
        source, target = self._inside(event.src_path), self._inside(event.dest_path)
        kind, folder = _KINDS[event.event_type], event.is_directory
        if kind != "moved":
            return Change(kind, source, folder=folder) if source else None
        if source and target:
            return Change("moved", target, source, folder)
        if target:
            return Change("created" if folder else "changed", target, folder=folder)
        return Change("deleted", source, folder=folder) if source else None

    def _inside(self, path: bytes | str) -> Path | None:
        """Return `path` when it is below the folder and not ignored."""
        found = Path(os.fsdecode(path)) if path else self.folder
        if found == self.folder or self.folder not in found.parents:
            return None
        return None if any(found == ignored or ignored in found.parents for ignored in self._ignored) else found


class _Overflow(logging.Handler):
    """Hears of an overflow of the system's queue: watchdog tells of it only in its log."""

    def __init__(self, heard: Callable[[], object]) -> None:
        super().__init__(logging.WARNING)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        if "overflow" in record.getMessage().lower():
            self._heard()


async def watch(
    folders: Callable[[], Iterable[Path]],
    tell: Callable[[Batch], Awaitable[None]],
    *,
    ignored: Iterable[Path] = (),
    most: int = MOST_CHANGES,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Tell what others change below some folders, until cancelled.

    A change is told within about 0.7 s; a folder that came or went within about 1.5 s.

    Args:
        folders: Returns the folders, absolute and without links; asked again each second.
        tell: Called with one batch after the other.
        ignored: Nothing is told of these folders and what is below them, unless a watched folder is in one.
        most: A burst of more changes than this is not complete.
        task_status: Started when all folders that are there are watched.
    """
    # A folder that appears while its tree is gone through is met twice; watchdog overwrites an entry with the same one.
    warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
    bell = _Bell()
    watches = _Watches(tuple(ignored), most, bell.ring)
    with watches.hearing_overflow():
        try:
            for batch in await anyio.to_thread.run_sync(watches.look, list(folders())):
                if not batch.there:
                    await tell(batch)
            task_status.started()
            while True:
                await bell.wait()
                for batch in watches.drain():
                    await tell(batch)
                for batch in await anyio.to_thread.run_sync(watches.look, list(folders())):
                    await tell(batch)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(watches.stop)


class _Bell:
    """Wakes the loop from the threads of watchdog."""

    def __init__(self) -> None:
        self._token = current_token()
        self._rung = anyio.Event()

    def ring(self) -> None:
        """Wake `wait`, from any thread."""
        if self._rung.is_set():
            return
        try:
            from_thread.run_sync(lambda: self._rung.set(), token=self._token)
        except RuntimeError:  # the loop has ended
            return

    async def wait(self) -> None:
        """Return at the end of a burst, or when it is time to look whether the folders are still there."""
        with anyio.move_on_after(LOOK_SECONDS):
            await self._rung.wait()
            with anyio.move_on_after(LONGEST_BURST_SECONDS):
                while self._rung.is_set():
                    self._rung = anyio.Event()
                    await anyio.sleep(QUIET_SECONDS)


class _Watches:
    """All watched folders."""

    def __init__(self, ignored: tuple[Path, ...], most: int, wake: Callable[[], None]) -> None:
        self._ignored = ignored
        self._most = most
        self._wake = wake
        self._watches: dict[Path, _Watch] = {}

    def look(self, folders: list[Path]) -> list[Batch]:
        """Watch exactly these folders; return which of them came and went."""
        for folder in set(self._watches) - set(folders):
            self._watches.pop(folder).stop()
        told: list[Batch] = []
        for folder in folders:
            new = folder not in self._watches
            watched = self._watches.setdefault(folder, _Watch(folder, self._ignored, self._most, self._wake))
            there = watched.look()
            if there is not None or (new and _identity(folder) is None):
                told.append(Batch(folder, complete=False, there=bool(there)))
        return told

    def stop(self) -> None:
        """Watch nothing any more; returns when all threads have ended."""
        self.look([])

    def drain(self) -> list[Batch]:
        """Return what happened since the last call."""
        return [batch for watched in self._watches.values() if (batch := watched.drain()) is not None]

    @contextmanager
    def hearing_overflow(self) -> Generator[None]:
        """Take an overflow of the system's queue for a loss in every folder: which one is not said."""
        overflow = _Overflow(lambda: [watched.lose() for watched in list(self._watches.values())])
        log = logging.getLogger("watchdog")
        log.addHandler(overflow)
        try:
            yield
        finally:
            log.removeHandler(overflow)


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if folder.is_dir() else None
