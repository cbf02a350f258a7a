"""Extraction where it belongs: in a worker, whose death is one sentence and not the end of the server."""

from __future__ import annotations

import io

import anyio
import openpyxl
import pytest
from tests.patience import PATIENCE

from homeport_shared.documents import extract_bytes
from homeport_shared.errors import HomeportError
from homeport_shared.workers import Worker

pytestmark = [pytest.mark.anyio, pytest.mark.subprocess]


async def test_a_file_that_kills_its_parser_is_refused_and_the_next_one_is_read() -> None:
    book = openpyxl.Workbook()
    book.active["A1"], book.active["XFD1048576"] = "first", "last"  # 17 thousand million cells between them
    file = io.BytesIO()
    book.save(file)
    reader = Worker("document reader", memory_mb=512)
    try:
        with anyio.fail_after(PATIENCE):
            with pytest.raises(HomeportError) as caught:
                await reader.call(extract_bytes, file.getvalue(), "far.xlsx")
            assert caught.value.code in {"unavailable", "too_large", "damaged"}
            document = await reader.call(extract_bytes, b"# Next\n\nwords", "next.md")
            assert document == extract_bytes(b"# Next\n\nwords", "next.md")
            with pytest.raises(HomeportError, match="binary data"):
                await reader.call(extract_bytes, b"\0\1", "data.txt")
    finally:
        await reader.aclose()
