"""SQL on entries that were put aside because something about them did not fit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from homeport_rag.results.documents import Review
from homeport_rag.store.dialect import Connection

KEPT = 1_000


def put(connection: Connection, entry: Mapping[str, Any], reasons: Sequence[str], actor: str, now: str) -> int:
    """Put an entry aside; return its id. The oldest go when there are too many."""
    stored = json.dumps(dict(entry), ensure_ascii=False, sort_keys=True)
    connection.execute("DELETE FROM reviews WHERE entry = ?", (stored,))
    made = connection.execute(
        "INSERT INTO reviews (title, entry, reasons, actor, at) VALUES (?, ?, ?, ?, ?) RETURNING id",
        (entry["title"], stored, json.dumps(list(reasons)), actor, now),
    ).fetchone()[0]
    connection.execute("DELETE FROM reviews WHERE id <= ?", (made - KEPT,))
    return made


def listed(connection: Connection) -> list[Review]:
    """Return what was put aside, newest first."""
    rows = connection.execute("SELECT id, entry, reasons, actor, at FROM reviews ORDER BY id DESC")
    return [
        Review(review_id=i, **json.loads(entry), reasons=json.loads(reasons), actor=actor, at=at)
        for i, entry, reasons, actor, at in rows
    ]


def take(connection: Connection, identifier: int) -> Review | None:
    """Return what was put aside under an id, and forget it; None when there is nothing."""
    found = next((review for review in listed(connection) if review.review_id == identifier), None)
    connection.execute("DELETE FROM reviews WHERE id = ?", (identifier,))
    return found
