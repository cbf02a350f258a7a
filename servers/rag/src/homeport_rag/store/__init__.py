"""The knowledge base as it is kept: in one SQLite file per data root, or in a PostgreSQL database that many share.

The modules here are SQL on one connection, by noun; a store runs their functions on its threads:
`await store.read(documents.document, identifier)`. Searches read on a connection of their own, so they never wait for
a document that is being stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from homeport_rag.embedding import Embedder
from homeport_rag.records import Space
from homeport_rag.search import Filters, Ranking
from homeport_rag.store.dialect import Connection
from homeport_shared.errors import HomeportError
from homeport_shared.workers import Worker

T = TypeVar("T")
P = ParamSpec("P")
Work = Callable[Concatenate[Connection, P], T]


class VectorSearch(Protocol):
    """Finds the passages that are nearest in meaning."""

    async def nearest(self, embedder: Embedder, text: str, scope: Sequence[int], limit: int) -> Ranking:
        """Return the passages nearest to `text` in the collections `scope`: (chunk id, cosine), nearest first.

        Raises:
            HomeportError: `unavailable`, `timeout` or `damaged`, when the model or the database does not answer.
        """
        ...

    async def nearest_to(self, embedder: Embedder, vector: bytes, scope: Sequence[int], limit: int) -> Ranking:
        """Return the passages nearest to a vector of `embedder` (float16, little endian), as `nearest` does."""
        ...

    async def indexed(self, embedder: Embedder, collection: int) -> int:
        """Return how many vectors of a collection can be found."""
        ...

    async def settle(self) -> None:
        """Do what makes the search fast again after many vectors came in."""
        ...


class Store(Protocol):
    """The documents, passages and vectors."""

    @property
    def path(self) -> Path | None:
        """The file that it is in; None where that is none of this machine's."""
        ...

    async def read(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return `work(connection, *args)`; for what takes milliseconds, because searches wait for it.

        Raises:
            HomeportError: What `work` raises; `damaged` or `unavailable`, when the database says so.
        """
        ...

    async def read_slowly(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `read` does; may take long: only writers wait for it."""
        ...

    async def write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(connection, *args)` in one transaction, all or nothing; no other writes at the same time.

        Raises:
            HomeportError: What `work` raises; `damaged` or `unavailable`, when the database says so.
        """
        ...

    async def find_words(self, text: str, scope: list[Space], filters: Filters, limit: int) -> list[Ranking]:
        """Return the best matches of each full-text index that `scope` needs: (chunk id, BM25 score, greater = better).

        Args:
            text: The user's query.
            scope: The collections.
            filters: What the documents must be like.
            limit: Most matches per index.
        """
        ...

    def vectors(self, worker: Worker, folder: Callable[[], str]) -> VectorSearch:
        """Return the search by meaning.

        Args:
            worker: Runs what needs FAISS or a local model.
            folder: Returns where indexes are kept; empty = beside the database.
        """
        ...

    async def size(self) -> int:
        """Return the bytes of the database."""
        ...

    async def keep_warm(self) -> None:
        """Get what a first search needs before anybody asks, for as long as the server lives."""
        ...

    async def aclose(self) -> None:
        """Close the database, if it was used."""
        ...


def store_for(folder: Path, address: str) -> Store:
    """Return the store of a data root.

    Args:
        folder: The folder of this server.
        address: Of a PostgreSQL database; empty = SQLite in `folder`.

    Raises:
        HomeportError: `invalid`, for another address; `unavailable`, when the driver is not installed.
    """
    if not address:
        from homeport_rag.store.local import LocalStore

        return LocalStore(folder / "knowledge.db")
    try:
        from homeport_rag.store.postgres import SharedStore
    except ImportError as error:
        raise HomeportError(
            "unavailable",
            "The knowledge base is to be in PostgreSQL, and the driver for it is not installed.",
            "Install homeport-rag[postgres].",
        ) from error
    return SharedStore(address)
