"""The store of one data root: a SQLite file, of which the full-text index is a part, and FAISS beside it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import ParamSpec, TypeVar

import anyio
from anyio.from_thread import check_cancelled

from homeport_rag.records import Space
from homeport_rag.search import Filters, Ranking
from homeport_rag.store import VectorSearch, Work
from homeport_rag.store.schema import SCHEMA
from homeport_rag.store.words import Words, find
from homeport_rag.vector_cache import VectorCache
from homeport_shared.errors import HomeportError
from homeport_shared.sqlite import SqliteFile
from homeport_shared.workers import Worker

logger = logging.getLogger(__name__)
LARGE = 20_000_000  # bytes of a database in which a first search is slow
T = TypeVar("T")
P = ParamSpec("P")


class LocalStore:
    """A store in a file.

    Args:
        path: The database; made at the first use.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._words = Words()
        self._chilled = anyio.Event()

    async def aclose(self) -> None:
        """See `Store`."""
        for name in ("_reading", "_writing", "_warming"):
            if name in self.__dict__:
                await self.__dict__[name].aclose()

    @cached_property
    def _reading(self) -> SqliteFile:
        return SqliteFile(self.path, SCHEMA)

    @cached_property
    def _writing(self) -> SqliteFile:
        return SqliteFile(self.path, SCHEMA)

    @cached_property
    def _warming(self) -> SqliteFile:
        return SqliteFile(self.path, SCHEMA)

    async def read(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Store`."""
        return await self._reading.read(lambda connection: work(connection, *args, **kwargs))

    async def read_slowly(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Store`."""
        return await self._writing.read(lambda connection: work(connection, *args, **kwargs))

    async def write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Store`."""
        return await self._writing.write(lambda connection: work(connection, *args, **kwargs))

    async def find_words(self, text: str, scope: list[Space], filters: Filters, limit: int) -> list[Ranking]:
        """See `Store`."""
        languages = {space.id: space.language for space in scope}
        found = await self._reading.read(
            lambda connection: find(connection, self._words.rank, text, languages, filters, limit)
        )
        if self._words.cold:
            self._chilled.set()
        return found

    def vectors(self, worker: Worker, folder: Callable[[], str]) -> VectorSearch:
        """See `Store`."""
        return VectorCache(worker, self.path, folder)

    async def size(self) -> int:
        """See `Store`."""
        files = (self.path, self.path.with_name(f"{self.path.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    async def keep_warm(self) -> None:
        """Read the lists of frequent words before anybody asks for them; see `Store`."""
        if await anyio.Path(self.path).exists() and (await anyio.Path(self.path).stat()).st_size > LARGE:
            self._chilled.set()
        while True:
            await self._chilled.wait()
            self._chilled = anyio.Event()
            try:
                await self._reading.read(self._words.prepare)
                await self._warming.read(lambda connection: self._words.warm(connection, check_cancelled))
            except HomeportError:
                logger.exception("the lists of frequent words cannot be read now")
