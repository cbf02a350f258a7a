"""The full-text indexes: FTS5 in SQLite, lists of words of our own in PostgreSQL, with the same words and scores."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from homeport_rag.search import searchable
from homeport_rag.store.dialect import Connection, is_sqlite

INDEX = {True: "chunks_fts", False: "chunks_fts_plain"}  # by whether the collection is English
NAMES = "names_fts"
TOKENIZER = {INDEX[True]: "porter unicode61", INDEX[False]: "unicode61", NAMES: "trigram"}


def add(connection: Connection, document: str, index: str) -> None:
    """Put the passages of a document into an index."""
    rows = _passages(connection, document)
    if not is_sqlite(connection):
        from homeport_rag.store.postgres import words

        words.add(connection, index, document, rows)
        return
    connection.executemany(
        f"INSERT INTO {index} (rowid, header, text) VALUES (?, ?, ?)",  # noqa: S608 - our own names
        rows,
    )


def remove(connection: Connection, document: str, index: str, *, known: bool = False) -> int:
    """Take the passages of a document out of an index; return how many they are.

    With `known`, only those that are in it: to take out what is not there would damage it.
    """
    if not is_sqlite(connection):
        from homeport_rag.store.postgres import words

        words.remove(connection, index, document)
        return len(_passages(connection, document))
    there = f"AND id IN (SELECT id FROM {index}_docsize)" if known else ""  # noqa: S608 - our own names
    rows = _passages(connection, document, there)
    connection.executemany(
        f"INSERT INTO {index} ({index}, rowid, header, text) VALUES ('delete', ?, ?, ?)",  # noqa: S608 - our own names
        rows,
    )
    return len(rows)


def _passages(connection: Connection, document: str, condition: str = "") -> list[tuple[int, str, str]]:
    rows = connection.execute(
        f"SELECT id, header, text FROM chunks WHERE document_id = ? {condition} ORDER BY id",  # noqa: S608 - our own words
        (document,),
    )
    return [(identifier, searchable(header), searchable(text)) for identifier, header, text in rows]


def add_name(connection: Connection, document: str, title: str, uri: str) -> None:
    """Let a new document be found by its title and source; in SQLite a trigger does it."""
    if not is_sqlite(connection):
        from homeport_rag.store.postgres import words

        (number,) = connection.execute(
            "INSERT INTO names (document_id) VALUES (?) RETURNING id", (document,)
        ).fetchone()
        words.add(connection, NAMES, document, [(number, "", f"{title} {uri}")])


def remove_name(connection: Connection, document: str) -> None:
    """Let a document that is deleted be found no more by its name; in SQLite a trigger does it."""
    if not is_sqlite(connection):
        from homeport_rag.store.postgres import words

        words.remove(connection, NAMES, document)
        connection.execute("DELETE FROM names WHERE document_id = ?", (document,))


def names(connection: Connection, threes: Sequence[str], limit: int) -> list[tuple[int, float]]:
    """Return the names that share most groups of three letters with a text: (id in `names`, score), best first."""
    if not is_sqlite(connection):
        from homeport_rag.store.postgres import words

        return words.Lists(connection, NAMES).best(threes, limit)
    query = " OR ".join(f'"{three.replace(chr(34), chr(34) * 2)}"' for three in threes)
    return connection.execute(
        "SELECT rowid, -rank FROM names_fts WHERE names_fts MATCH ? ORDER BY rank LIMIT ?", (query, limit)
    ).fetchall()


def damaged(connection: Connection) -> list[str]:
    """Return the indexes that do not agree with what they were made of."""
    if not is_sqlite(connection):
        from homeport_rag.store.postgres import words

        return [index for index in TOKENIZER if words.is_damaged(connection, index)]
    found: list[str] = []
    for index in TOKENIZER:
        try:
            connection.execute(f"INSERT INTO {index} ({index}) VALUES ('integrity-check')")  # noqa: S608 - our own names
        except sqlite3.DatabaseError:
            found.append(index)
    return found
