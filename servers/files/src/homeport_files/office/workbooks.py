"""Excel: sheets of cells, formulas, number formats and charts, in a new workbook or one that is there."""

from __future__ import annotations

import datetime
import io
import re
import zipfile
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, WithJsonSchema

from homeport_shared.documents import archive
from homeport_shared.errors import HomeportError

CHARTS = {"type": "array", "description": "{kind: bar, line, pie or scatter; range; title}"}
Cell = Annotated[str | int | float | bool | None, WithJsonSchema({})]
MOST_CELLS = 500_000
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?")
_QUOTED = re.compile(r'"[^"]*"')
_REACHES_OUT = re.compile(r"\b(WEBSERVICE|CALL|REGISTER(\.ID)?|EXEC|RTD)\s*\(|\|[^!]*!", re.IGNORECASE)
_NAME = re.compile(r"[^\[\]:*?/\\]{1,31}")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
# What a program writes anew or that nobody misses.
_REMADE = re.compile(
    r"xl/(calcChain\.xml|sharedStrings\.xml|metadata\.xml|printerSettings/.*|theme/.*|persons/.*|styles\.xml"
    r"|media/.*|worksheets/_rels/.*)|docProps/.*|customXml/.*|_rels/.*|\[.*|.*\.rels|.*/"
)


class Chart(BaseModel):
    """A chart over cells whose first row and first column are names."""

    kind: Literal["bar", "line", "pie", "scatter"]
    range: str
    title: str = ""


class Sheet(BaseModel):
    """Cells of a sheet, from `start`; without it from A1, or below what is there."""

    name: str
    rows: list[list[Cell]] = []
    start: str = Field(default="", description="cell")
    formats: dict[str, str] = Field(default={}, description="range: number format")
    charts: Annotated[list[Chart], WithJsonSchema(CHARTS)] = []


def write_workbook(old: bytes | None, sheets: list[Sheet], name: str) -> bytes:
    """Make an XLSX, or put cells, formats and charts into one.

    A text that begins with `=` is a formula, one like `2026-01-31` a date; a leading `'` keeps either as text. The
    first row of a new sheet is its header.

    Args:
        old: The workbook to change; None = a new one.
        sheets: What to put where; a sheet that is not there is made.
        name: The file's name, for errors.

    Raises:
        HomeportError: `invalid`, for a name, range or character that Excel does not take; `denied`, for a formula that
            would start a program or reach the network; `too_large`; `damaged`; `unsupported`, when the workbook holds
            parts that would be lost.
    """
    import openpyxl

    if sum(len(row) for sheet in sheets for row in sheet.rows) > MOST_CELLS:
        raise HomeportError("too_large", f"More than {MOST_CELLS:,} cells at once.", "Write them in parts.")
    if old is None:
        book: Any = openpyxl.Workbook()
        book.remove(book.active)
    else:
        book = _opened(old, name)
    for sheet in sheets:
        _fill(book, sheet)
    if not book.sheetnames:
        raise HomeportError("invalid", "A workbook needs a sheet.", "Give sheets with a name and rows.")
    book.calculation.fullCalcOnLoad = True
    out = io.BytesIO()
    book.save(out)
    data = out.getvalue()
    if old is not None:
        _require_whole(old, data, name)
    return data


def _opened(data: bytes, name: str) -> Any:
    import openpyxl

    archive.check(data, name)
    try:
        return openpyxl.load_workbook(io.BytesIO(data), keep_vba=name.lower().endswith(".xlsm"))
    except Exception as error:  # the boundary to the parser, which has an exception of its own for each fault
        raise HomeportError("damaged", f"{name} does not open as a workbook.", "Write a new one.") from error


def _fill(book: Any, sheet: Sheet) -> None:
    fresh = sheet.name not in book.sheetnames
    if fresh and (not _NAME.fullmatch(sheet.name) or sheet.name.lower() in map(str.lower, book.sheetnames)):
        raise HomeportError(
            "invalid", f"{sheet.name!r} cannot name a new sheet.", "Use 1 to 31 characters without []:*?/\\ ."
        )
    page = book.create_sheet(sheet.name) if fresh else book[sheet.name]
    if not hasattr(page, "cell"):
        raise HomeportError("unsupported", f"{sheet.name!r} is a chart, not cells.", "Name another sheet.")
    row, column = _start(page, sheet.start)
    for down, cells in enumerate(sheet.rows):
        for right, value in enumerate(cells):
            _put(page.cell(row + down, column + right), value)
    if fresh and sheet.rows:
        _dress(page, row, len(sheet.rows[0]), column)
    for span, form in sheet.formats.items():
        for cell in _cells(page, span):
            cell.number_format = form
    for chart in sheet.charts:
        _draw(page, chart)


def _start(page: Any, start: str) -> tuple[int, int]:
    from openpyxl.utils.cell import coordinate_to_tuple
    from openpyxl.utils.exceptions import CellCoordinatesException

    if not start:
        empty = page.max_row == 1 and all(cell.value is None for cell in page[1])
        return (1 if empty else page.max_row + 1), 1
    try:
        return coordinate_to_tuple(start)
    except (CellCoordinatesException, ValueError) as error:
        raise HomeportError("invalid", f"{start!r} is no cell.", "Write one like B2.") from error


