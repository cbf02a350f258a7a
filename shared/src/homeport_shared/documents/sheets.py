"""XLSX, XLSB, XLS and ODS by calamine: each sheet is a heading and a table of its values."""

from __future__ import annotations

import datetime
import io
import re
from typing import Any

from homeport_shared.documents import archive
from homeport_shared.documents.detection import password_needed
from homeport_shared.documents.model import FullError, Writer, row
from homeport_shared.errors import HomeportError

_OVERLAP = 1 << 10  # bytes between two pieces; what is looked for is hardly longer
# A cell with a formula and no value. With t="str" the value is there: the empty text.
_UNCALCULATED = re.compile(
    rb'<c (?![^>]*t="str")[^>]*>\s*<f(?:\s[^>]*)?(?:/>|>[^<]*</f>)\s*(?:<v\s*/>|<v>\s*</v>)?\s*</c>'
)


def read(data: bytes, writer: Writer) -> None:
    """Fill `writer` from a workbook; formulas appear as the values they had when it was saved."""
    import python_calamine

    if data.startswith(b"PK"):
        formulas = _Formulas()
        for part, piece in archive.pieces(data, writer.name):
            formulas.see(part, piece)
        if formulas.uncalculated:
            writer.warnings.append(
                f"Formulas of {writer.name} have no values yet and read as empty: open it in a program that calculates,"
                " and save it."
            )
    try:
        book: Any = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
        _read_sheets(book, writer)
    except python_calamine.PasswordError as error:
        raise password_needed(writer.name) from error
    except (FullError, MemoryError):
        raise
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # how Rust reports its own faults; no subclass of Exception
            raise HomeportError("damaged", f"{writer.name} is damaged: its cells cannot be read.") from error
        raise


def _read_sheets(book: Any, writer: Writer) -> None:
    names: list[str] = book.sheet_names
    writer.metadata["sheets"] = names
    writer.title = writer.name
    for page, name in enumerate(names, 1):
        if "worksheet" not in str(book.sheets_metadata[page - 1].typ).lower():
            continue
        rows: list[list[Any]] = book.get_sheet_by_index(page - 1).to_python(skip_empty_area=True)
        lines = [line for cells in rows if (line := row([_shown(cell) for cell in cells]))]
        writer.add(name, "heading", level=2, page=page)
        writer.add("\n".join(lines), "table", page=page)


class _Formulas:
    """Looks for a formula without a value, as programs write it that do not calculate."""

    uncalculated = False
    _before = ("", b"")

    def see(self, part: str, piece: bytes) -> None:
        if part.startswith("xl/worksheets/") and not self.uncalculated:
            name, end = self._before
            self.uncalculated = _UNCALCULATED.search(end + piece if name == part else piece) is not None
            self._before = part, piece[-_OVERLAP:]


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ", "seconds").removesuffix(" 00:00:00")
    return str(value)
