"""Files and given texts to documents with their passages.

`read` runs in a worker process, because files are not to be trusted.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from homeport_rag.chunking import Count, chunk, estimate
from homeport_rag.records import Passage, Source
from homeport_rag.sources import confined
from homeport_shared.clock import iso
from homeport_shared.documents import Document, extract
from homeport_shared.documents.markdown import scan
from homeport_shared.documents.model import clean


def read(path: str, identifier: str, folders: Sequence[str], home: str, max_bytes: int, tokenizer: str) -> Source:
    """Return a file as a document with its passages.

    Args:
        path: The file, absolute.
        identifier: The id the document gets.
        folders: Those that may be read; what leads out of them is refused.
        home: The data root, which is not read.
        max_bytes: A larger file is refused.
        tokenizer: The `tokenizer.json` of the embedding model, which counts tokens; empty = they are estimated.

    Raises:
        HomeportError: `unsupported`, `damaged`, `too_large`, `denied` or `not_found`, naming the file.
    """
    with confined(folders, home).find(path) as spot, spot.folder.open(spot.name) as file:
        status = os.fstat(file.fileno())
        data = file.read(max_bytes + 1)
    name = Path(path).name
    document = extract(io.BytesIO(data), name, limit=max_bytes)
    return Source(
        id=identifier,
        uri=Path(path).as_uri(),
        title=document.title,
        media_type=document.media_type,
        size=status.st_size,
        sha256=hashlib.sha256(data).hexdigest(),
        text=document.text,
        passages=_passages(document, _counter(tokenizer) if tokenizer else estimate),
        mtime_ns=status.st_mtime_ns,
        modified=iso(datetime.fromtimestamp(status.st_mtime, UTC)),
        metadata=document.metadata,
        warnings=document.warnings,
    )


def given(text: str, identifier: str, uri: str, title: str, now: str) -> Source:
    """Return a given text, which may be Markdown, as a document with its passages."""
    text = clean(text)
    data = text.encode()
    title = title or text.strip().split("\n")[0].strip("# ")[:80]
    document = Document(title, text, "text/markdown", scan(text))
    return Source(
        id=identifier,
        uri=uri,
        title=title,
        media_type=document.media_type,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        text=text,
        passages=_passages(document, estimate),
        modified=now,
    )


def _passages(document: Document, count: Count) -> list[Passage]:
    chunks = chunk(document, count=count)
    return [Passage(each.text, each.header, each.page, each.line, each.end_line) for each in chunks]


@cache
def _counter(tokenizer: str) -> Count:
    from tokenizers import Tokenizer

    loaded = Tokenizer.from_file(tokenizer)
    loaded.no_padding()
    loaded.no_truncation()
    return lambda texts: [len(e.ids) for e in loaded.encode_batch_fast(list(texts), add_special_tokens=False)]
