"""Files and given texts to documents with their passages.

`read` runs in a worker process, because files are not to be trusted.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from homeport_rag.chunking import as_kind, chunk, estimate
from homeport_rag.languages import language_of
from homeport_rag.records import CollectionSettings, Passage, Source
from homeport_rag.sources import confined
from homeport_rag.structure import structure_of
from homeport_rag.tokens import counter
from homeport_shared.clock import iso
from homeport_shared.documents import Document, extract
from homeport_shared.documents.markdown import scan
from homeport_shared.documents.model import clean
from homeport_shared.documents.recognition import recognize
from homeport_shared.errors import HomeportError
from homeport_shared.paths import show


@dataclass(frozen=True, slots=True)
class Dividing:
    """How documents are read and divided.

    Attributes:
        settings: Of the collection.
        tokenizer: The `tokenizer.json` of the embedding model, which counts tokens; empty = they are estimated.
        scans: Languages in which scanned pages are recognized, such as `eng+deu`; empty = they are not read.
    """

    settings: CollectionSettings = field(default_factory=CollectionSettings)
    tokenizer: str = ""
    scans: str = ""

    def passages(self, document: Document) -> list[Passage]:
        """Return the passages of `document`."""
        chunks = chunk(
            as_kind(document, self.settings.splitter),
            limit_tokens=self.settings.chunk_tokens,
            count=counter(self.tokenizer) if self.tokenizer else estimate,
            overlap=self.settings.overlap_tokens / self.settings.chunk_tokens,
        )
        return [Passage(each.text, each.header, each.page, each.line, each.end_line) for each in chunks]


def read(path: str, identifier: str, folders: Sequence[str], home: str, max_bytes: int, dividing: Dividing) -> Source:
    """Return a file as a document with its passages.

    Args:
        path: The file, absolute.
        identifier: The id the document gets.
        folders: Those that may be read; what leads out of them is refused.
        home: The data root, which is not read.
        max_bytes: A larger file is refused.
        dividing: How it is divided.

    Raises:
        HomeportError: `unsupported`, `damaged`, `too_large`, `denied` or `not_found`, naming the file.
    """
    with confined(folders, home).find(path) as spot, spot.folder.open(spot.name) as file:
        status = os.fstat(file.fileno())
        data = file.read(max_bytes + 1)
    source = uploaded(data, show(Path(path).name), identifier, Path(path).as_uri(), max_bytes, dividing)
    modified = iso(datetime.fromtimestamp(status.st_mtime, UTC))
    return replace(source, size=status.st_size, mtime_ns=status.st_mtime_ns, modified=modified)


def uploaded(data: bytes, name: str, identifier: str, uri: str, max_bytes: int, dividing: Dividing) -> Source:
    """Return the bytes of a file as a document with its passages.

    Raises:
        HomeportError: `unsupported`, `damaged` or `too_large`, naming the file.
    """
    began = time.perf_counter()
    recognizing = partial(recognize, languages=dividing.scans) if dividing.scans else None
    document = extract(io.BytesIO(data), name, limit=max_bytes, recognize=recognizing)
    if not document.text.strip() and document.warnings:
        raise HomeportError("unsupported", document.warnings[0])
    passages = dividing.passages(document)
    structure = structure_of(document) | {"milliseconds": round(1000 * (time.perf_counter() - began), 1)}
    return Source(
        id=identifier,
        uri=uri,
        title=document.title,
        media_type=document.media_type,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        text=document.text,
        passages=passages,
        metadata=document.metadata,
        warnings=document.warnings,
        language=language_of(document.text),
        structure=structure,
    )


def given(text: str, identifier: str, uri: str, title: str, now: str, dividing: Dividing) -> Source:
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
        passages=dividing.passages(document),
        modified=now,
        language=language_of(text),
        structure=structure_of(document),
    )
