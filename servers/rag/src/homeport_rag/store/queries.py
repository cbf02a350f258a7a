"""SQL on searches: which were made, what they found, which are kept under a name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from homeport_rag.results.searches import Asked, Saved, SearchResult
from homeport_rag.store.dialect import Connection
from homeport_shared.clock import iso

KEPT = 1_000
EXCERPT = 200  # characters
MOST_RECENT = 10_000  # documents that a kept search looks at or remembers
MOST_FRESH = 100  # documents that wait to be looked at in a kept search


@dataclass(frozen=True, slots=True)
class Made:
    """A search that was made, when, and how long it took."""

    asked: Mapping[str, Any]
    result: SearchResult
    at: str
    milliseconds: float


def record(connection: Connection, searches: Sequence[Made]) -> None:
    """Keep searches and the documents that each found."""
    for made in searches:
        asked, result = made.asked, made.result
        best = max((hit.score for hit in result.hits), default=0.0)
        query = connection.execute(
            "INSERT INTO queries (query, asked, at, mode, hits, best, milliseconds) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " RETURNING id",
            (
                asked["query"],
                json.dumps(asked, ensure_ascii=False),
                made.at,
                result.mode,
                len(result.hits),
                best,
                made.milliseconds,
            ),
        ).fetchone()[0]
        connection.executemany(
            "INSERT INTO query_hits VALUES (?, ?, ?, ?, ?)",
            [
                (query, hit.document_id, rank, hit.score, hit.text[:EXCERPT])
                for rank, hit in enumerate(result.hits, start=1)
            ],
        )
    connection.execute("DELETE FROM queries WHERE id <= (SELECT max(id) FROM queries) - ?", (KEPT,))


def latest(connection: Connection, document: str, limit: int) -> list[Asked]:
    """Return the latest searches, of those that found `document` when one is named."""
    columns = "q.id, q.query, q.at, q.mode, q.hits, q.best, q.milliseconds"
    if document:
        rows = connection.execute(
            f"SELECT {columns}, h.score, h.excerpt FROM query_hits h JOIN queries q ON q.id = h.query_id"  # noqa: S608 - our own words
            " WHERE h.document_id = ? AND h.rank = (SELECT min(rank) FROM query_hits WHERE query_id = q.id"
            " AND document_id = h.document_id) ORDER BY q.id DESC LIMIT ?",
            (document, limit),
        )
    else:
        rows = connection.execute(f"SELECT {columns}, 0, '' FROM queries q ORDER BY q.id DESC LIMIT ?", (limit,))  # noqa: S608 - our own words
    names = ("id", "query", "at", "mode", "hits", "best", "milliseconds", "score", "excerpt")
    return [Asked.model_validate(dict(zip(names, row, strict=True))) for row in rows]


def like(connection: Connection, text: str, limit: int) -> list[str]:
    """Return the latest different queries that hold `text`, those that begin with it first."""
    rows = connection.execute(
        "SELECT query FROM queries WHERE instr(lower(query), lower(?)) > 0 AND trim(query) != '' GROUP BY query"
        " ORDER BY instr(lower(query), lower(?)) > 1, max(id) DESC LIMIT ?",
        (text, text, limit),
    )
    return [query for (query,) in rows]


def save(connection: Connection, name: str, asked: Mapping[str, Any], *, alert: bool, now: str) -> None:
    """Keep a search under a name, in place of what is kept there."""
    connection.execute(
        "INSERT INTO saved_queries (name, asked, alert, created) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
        " asked = excluded.asked, alert = excluded.alert, created = excluded.created, seen = '[]', fresh = '[]',"
        " looked = ''",
        (name, json.dumps(asked, ensure_ascii=False), int(alert), now),
    )


def unsave(connection: Connection, name: str) -> bool:
    """Forget a kept search; False when there is none of that name."""
    return connection.execute("DELETE FROM saved_queries WHERE name = ?", (name,)).rowcount > 0


def saved(connection: Connection) -> list[Saved]:
    """Return the kept searches by name."""
    rows = connection.execute("SELECT name, asked, alert, created, fresh FROM saved_queries ORDER BY name")
    return [
        Saved(name=name, asked=json.loads(asked), alert=bool(alert), created=at, fresh=json.loads(fresh))
        for name, asked, alert, at, fresh in rows
    ]


def looked_at(connection: Connection, name: str) -> bool:
    """Note that somebody saw what is new in a kept search; False when there is none of that name."""
    return connection.execute("UPDATE saved_queries SET fresh = '[]' WHERE name = ?", (name,)).rowcount > 0


def recent(connection: Connection, name: str, back: float) -> list[str]:
    """Return the documents that changed since a kept search was last made, and up to `back` seconds before."""
    row = connection.execute("SELECT looked FROM saved_queries WHERE name = ?", (name,)).fetchone()
    if row is None:
        return []
    since = iso(datetime.fromisoformat(row[0]) - timedelta(seconds=back)) if row[0] else ""
    rows = connection.execute(
        "SELECT d.id FROM documents d JOIN collections k ON k.id = d.collection_id"
        " WHERE k.name NOT LIKE '.%' AND d.updated > ? ORDER BY d.updated DESC LIMIT ?",
        (since, MOST_RECENT),
    )
    return [identifier for (identifier,) in rows]


def seen(connection: Connection, name: str, documents: Sequence[str], now: str) -> list[str]:
    """Note which documents a kept search finds now; return those that it never found before."""
    row = connection.execute("SELECT seen, fresh FROM saved_queries WHERE name = ?", (name,)).fetchone()
    if row is None:
        return []
    before, waiting = list[str](json.loads(row[0])), list[str](json.loads(row[1]))
    known = set(before)
    news = [identifier for identifier in documents if identifier not in known]
    connection.execute(
        "UPDATE saved_queries SET seen = ?, fresh = ?, looked = ? WHERE name = ?",
        (json.dumps([*news, *before][:MOST_RECENT]), json.dumps([*news, *waiting][:MOST_FRESH]), now, name),
    )
    return news


def times(connection: Connection) -> tuple[int, float, float]:
    """Return the number of kept searches, and the median and the 95th percentile of their milliseconds."""
    taken = [row[0] for row in connection.execute("SELECT milliseconds FROM queries ORDER BY milliseconds")]
    return (len(taken), taken[len(taken) // 2], taken[len(taken) * 95 // 100]) if taken else (0, 0.0, 0.0)
