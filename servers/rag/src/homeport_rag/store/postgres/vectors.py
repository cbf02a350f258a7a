"""Search by meaning on PostgreSQL: pgvector compares with every vector, or walks a graph where there are many."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence

import anyio
from psycopg import errors, sql

from homeport_rag.embedding import Embedder
from homeport_rag.search import Ranking
from homeport_rag.store import collections
from homeport_rag.store.postgres.link import Link, Session
from homeport_rag.store.postgres.schema import NAME
from homeport_rag.vector_cache import GRAPH_FROM
from homeport_shared.errors import HomeportError

logger = logging.getLogger(__name__)

MOST_DIMENSIONS = 4_000  # of a graph of half-precision vectors
MEMORY = "512MB"  # for building one
_BUILDER = 0x686F6D66  # the advisory lock of whoever builds


class SharedVectors:
    """See `homeport_rag.store.VectorSearch`.

    Args:
        link: Searches while other connections read words.
        address: Of the database.
    """

    def __init__(self, link: Link, address: str) -> None:
        self._link = link
        self._address = address

    async def nearest(self, embedder: Embedder, text: str, scope: Sequence[int], limit: int) -> Ranking:
        """See `VectorSearch`."""
        [vector] = await embedder.embed([text])
        return await self.nearest_to(embedder, vector, scope, limit)

    async def nearest_to(self, embedder: Embedder, vector: bytes, scope: Sequence[int], limit: int) -> Ranking:
        """See `VectorSearch`."""
        return await self._link.read(lambda session: nearest(session, vector, embedder.model.key, scope, limit))

    async def indexed(self, embedder: Embedder, collection: int) -> int:
        """See `VectorSearch`."""
        return await self._link.read(lambda session: collections.count(session, collection, embedder.model.key))

    async def settle(self) -> None:
        """See `VectorSearch`; searches and writes go on meanwhile. Cancelling it stops the server's work, too."""
        link = Link(self._address)
        ended = anyio.Event()

        async def interrupt() -> None:
            try:
                await ended.wait()
            except anyio.get_cancelled_exc_class():
                link.interrupt()
                raise

        async with anyio.create_task_group() as group:
            group.start_soon(interrupt)
            try:
                await link.read(build_graphs)
            except HomeportError as error:  # what is embedded is found without a graph, too
                logger.warning("the vectors have no graph now: %s", error)
            finally:
                ended.set()
                await link.aclose()


def nearest(session: Session, vector: bytes, model: str, scope: Sequence[int], limit: int) -> Ranking:
    """Return the passages nearest to a vector (float16, little endian): (chunk id, cosine), nearest first."""
    size = len(vector) // 2
    return session.execute(
        f"SELECT chunk_id, -distance FROM (SELECT chunk_id, vector::halfvec({size}) <#> ? AS distance FROM vectors"  # noqa: S608 - a number
        " WHERE model_id = ? AND collection_id = ANY(?) ORDER BY distance, chunk_id LIMIT ?) n"
        " ORDER BY distance, chunk_id",
        (vector, model, list(scope), limit),
    ).fetchall()


def build_graphs(session: Session) -> None:
    """Build the graph of each model that has many vectors and no graph yet, unless another process does."""
    if session.execute("SELECT pg_try_advisory_lock(?)", (_BUILDER,)).fetchone() == (False,):
        return
    many = "SELECT model_id FROM counts WHERE model_id != '*' GROUP BY 1 HAVING sum(count) >= ?"
    for (model,) in session.execute(many, (GRAPH_FROM,)).fetchall():
        one = "SELECT vector_dims(vector) FROM vectors WHERE model_id = ? LIMIT 1"
        row = session.execute(one, (model,)).fetchone()
        if row is not None and row[0] <= MOST_DIMENSIONS:
            try:
                _build(session, model, row[0])
            except errors.QueryCanceled:
                return


def _build(session: Session, model: str, size: int) -> None:
    name = f"vectors_near_{hashlib.sha256(model.encode()).hexdigest()[:12]}"
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(?)"
    row = session.execute(valid, (f"{NAME}.{name}",)).fetchone()
    if row == (True,):
        return
    if row is not None:  # whoever built it was stopped
        session.execute(f"DROP INDEX {name}")
    session.execute(f"SET maintenance_work_mem = '{MEMORY}'")
    session.execute("SET lock_timeout = 0")  # it waits for every transaction that is open
    statement = sql.SQL(
        "CREATE INDEX CONCURRENTLY {} ON vectors USING hnsw ((vector::halfvec({})) halfvec_ip_ops) WHERE model_id = {}"
    )
    session.raw.execute(statement.format(sql.Identifier(name), sql.Literal(size), sql.Literal(model)))
