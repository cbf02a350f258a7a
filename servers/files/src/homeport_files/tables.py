"""Rows of CSV files and workbooks: a page of them, filtered and sorted. Everything here runs in a worker."""

from __future__ import annotations

import csv
import io
import re
import zipfile
import zlib
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePath
from typing import Any

from homeport_shared.documents import archive, decode
from homeport_shared.errors import HomeportError

MOST_ROWS = 1_000_000
MOST_CELL = 2_000
# What zipfile raises for an archive that is damaged, or packed in a way that no workbook is.
_BROKEN_ARCHIVE = (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, ValueError, OSError)
_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:[eE][-+]?\d+)?")
_COMPARED = re.compile(r"(<=|>=|=|<|>)\s*(.+)")


@dataclass(frozen=True, slots=True)
class View:
    """Which rows are wanted.

    Attributes:
        sheet: A sheet's name; empty = the first.
        filters: Column number from 0 → a part of its text, or `=`, `<`, `>`, `<=`, `>=` and a value.
        sort: Column number to sort by; None = as in the file.
        descending: The largest first.
        offset: Rows to leave out.
        limit: The most rows.
    """

    sheet: str = ""
    filters: dict[int, str] = field(default_factory=dict[int, str])
    sort: int | None = None
    descending: bool = False
    offset: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Rows:
    """A page of a table; `total` rows fit the filters, `whole` are there."""

    columns: list[str]
    rows: list[list[str]]
    total: int
    whole: int
    sheets: list[str]
    sheet: str


@dataclass(frozen=True, slots=True)
class _Table:
    columns: list[str]
    rows: list[list[str]]
    sheets: list[str]
    sheet: str


_last: tuple[str, str, _Table] | None = None  # of the worker's process: pages of one table follow each other


def rows(data: bytes, name: str, state: str, view: View) -> Rows:
    """Return the rows of `data` that `view` asks for.

    Args:
        data: A CSV or TSV file, or a workbook.
        name: Its name.
        state: A mark that changes with the content: the same table is parsed once.
        view: What is wanted.

    Raises:
        HomeportError: `damaged`; `not_found`, for a sheet that is not there.
    """
    global _last
    if _last is None or _last[:2] != (state, view.sheet):
        delimited = PurePath(name).suffix.lower() in (".csv", ".tsv")
        _last = (state, view.sheet, _delimited(data, name) if delimited else _sheet(data, name, view.sheet))
    table = _last[2]
    found = [row for row in table.rows if all(_fits(row, column, text) for column, text in view.filters.items())]
    if view.sort is not None:
        column = view.sort
        found.sort(key=lambda row: _order(_cell(row, column)), reverse=view.descending)
    shown = found[view.offset : view.offset + view.limit]
    cut = [[cell[:MOST_CELL] for cell in row] for row in shown]
    return Rows(table.columns, cut, len(found), len(table.rows), table.sheets, table.sheet)


def _delimited(data: bytes, name: str) -> _Table:
    text = decode(data, name).text
    sample = text[:16_384]
    try:
        delimiter = csv.Sniffer().sniff(sample, ",;\t|").delimiter
    except csv.Error:
        delimiter = max(",;\t|", key=sample.partition("\n")[0].count)
    try:
        lines = list(islice(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), MOST_ROWS + 1))
    except csv.Error as error:
        raise HomeportError("damaged", f"{name} does not read as a table: {error}.", "Read it as text.") from error
    return _table([row for row in lines if row], [], "")


def _sheet(data: bytes, name: str, wanted: str) -> _Table:
    import python_calamine

    try:
        if data.startswith(b"PK"):
            for _ in archive.pieces(data, name):  # calamine believes what the archive states
                pass
        book: Any = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
        sheets: list[str] = list(book.sheet_names)
        if wanted and wanted not in sheets:
            raise HomeportError("not_found", f"{name} has no sheet {wanted!r}.", f"It has: {', '.join(sheets)}.")
        sheet = wanted or (sheets[0] if sheets else "")
        cells: list[list[Any]] = book.get_sheet_by_name(sheet).to_python(skip_empty_area=True) if sheet else []
    except python_calamine.PasswordError as error:
        raise HomeportError("denied", f"{name} is protected by a password.", "Save a copy without it.") from error
    except (python_calamine.CalamineError, *_BROKEN_ARCHIVE) as error:
        raise HomeportError("damaged", f"{name} is damaged: it does not open as a workbook.") from error
    return _table([[_shown(cell) for cell in row] for row in cells[: MOST_ROWS + 1]], sheets, sheet)


def _table(lines: list[list[str]], sheets: list[str], sheet: str) -> _Table:
    head, *body = lines or [[]]
    width = max(map(len, lines), default=0)
    columns = [*head, *([""] * (width - len(head)))]
    return _Table([name.strip()[:200] for name in columns], body, sheets, sheet)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value).removesuffix(" 00:00:00")


def _cell(row: list[str], column: int) -> str:
    return row[column] if 0 <= column < len(row) else ""


def _fits(row: list[str], column: int, text: str) -> bool:
    cell = _cell(row, column)
    compared = _COMPARED.fullmatch(text.strip())
    if compared is None:
        return text.strip().lower() in cell.lower()
    sign, wanted = compared[1], compared[2]
    left, right = _order(cell), _order(wanted)
    if sign == "=":
        return left == right
    if left[0] != right[0]:
        return False
    return {"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}[sign]


def _order(cell: str) -> tuple[int, float, str]:
    """Return a key that puts numbers in their order, before texts, before empty cells."""
    text = cell.strip()
    if not text:
        return 2, 0.0, ""
    if any(sign.isdigit() for sign in text) and _NUMBER.fullmatch(text):
        return 0, float(text.replace(",", "")), ""
    return 1, 0.0, text.lower()
