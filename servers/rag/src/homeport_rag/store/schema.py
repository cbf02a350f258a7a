"""The tables of `knowledge.db`."""

from __future__ import annotations

from collections.abc import Iterable

from homeport_shared.sqlite import Schema

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
);
"""
# Counts are kept by triggers, because counting 100,000 rows takes longer than a search. The model '*' counts passages.
COMPLETE = """
ALTER TABLE collections ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
ALTER TABLE collections ADD COLUMN wanted TEXT NOT NULL DEFAULT '';
ALTER TABLE collections ADD COLUMN answering TEXT NOT NULL DEFAULT '';
ALTER TABLE collections ADD COLUMN choice TEXT NOT NULL DEFAULT '["", ""]';
ALTER TABLE collections ADD COLUMN rebuilt TEXT NOT NULL DEFAULT '';
ALTER TABLE documents ADD COLUMN language TEXT NOT NULL DEFAULT '';
ALTER TABLE documents ADD COLUMN added TEXT NOT NULL DEFAULT '';
ALTER TABLE documents ADD COLUMN edits TEXT NOT NULL DEFAULT '{}';
ALTER TABLE documents ADD COLUMN error TEXT NOT NULL DEFAULT '';
ALTER TABLE documents ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
ALTER TABLE documents ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;
ALTER TABLE documents ADD COLUMN passages INTEGER NOT NULL DEFAULT 0;
UPDATE documents SET added = updated, passages = (SELECT count(*) FROM chunks WHERE document_id = documents.id);
CREATE INDEX documents_held ON documents (collection_id) WHERE held = 1;
CREATE INDEX documents_sha256 ON documents (sha256);
CREATE TABLE counts (
    collection_id INTEGER NOT NULL, model_id TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (collection_id, model_id)
) WITHOUT ROWID;
INSERT INTO counts SELECT collection_id, '*', count(*) FROM chunks GROUP BY 1;
INSERT INTO counts SELECT collection_id, model_id, count(*) FROM vectors JOIN chunks ON id = chunk_id GROUP BY 1, 2;
CREATE TRIGGER chunks_added AFTER INSERT ON chunks BEGIN
    INSERT INTO counts VALUES (NEW.collection_id, '*', 1) ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER chunks_removed AFTER DELETE ON chunks BEGIN
    UPDATE counts SET count = count - 1 WHERE collection_id = OLD.collection_id AND model_id = '*';
END;
CREATE TRIGGER vectors_added AFTER INSERT ON vectors BEGIN
    INSERT INTO counts SELECT collection_id, NEW.model_id, 1 FROM chunks WHERE id = NEW.chunk_id
        ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER vectors_removed BEFORE DELETE ON vectors BEGIN
    UPDATE counts SET count = count - 1 WHERE model_id = OLD.model_id
        AND collection_id = (SELECT collection_id FROM chunks WHERE id = OLD.chunk_id);
END;
CREATE TABLE names (id INTEGER PRIMARY KEY, document_id TEXT NOT NULL UNIQUE);
CREATE VIRTUAL TABLE names_fts USING fts5(name, tokenize='trigram');
INSERT INTO names (document_id) SELECT id FROM documents;
INSERT INTO names_fts (rowid, name) SELECT n.id, d.title || ' ' || d.uri FROM names n JOIN documents d
    ON d.id = n.document_id;
CREATE TRIGGER documents_named AFTER INSERT ON documents BEGIN
    INSERT INTO names (document_id) VALUES (NEW.id);
    INSERT INTO names_fts (rowid, name) SELECT id, NEW.title || ' ' || NEW.uri FROM names WHERE document_id = NEW.id;
END;
CREATE TRIGGER documents_unnamed AFTER DELETE ON documents BEGIN
    DELETE FROM names_fts WHERE rowid = (SELECT id FROM names WHERE document_id = OLD.id);
    DELETE FROM names WHERE document_id = OLD.id;
END;
CREATE TABLE versions (
    id INTEGER PRIMARY KEY, document_id TEXT NOT NULL, title TEXT NOT NULL, text TEXT NOT NULL,
    metadata TEXT NOT NULL, actor TEXT NOT NULL, updated TEXT NOT NULL
);
CREATE INDEX versions_document ON versions (document_id);
CREATE TABLE queries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, query TEXT NOT NULL, asked TEXT NOT NULL, at TEXT NOT NULL,
    mode TEXT NOT NULL, hits INTEGER NOT NULL, best REAL NOT NULL, milliseconds REAL NOT NULL
);
CREATE TABLE query_hits (
    query_id INTEGER NOT NULL REFERENCES queries(id) ON DELETE CASCADE, document_id TEXT NOT NULL,
    rank INTEGER NOT NULL, score REAL NOT NULL, excerpt TEXT NOT NULL, PRIMARY KEY (query_id, rank)
);
CREATE INDEX query_hits_document ON query_hits (document_id);
CREATE TABLE saved_queries (
    name TEXT PRIMARY KEY, asked TEXT NOT NULL, alert INTEGER NOT NULL, created TEXT NOT NULL,
    seen TEXT NOT NULL DEFAULT '[]'
);
CREATE TABLE memories (
    document_id TEXT PRIMARY KEY REFERENCES documents(id) ON DELETE CASCADE, tenant TEXT NOT NULL, actor TEXT NOT NULL,
    agent TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, tags TEXT NOT NULL, source TEXT NOT NULL,
    at TEXT NOT NULL, importance REAL NOT NULL, recalled TEXT NOT NULL
);
CREATE INDEX memories_owner ON memories (tenant, actor, agent);
"""
# `structure` is what was noted when a document was read; `tries` and `failed_ns` of how often the same file failed.
KNOWN = """
ALTER TABLE documents ADD COLUMN structure TEXT NOT NULL DEFAULT '{}';
ALTER TABLE documents ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE documents ADD COLUMN failed_ns INTEGER NOT NULL DEFAULT 0;
ALTER TABLE saved_queries ADD COLUMN fresh TEXT NOT NULL DEFAULT '[]';
ALTER TABLE saved_queries ADD COLUMN looked TEXT NOT NULL DEFAULT '';
CREATE TABLE reviews (
    id INTEGER PRIMARY KEY, title TEXT NOT NULL, entry TEXT NOT NULL, reasons TEXT NOT NULL, actor TEXT NOT NULL,
    at TEXT NOT NULL
)
"""
MEMORY = ".memory"  # the collection that holds memories; no search of documents looks into it
BUILT_IN = ("default", "emails", "reports", "projects")


def _named(names: Iterable[str]) -> str:
    rows = ", ".join(f"('{name}', 'en', strftime('%Y-%m-%dT%H:%M:%fZ'))" for name in names)
    return f"INSERT INTO collections (name, language, created) VALUES {rows}"  # noqa: S608 - own names


SCHEMA = Schema("homeport.rag", (TABLES + _named(BUILT_IN), COMPLETE + _named((MEMORY,)), KNOWN))
