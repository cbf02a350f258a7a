"""`extract`: one way in for every format."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from typing import BinaryIO

from homeport_shared.documents.detection import GET_AGAIN, MEDIA_TYPES, kind_of, promised
from homeport_shared.documents.model import Document, FullError, Writer
from homeport_shared.errors import HomeportError

logger = logging.getLogger(__name__)
MAX_BYTES = 100_000_000

# Which module reads which kind; each has `read(data, writer)` and is imported when it is needed.
_READERS = {
    "pdf": "pdf",
    "docx": "word",
    "pptx": "slides",
    **dict.fromkeys(("xlsx", "xlsb", "xls", "ods"), "sheets"),
    "html": "html",
    "eml": "mail",
    **dict.fromkeys(("csv", "tsv"), "delimited"),
    "markdown": "markdown",
    **dict.fromkeys(("json", "xml", "code"), "code"),
    "text": "plain",
}


def extract(
    file: BinaryIO, name: str, *, limit: int = MAX_BYTES, recognize: Callable[[bytes], str] | None = None
) -> Document:
    """Read a document out of an open file.

    Args:
        file: Open for reading, at its start.
        name: Its name, whose suffix decides between kinds of text.
        limit: The most bytes it may have.
        recognize: Returns the text on the picture (netpbm) of a page that has none; None = such pages are not read.

    Raises:
        HomeportError: `unsupported`; `damaged`; `too_large`, also when it would be after unpacking; `denied`, when it
            is protected by a password.
    """
    data = file.read(limit + 1)
    if len(data) > limit:
        raise HomeportError(
            "too_large",
            f"{name} is larger than {limit / 1e6:,.0f} MB, the most that is read as a document.",
            "Divide it, or raise the limit in the settings.",
        )
    return extract_bytes(data, name, recognize)


def extract_bytes(data: bytes, name: str, recognize: Callable[[bytes], str] | None = None) -> Document:
    """Read a document out of bytes; for the rest see `extract`. This is the one to run in a worker."""
    writer = Writer(name, recognize=recognize)
    if not data:
        writer.warnings.append(f"{name} is empty.")
        return writer.finish(MEDIA_TYPES[promised(name) or "text"])
    kind = kind_of(data, name)
    if (named := promised(name)) and kind != named and {kind, named} & {"pdf", "docx", "pptx", "xlsx", "html"}:
        writer.warnings.append(f"{name} is {kind.upper()} inside, whatever its name says; it was read as that.")
    reader = importlib.import_module(f"homeport_shared.documents.{_READERS[kind]}")
    try:
        reader.read(data, writer)
    except FullError:
        writer.warn_full()
    except (HomeportError, MemoryError):
        raise
    except Exception as error:  # the boundary to the parsers: a damaged file makes them raise anything
        logger.info("%s cannot be read as %s", name, kind, exc_info=error)
        raise HomeportError("damaged", f"{name} is damaged: it cannot be read as {kind.upper()}.", GET_AGAIN) from error
    return writer.finish(MEDIA_TYPES[kind])