def _put(cell: Any, value: Cell) -> None:
    if isinstance(value, str) and _FORBIDDEN.search(value):
        raise HomeportError("invalid", f"The text of {cell.coordinate} has a character that Excel cannot hold.")
    if isinstance(value, str) and len(value) > 32_767:
        raise HomeportError("too_large", f"The text of {cell.coordinate} is longer than Excel's 32,767 characters.")
    if not isinstance(value, str):
        cell.value = value
    elif value.startswith("'"):
        cell.value, cell.data_type = value[1:], "s"
    elif value.startswith("=") and len(value) > 1:
        if _REACHES_OUT.search(_QUOTED.sub("", value)):
            raise HomeportError(
                "denied", f"The formula of {cell.coordinate} would reach out of the workbook.", "Write its value."
            )
        cell.value = value
    elif _DATE.fullmatch(value) and (moment := _moment(value)):
        cell.value = moment
        cell.number_format = "yyyy-mm-dd" if len(value) == 10 else "yyyy-mm-dd hh:mm:ss"
    else:
        cell.value, cell.data_type = value, "s"


def _moment(text: str) -> datetime.datetime | None:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.year >= 1900 else None


def _dress(page: Any, row: int, count: int, column: int) -> None:
    """Give a new sheet a header that stays in view, and columns as wide as their content."""
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    for right in range(count):
        page.cell(row, column + right).font = Font(bold=True)
    page.freeze_panes = page.cell(row + 1, 1)
    for cells in page.iter_cols(min_row=row, max_row=min(page.max_row, row + 200)):
        width = max((len(str(cell.value)) for cell in cells if cell.value is not None), default=0)
        page.column_dimensions[get_column_letter(cells[0].column)].width = min(max(width + 2, 9), 60)


def _cells(page: Any, span: str) -> list[Any]:
    from openpyxl.utils.cell import get_column_letter

    try:
        left, top, right, bottom = _bounds(span)
    except ValueError as error:
        raise HomeportError("invalid", f"{span!r} is no range.", "Write one like B2:B20, or B:B.") from error
    last = f"{get_column_letter(right or page.max_column)}{bottom or page.max_row}"
    found: Any = page[f"{get_column_letter(left or 1)}{top or 1}:{last}"]
    return [cell for row in found for cell in row]


def _bounds(span: str) -> tuple[int | None, int | None, int | None, int | None]:
    from openpyxl.utils.cell import range_boundaries

    bounds: Any = range_boundaries(span)
    left, top, right, bottom = bounds
    if (right or 1) - (left or 1) > 16_384 or ((bottom or 1) - (top or 1) + 1) * ((right or 1) - (left or 1) + 1) > 1e6:
        raise ValueError(span)
    return left, top, right, bottom


def _draw(page: Any, chart: Chart) -> None:
    from openpyxl.chart import BarChart, LineChart, PieChart, Reference, ScatterChart
    from openpyxl.chart.series_factory import SeriesFactory  # pyright: ignore[reportUnknownVariableType]

    try:
        left, top, right, bottom = _bounds(chart.range)
    except ValueError as error:
        raise HomeportError("invalid", f"{chart.range!r} is no range.", "Write one like A1:C10.") from error
    if left is None or top is None or right is None or bottom is None or right == left or bottom == top:
        raise HomeportError("invalid", f"{chart.range!r} holds no names and values.", "Write one like A1:C10.")
    kinds = {"bar": BarChart, "line": LineChart, "pie": PieChart, "scatter": ScatterChart}
    made: Any = kinds[chart.kind]()
    names = Reference(page, min_col=left, min_row=top + 1, max_row=bottom)
    for column in range(left + 1, right + 1):
        values: Any = Reference(page, min_col=column, min_row=top, max_row=bottom)
        across = names if chart.kind == "scatter" else None
        made.series.append(SeriesFactory(values, across, title_from_data=True))
    if chart.kind != "scatter":
        made.set_categories(names)
    made.title = chart.title or None
    below = len(page._charts) * 16 + 2  # pyright: ignore[reportPrivateUsage] - openpyxl shows its charts nowhere else
    page.add_chart(made, f"{_letter(page.max_column + 2)}{below}")


def _letter(column: int) -> str:
    from openpyxl.utils import get_column_letter

    return get_column_letter(column)


def _require_whole(old: bytes, new: bytes, name: str) -> None:
    """Refuse a change after which parts of the workbook are gone: better none than one with a loss."""

    def parts(data: bytes) -> set[str]:
        with zipfile.ZipFile(io.BytesIO(data)) as members:
            return {re.sub(r"\d+(?=\.\w+$)", "", part) for part in members.namelist() if not _REMADE.fullmatch(part)}

    kinds = {part.rpartition("/")[0] for part in parts(new)}
    lost = sorted({part for part in parts(old) - parts(new) if part.rpartition("/")[0] not in kinds - {"xl"}})
    if lost:
        raise HomeportError(
            "unsupported",
            f"{name} holds parts that would be lost by a change: {', '.join(lost[:5])}.",
            "Write a new workbook, or change it in Excel.",
        )
