"""The store that many share: a PostgreSQL database with pgvector. Nothing of it is kept in memory between two calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from homeport_rag.records import Space
from homeport_rag.search import Filters, Ranking
from homeport_rag.store import VectorSearch, Work
from homeport_rag.store.dialect import Connection
from homeport_rag.store.full_text import INDEX
from homeport_rag.store.postgres.link import Link
from homeport_rag.store.postgres.schema import NAME
from homeport_rag.store.postgres.vectors import SharedVectors
from homeport_rag.store.postgres.words import Lists
from homeport_rag.store.words import find, passing
from homeport_shared.workers import Worker

T = TypeVar("T")
P = ParamSpec("P")


class SharedStore:
    """A store in a PostgreSQL database; see `Store`.

    Args:
        address: Of the database, such as `postgresql://user@host/name`; its tables are made at the first use.
    """

    path = None

    def __init__(self, address: str) -> None:
        self._reading, self._writing, self._near = Link(address), Link(address), Link(address)
        self._vectors = SharedVectors(self._near, address)

    async def aclose(self) -> None:
        """See `Store`."""
        for link in (self._reading, self._writing, self._near):
            await link.aclose()

    async def read(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Store`."""
        return await self._reading.read(lambda session: work(session, *args, **kwargs))

    async def read_slowly(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Store`."""
        return await self._writing.read(lambda session: work(session, *args, **kwargs))

    async def write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Store`."""
        return await self._writing.write(lambda session: work(session, *args, **kwargs))

    async def find_words(self, text: str, scope: list[Space], filters: Filters, limit: int) -> list[Ranking]:
        """See `Store`."""
        languages = {space.id: space.language for space in scope}
        return await self._reading.read(lambda session: find(session, _rank, text, languages, filters, limit))

    def vectors(self, worker: Worker, folder: Callable[[], str]) -> VectorSearch:
        """See `Store`."""
        return self._vectors

    async def size(self) -> int:
        """See `Store`."""
        return await self.read(_size)

    async def keep_warm(self) -> None:
        """See `Store`; the database keeps warm what it needs."""


def _rank(
    connection: Connection, words: Sequence[str], scope: list[int], filters: Filters, limit: int, *, english: bool
) -> Ranking:
    return passing(connection, Lists(connection, INDEX[english]), words, scope, filters, limit)


def _size(connection: Connection) -> int:
    statement = (
        "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c JOIN pg_namespace n"
        " ON n.oid = c.relnamespace WHERE n.nspname = ? AND c.relkind = 'r'"
    )
    return connection.execute(statement, (NAME,)).fetchone()[0]
