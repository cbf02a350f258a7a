"""Keep an index of the contents of each root that was searched, in the background and only as long as it is used.

The first search of a root reads every file. After it the index is made by a worker with a low priority, a batch at a
time; a search that comes meanwhile reads the files that have no row yet. What this server and others change is told, so
a search looks only at the folders where something changed; where nobody watches, it looks at the times of all files.
Once a minute of use all times are compared anyway: not every file system tells of every change.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager

import anyio
import anyio.to_thread
from anyio.from_thread import check_cancelled

from homeport_files import walking
from homeport_files.content_index import ContentIndex, Open, Parts, Plan, TooLargeError
from homeport_files.outside import Outside
from homeport_files.trigrams import SHORTEST, Row, rows_of
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError
from homeport_shared.folders import Folder
from homeport_shared.paths import Place, Root, Roots
from homeport_shared.workers import Worker

logger = logging.getLogger(__name__)
CHECK_SECONDS = 60
UNUSED_SECONDS = 900
MOST_HEARD = 10_000
BATCH_FILES = 256  # go to the worker together, or as many as have
BATCH_BYTES = 1 << 20
Contents = list[tuple[int, bytes | None]]


class Indexer:
    """The indexes of all roots.

    Args:
        context: Runs the work in the background.
        roots: The folders.
        outside: Knows which of them are watched.
        memory_mb: The memory of the process that makes the rows, in MiB.
    """

    def __init__(self, context: ServerContext, roots: Roots, outside: Outside, memory_mb: int) -> None:
        self._context = context
        self._roots = roots
        self._outside = outside
        self._lock = threading.Lock()
        self._indexes: dict[str, _Kept] = {}
        self._heard: deque[Place] = deque()
        self._missed = False
        self._searched: set[str] = set()
        self._under_way = 0
        self._idle = anyio.Event()
        self._wake = anyio.Event()
        self._running = False
        self._text_limit = 0
        self._worker = Worker("content index", memory_mb=memory_mb, background=True)
        context.closing(self._worker.aclose)

    async def heard(self, kind: str, place: Place, source: Place | None) -> None:
        """Take note that something changed; of what `kind` does not matter."""
        if not self._indexes:
            return
        if len(self._heard) < MOST_HEARD:
            self._heard.extend(each for each in (place, source) if each is not None)
        else:
            self._missed = True

    def plan(self, text_limit: int, top: Place, literals: Sequence[bytes]) -> Plan | None:
        """Return what a search below `top` has to look at; None = everything. It runs in a worker thread.

        Args:
            text_limit: The largest file that is searched, in bytes.
            top: The folder.
            literals: What each line holds that is looked for.
        """
        self._text_limit = text_limit
        self._searched.add(top.root)
        kept = self._indexes.get(top.root)
        telling = [literal for literal in literals if len(literal) >= SHORTEST]
        if kept is None or not kept.ready or not telling or len(top.parts) > walking.DEEPEST:
            return None
        with self._lock:
            if not self._fits(kept.index):
                return None
            self._tell()
            watch = self._outside.watch_of(top.root)
            if not watch or watch != kept.watch:
                kept.index.distrust()
                kept.watch = watch
            try:
                known = kept.index.renew(top.parts, check_cancelled)
            except TooLargeError:
                kept.ready = False
                return None
            return kept.index.plan(top.parts, telling) if known else None

    @contextmanager
    def searching(self) -> Generator[None]:
        """Leave a search of contents in peace, and bring the indexes that it can use up to date after it."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            self._idle.set()
            self._idle = anyio.Event()
        self._wake.set()
        if self._searched and not self._running:
            self._running = True
            self._context.tasks.start_soon(self._tend)

    def _fits(self, index: ContentIndex) -> bool:
        return index.root in self._roots and index.text_limit == self._text_limit and not index.worn

    async def _tend(self) -> None:
        """Bring the indexes of the searched roots up to date after each search, until none comes for a while."""
        try:
            while True:
                self._wake = anyio.Event()
                names, self._searched = self._searched, set[str]()
                for root in [root for root in self._roots if root.name in names]:
                    await self._bring_up(root)
                with anyio.fail_after(UNUSED_SECONDS):
                    await self._wake.wait()
        except TimeoutError:
            logger.debug("the indexes of contents were not used for a while")
        except HomeportError as error:
            logger.warning("contents are searched without an index: %s", error)
        finally:
            self._indexes.clear()
            self._heard.clear()
            self._running = False

    async def _bring_up(self, root: Root) -> None:
        kept = self._indexes.get(root.name)
        if kept is None or not self._fits(kept.index):
            kept = self._indexes[root.name] = self._new(root)
        now = self._context.clock.monotonic()
        if now - kept.checked > CHECK_SECONDS:
            kept.checked = now
            try:
                await anyio.to_thread.run_sync(self._check, kept)
            except TooLargeError:
                logger.info("%s has too many files for an index of their contents", root.folder)
                self._indexes[root.name] = self._new(root)  # the memory of the other one is given back
                self._indexes[root.name].checked = math.inf
                return
        if kept.ready:
            await self._read(kept)

    def _new(self, root: Root) -> _Kept:
        return _Kept(ContentIndex(root, self._text_limit, self._opener(root)))

    def _check(self, kept: _Kept) -> None:
        """Look at the times of all files; after the first time folder by folder, so that no search has to wait."""
        if not kept.ready:
            with self._lock:
                kept.watch = self._outside.watch_of(kept.index.root.name)
                kept.index.renew((), check_cancelled)
                kept.ready = True
            return
        for parts in kept.index.folders():
            with self._lock:
                kept.index.stale(parts)
                kept.index.renew(parts, check_cancelled)

    async def _read(self, kept: _Kept) -> None:
        """Have the rows of all files made that have none."""
        unread = await anyio.to_thread.run_sync(self._unread, kept.index)
        with closing(kept.index.contents(unread, lambda: self._context.clock.now().timestamp())) as contents:
            taken: Contents = []
            rows: list[Row] = []
            while True:
                while self._under_way:
                    await self._idle.wait()
                taken = await anyio.to_thread.run_sync(self._exchange, kept.index, contents, taken, rows)
                if not taken or not self._fits(kept.index):
                    return
                try:
                    rows = await self._worker.call(rows_of, [data for _, data in taken if data is not None])
                except HomeportError as error:  # too large for the worker: these files are read by each search
                    logger.warning("%d files have no place in the index of contents: %s", len(taken), error)
                    taken, rows = [(number, None) for number, _ in taken], []

    def _unread(self, index: ContentIndex) -> list[int]:
        with self._lock:
            return index.unread()

    def _exchange(
        self, index: ContentIndex, contents: Generator[tuple[int, bytes | None]], done: Contents, rows: list[Row]
    ) -> Contents:
        """Put the rows of the files `done` into the index; return the contents of the next ones."""
        made = iter(rows)
        with self._lock:
            self._tell()
            for number, data in done:
                index.put(number, None if data is None else next(made))
        taken: Contents = []
        size = 0
        while len(taken) < BATCH_FILES and size < BATCH_BYTES and (one := next(contents, None)):
            taken.append(one)
            size += len(one[1] or b"")
        return taken

    def _tell(self) -> None:
        """Tell the indexes what changed since the last time."""
        if self._missed:
            self._missed = False
            for kept in self._indexes.values():
                kept.index.distrust()
        while self._heard:
            place = self._heard.popleft()
            if place.root in self._indexes:
                self._indexes[place.root].index.heard(place.parts)

    def _opener(self, root: Root) -> Open:
        @contextmanager
        def open_folder(parts: Parts) -> Generator[Folder]:
            place = Place(root.name, parts)
            with self._roots.find(str(place)) as spot:
                if spot.place != place:
                    raise FileNotFoundError(str(place))  # there is a link on the way by now
                yield spot.enter()

        return open_folder


class _Kept:
    """An index, the watch that tells of changes in its root, when it was checked, and whether it can be used."""

    def __init__(self, index: ContentIndex) -> None:
        self.index = index
        self.watch = 0
        self.checked = -math.inf
        self.ready = False
