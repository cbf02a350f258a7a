"""The tables of `knowledge.db`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database, Migrations

TABLES = """
CREATE TABLE collections (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, language TEXT NOT NULL, created TEXT NOT NULL
);
CREATE TABLE documents (
    id TEXT PRIMARY KEY, collection_id INTEGER NOT NULL REFERENCES collections(id), uri TEXT NOT NULL,
    title TEXT NOT NULL, media_type TEXT NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL,
    mtime_ns INTEGER NOT NULL, modified TEXT NOT NULL, metadata TEXT NOT NULL, warnings TEXT NOT NULL,
    actor TEXT NOT NULL, updated TEXT NOT NULL, UNIQUE (collection_id, uri)
);
CREATE INDEX documents_title ON documents (title COLLATE NOCASE, id);
CREATE TABLE texts (document_id TEXT PRIMARY KEY REFERENCES documents(id) ON DELETE CASCADE, text TEXT NOT NULL);
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, document_id TEXT NOT NULL REFERENCES documents(id),
    collection_id INTEGER NOT NULL, ordinal INTEGER NOT NULL, header TEXT NOT NULL, text TEXT NOT NULL,
    page INTEGER, line INTEGER NOT NULL, end_line INTEGER NOT NULL
);
CREATE INDEX chunks_document ON chunks (document_id);
CREATE INDEX chunks_collection ON chunks (collection_id);
CREATE VIRTUAL TABLE chunks_fts USING fts5(header, text, content='chunks', content_rowid='id',
    tokenize='porter unicode61');
CREATE VIRTUAL TABLE chunks_fts_plain USING fts5(header, text, content='chunks', content_rowid='id',
    tokenize='unicode61');
CREATE TABLE vectors (
    chunk_id INTEGER NOT NULL, model_id TEXT NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (chunk_id, model_id)
);
CREATE TABLE changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, operation TEXT NOT NULL, chunk_id INTEGER NOT NULL,
    collection_id INTEGER NOT NULL, model_id TEXT NOT NULL
);
CREATE TABLE outcomes (
    job TEXT NOT NULL, uri TEXT NOT NULL, outcome TEXT NOT NULL, chunks INTEGER NOT NULL, message TEXT NOT NULL,
    PRIMARY KEY (job, uri)
)
"""
BUILT_IN = ("default", "emails", "reports", "projects")


def migrations() -> Migrations:
    """Return the migrations of `knowledge.db`."""
    from sqlite_utils import Migrations

    steps = Migrations("homeport.rag")

    @steps()
    def create(database: Database) -> None:  # pyright: ignore[reportUnusedFunction]
        for statement in TABLES.split(";\n"):
            database.conn.execute(statement)
        for name in BUILT_IN:
            database.conn.execute(
                "INSERT INTO collections (name, language, created) VALUES (?, 'en', strftime('%Y-%m-%dT%H:%M:%fZ'))",
                (name,),
            )

    return steps
