"""CSV and TSV: the file's own lines as one table."""

from __future__ import annotations

import csv
import io

from homeport_shared.documents.model import Writer
from homeport_shared.documents.plain import block, decode_source

_SAMPLE = 16_384


def read(data: bytes, writer: Writer) -> None:
    """Fill `writer` from delimited text; `metadata` gets `delimiter`, `columns` (names) and `rows` where it parses."""
    text = decode_source(data, writer)
    lines = text.split("\n")
    full = [number for number, line in enumerate(lines) if line.strip()]
    writer.take_source(text, [block(lines, full[0], full[-1] + 1, "table")] if full else [])
    delimiter = _delimiter(text[:_SAMPLE])
    try:
        rows = csv.reader(io.StringIO(text), delimiter=delimiter)
        header = next(rows, list[str]())
        count = sum(1 for row in rows if row)
    except csv.Error:  # such as a cell above 128 KiB: the text is there all the same
        return
    writer.metadata |= {"delimiter": delimiter, "columns": [name.strip() for name in header][:200], "rows": count}


def _delimiter(sample: str) -> str:
    try:
        return csv.Sniffer().sniff(sample, ",;\t|").delimiter
    except csv.Error:
        first = sample.partition("\n")[0]
        return max(",;\t|", key=first.count)
