"""The knowledge base on disk: one SQLite file, of which the full-text index is a part.

The modules here are SQL on one connection, by noun; `Store` runs their functions on its threads:
`await store.read(documents.document, identifier)`. Searches read on a connection of their own, so they never wait for
a document that is being stored.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import anyio
from anyio.from_thread import check_cancelled

from homeport_rag.records import Space
from homeport_rag.search import Filters
from homeport_rag.store.postings import Ranking
from homeport_rag.store.schema import SCHEMA
from homeport_rag.store.words import Words
from homeport_shared.errors import HomeportError
from homeport_shared.sqlite import SqliteFile

logger = logging.getLogger(__name__)
LARGE = 20_000_000  # bytes of a database in which a first search is slow
T = TypeVar("T")
P = ParamSpec("P")
Work = Callable[Concatenate[sqlite3.Connection, P], T]


class Store:
    """The documents, passages and vectors of one data root.

    Args:
        path: The database; made at the first use.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._words = Words()
        self._chilled = anyio.Event()

    async def aclose(self) -> None:
        """Close the database, if it was used."""
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
        """Return `work(connection, *args)`; for what takes milliseconds, because searches wait for it.

        Raises:
            HomeportError: What `work` raises; `damaged` or `unavailable`, when SQLite says so.
        """
        return await self._reading.read(lambda connection: work(connection, *args, **kwargs))

    async def read_slowly(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `read` does; may take long: only writers wait for it."""
        return await self._writing.read(lambda connection: work(connection, *args, **kwargs))

    async def write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(connection, *args)` in one transaction, all or nothing.

        Raises:
            HomeportError: What `work` raises; `damaged` or `unavailable`, when SQLite says so.
        """
        return await self._writing.write(lambda connection: work(connection, *args, **kwargs))

    async def find_words(self, text: str, scope: list[Space], filters: Filters, limit: int) -> list[Ranking]:
        """Return the best matches of each full-text index that `scope` needs: (chunk id, BM25 score, greater = better).

        Args:
            text: The user's query.
            scope: The collections.
            filters: What the documents must be like.
            limit: Most matches per index.
        """
        languages = {space.id: space.language for space in scope}
        found = await self.read(self._words.find, text, languages, filters, limit)
        if self._words.cold:
            self._chilled.set()
        return found

    async def keep_warm(self) -> None:
        """Read the lists of frequent words before anybody asks for them, for as long as the server lives."""
        if await anyio.Path(self.path).exists() and (await anyio.Path(self.path).stat()).st_size > LARGE:
            self._chilled.set()
        while True:
            await self._chilled.wait()
            self._chilled = anyio.Event()
            try:
                await self.read(self._words.prepare)
                await self._warming.read(lambda connection: self._words.warm(connection, check_cancelled))
            except HomeportError:
                logger.exception("the lists of frequent words cannot be read now")
