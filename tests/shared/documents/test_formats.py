"""Real documents of every format, made by the libraries that people's programs use."""

from __future__ import annotations

import datetime
import io
from collections.abc import Callable

import docx
import openpyxl
import pptx
import pytest
from docx.oxml import parse_xml
from fpdf import FPDF

from homeport_shared.documents import Document, extract, extract_bytes, supported
from homeport_shared.documents.html import decode_page


def saved(save: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    save(file)
    return file.getvalue()


def shape_of(document: Document) -> list[tuple[str, int, str]]:
    return [(block.kind, block.level, block.text) for block in document.blocks]


def pdf(*pages: str, outline: bool = False) -> FPDF:
    made = FPDF()
    made.set_font("Helvetica", size=12)
    for text in pages:
        made.add_page()
        if outline:
            made.start_section(text.split("\n")[0])
        if text:
            made.multi_cell(0, text=text)
    return made


def test_markdown_is_divided_and_keeps_its_own_lines() -> None:
    source = (
        "---\ntitle: 'The Guide'\n---\n# One #\nHello\nworld\n\n```python\n# no heading\n\nx = 1\n```\n"
        "Two\n---\n- a\n- b\n\n  more of b\n\nText | not table\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n    indented\n"
    )
    document = extract_bytes(source.encode(), "guide.md")
    assert document.title == "The Guide"
    assert document.text == source
    assert document.media_type == "text/markdown"
    assert [(b.kind, b.level, b.line, b.end_line) for b in document.blocks] == [
        ("code", 0, 1, 3),
        ("heading", 1, 4, 4),
        ("paragraph", 0, 5, 6),
        ("code", 0, 8, 12),
        ("heading", 2, 13, 14),
        ("list", 0, 15, 18),
        ("paragraph", 0, 20, 20),
        ("table", 0, 22, 24),
        ("code", 0, 26, 26),
    ]
    assert [b.text for b in document.blocks if b.kind == "heading"] == ["One", "Two"]


def test_plain_text_is_divided_at_blank_lines() -> None:
    document = extract_bytes(b"one\r\ntwo\r\n\r\n\r\nthree", "notes.txt")
    assert [(b.text, b.line, b.end_line) for b in document.blocks] == [("one\ntwo", 1, 2), ("three", 5, 5)]
    assert document.title == "notes.txt"


def test_code_is_divided_before_unindented_lines() -> None:
    source = "import os\n\ndef a():\n    x = 1\n\n    return x\n\n\ndef b():\n    pass\n"
    document = extract_bytes(source.encode(), "tool.py")
    assert [(b.kind, b.line, b.end_line) for b in document.blocks] == [("code", 1, 1), ("code", 3, 6), ("code", 9, 10)]


def test_csv_of_any_dialect_is_one_table() -> None:
    document = extract_bytes('Name;"Preis;netto"\n"Öl";3,50\n\n"zwei\nZeilen";1\n'.encode("cp1252"), "waren.csv")
    assert document.metadata == {
        "encoding": "cp1252",
        "delimiter": ";",
        "columns": ["Name", "Preis;netto"],
        "rows": 2,
    }
    assert shape_of(document) == [("table", 0, 'Name;"Preis;netto"\n"Öl";3,50\n\n"zwei\nZeilen";1')]
    assert extract_bytes(b"a\tb\n1\t2\n", "x.tsv").metadata["delimiter"] == "\t"


def test_html_keeps_words_and_drops_scripts() -> None:
    source = b"""<!DOCTYPE html><html><head><title>Fish &amp; Chips</title><style>p{}</style></head><body>
        <script>steal()</script><nav>Home</nav><h1>Menu <em>today</em></h1><p>Very<br>good <b>fi</b>sh.</p>
        <ul><li>cod<li>haddock <i>smoked</i></ul><table><tr><th>Fish<th>Price<tr><td>cod<td>9</table>
        <pre>a = 1\n  b</pre><noscript>no</noscript>tail</body></html>"""
    document = extract_bytes(source, "menu")
    assert document.title == "Fish & Chips"
    assert shape_of(document) == [
        ("paragraph", 0, "Home"),
        ("heading", 1, "Menu today"),
        ("paragraph", 0, "Very\ngood fish."),
        ("list", 0, "- cod\n- haddock smoked"),
        ("table", 0, "Fish | Price\ncod | 9"),
        ("code", 0, "a = 1\n  b"),
        ("paragraph", 0, "tail"),
    ]
    assert document.text.startswith("Home\n\n# Menu today\n\n")


@pytest.mark.parametrize(
    ("text", "encoding", "stated", "found"),
    [
        ("日本語", "euc-jp", "EUC-JP", "euc_jp"),  # goes before what the page says itself
        ("日本語①", "cp932", "Shift_JIS", "cp932"),  # read as browsers do: the wider set
        ("“quoted”", "cp1252", "iso-8859-1", "cp1252"),
        ("日本語", "utf-8", "no-such-charset", "utf-8"),
    ],
)
def test_what_came_with_a_page_tells_its_encoding_first(text: str, encoding: str, stated: str, found: str) -> None:
    page = f'<html><head><meta charset="utf-8"></head><body><p>{text}</p></body></html>'
    assert decode_page(page.encode(encoding), "page", stated) == (page, found)


def test_html_is_read_in_the_encoding_that_it_states() -> None:
    page = '<html><head><meta charset="euc-jp"></head><body><p>日本</p></body></html>'
    assert extract_bytes(page.encode("euc-jp"), "page.html").text == "日本"


def test_html_tables_for_layout_do_not_double_their_words() -> None:
    page = b"<html><table><tr><td><h2>Offer</h2><table><tr><td>a<td>b</table></table></html>"
    assert shape_of(extract_bytes(page, "x.html")) == [("heading", 2, "Offer"), ("table", 0, "a | b")]


def test_docx_in_reading_order_with_lists_tables_and_fields() -> None:
    made = docx.Document()
    made.core_properties.title = "Report"
    made.core_properties.author = "Ada"
    made.add_heading("Findings", 1)
    made.add_paragraph("First.")
    made.add_paragraph("apples", "List Bullet")
    made.add_paragraph("pears", "List Bullet")
    table = made.add_table(2, 2)
    for number, cell in enumerate(cell for row in table.rows for cell in row.cells):
        cell.text = f"c{number}"
    made.add_heading("Detail", 2)
    control = parse_xml(
        '<w:sdt xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:sdtContent>'
        "<w:p><w:r><w:t>in a control</w:t></w:r><w:ins><w:r><w:t>, added</w:t></w:r></w:ins>"
        "<w:del><w:r><w:delText>, deleted</w:delText></w:r></w:del></w:p></w:sdtContent></w:sdt>"
    )
    made.element.body.insert(len(made.element.body) - 1, control)
    document = extract_bytes(saved(made.save), "report.docx")
    assert document.title == "Report"
    assert document.metadata["author"] == "Ada"
    assert shape_of(document) == [
        ("heading", 1, "Findings"),
        ("paragraph", 0, "First."),
        ("list", 0, "- apples\n- pears"),
        ("table", 0, "c0 | c1\nc2 | c3"),
        ("heading", 2, "Detail"),
        ("paragraph", 0, "in a control, added"),
    ]


def test_xlsx_sheet_by_sheet_with_values_as_people_see_them() -> None:
    made = openpyxl.Workbook()
    made.active.title = "Sales"
    made.active.append(["Day", "Amount", "Paid"])
    made.active.append([datetime.date(2026, 3, 1), 12.0, True])
    made.active.append([datetime.datetime.fromisoformat("2026-03-02T14:30"), 0.1, None])
    made.create_sheet("Empty")
    made.create_sheet("Notes")["C3"] = "two\nlines"
    document = extract_bytes(saved(made.save), "sales.xlsx")
    assert [(b.kind, b.page, b.text) for b in document.blocks] == [
        ("heading", 1, "Sales"),
        ("table", 1, "Day | Amount | Paid\n2026-03-01 | 12 | TRUE\n2026-03-02 14:30:00 | 0.1"),
        ("heading", 2, "Empty"),
        ("heading", 3, "Notes"),
        ("table", 3, "two lines"),
    ]


def test_pptx_slide_by_slide_with_tables_groups_and_notes() -> None:
    made = pptx.Presentation()
    first = made.slides.add_slide(made.slide_layouts[1])
    first.shapes.title.text = "Plan"
    first.placeholders[1].text = "do this\ndo that"
    first.notes_slide.notes_text_frame.text = "say hello"
    second = made.slides.add_slide(made.slide_layouts[6])
    table = second.shapes.add_table(1, 2, 0, 0, 100, 100).table
    table.cell(0, 0).text, table.cell(0, 1).text = "a", "b"
    box = second.shapes.add_group_shape().shapes.add_textbox(0, 0, 10, 10)
    box.text_frame.text = "in a group"
    document = extract_bytes(saved(made.save), "plan.pptx")
    assert [(b.kind, b.page, b.text) for b in document.blocks] == [
        ("heading", 1, "Plan"),
        ("list", 1, "do this\ndo that"),
        ("paragraph", 1, "say hello"),
        ("heading", 2, "Slide 2"),
        ("table", 2, "a | b"),
        ("paragraph", 2, "in a group"),
    ]
    assert document.metadata["slides"] == 2


def test_pdf_page_by_page_with_headings_from_its_outline() -> None:
    made = pdf("Chapter One\nIt was a night.", "Chapter Two\nIt was a day.", outline=True)
    made.set_title("Two Days")
    made.set_author("A. Writer")
    document = extract_bytes(bytes(made.output()), "book.pdf")
    assert document.title == "Two Days"
    assert document.metadata["author"] == "A. Writer"
    assert [(b.kind, b.level, b.page, b.text) for b in document.blocks] == [
        ("heading", 1, 1, "Chapter One"),
        ("paragraph", 0, 1, "It was a night."),
        ("heading", 1, 2, "Chapter Two"),
        ("paragraph", 0, 2, "It was a day."),
    ]


def test_pdf_pages_without_text_are_named() -> None:
    document = extract_bytes(bytes(pdf("words", "", "more", "").output()), "mixed.pdf")
    assert document.warnings == ["mixed.pdf has no text layer on pages 2, 4: pictures or scans are not read."]
    scan = extract_bytes(bytes(pdf("", "").output()), "scan.pdf")
    assert scan.text == ""
    assert "no text layer" in scan.warnings[0]
    assert "OCR" in scan.warnings[0]


MAIL = b"""From: =?utf-8?q?J=C3=BCrgen?= <j@example.org>
To: team@example.org
Subject: =?iso-8859-1?q?Gr=FC=DFe?=
Date: Sun, 1 Mar 2026 10:00:00 +0100
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=X

--X
Content-Type: multipart/alternative; boundary=Y

--Y
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Sch\xc3\xb6ne Woche.

Bis bald
--Y
Content-Type: text/html

<p>not read</p>
--Y--
--X
Content-Type: text/csv; name="list.csv"
Content-Disposition: attachment; filename="list.csv"

a,b
--X
Content-Type: message/rfc822

Subject: inner
From: boss@example.org
Content-Type: text/html; charset=x-unknown-charset

<h2>Hear</h2><script>x()</script>ye
--X--
"""


def test_mail_with_its_nested_message_and_named_attachments() -> None:
    document = extract_bytes(MAIL, "greeting.eml")
    assert document.title == "Grüße"
    assert document.metadata["from"] == "Jürgen <j@example.org>"
    assert [(a["name"], a["media_type"]) for a in document.metadata["attachments"]] == [
        ("list.csv", "text/csv"),
        ("", "message/rfc822"),
    ]
    assert shape_of(document) == [
        ("heading", 1, "Grüße"),
        (
            "paragraph",
            0,
            "From: Jürgen <j@example.org>\nTo: team@example.org\nDate: Sun, 1 Mar 2026 10:00:00 +0100",
        ),
        ("paragraph", 0, "Schöne Woche."),
        ("paragraph", 0, "Bis bald"),
        ("heading", 3, "inner"),
        ("paragraph", 0, "From: boss@example.org"),
        ("heading", 2, "Hear"),
        ("paragraph", 0, "ye"),
    ]


def test_content_counts_more_than_the_name() -> None:
    document = extract_bytes(bytes(pdf("words").output()), "letter.txt")
    assert document.media_type == "application/pdf"
    assert document.warnings == ["letter.txt is PDF inside, whatever its name says; it was read as that."]
    assert extract_bytes(b"just words", "letter.pdf").text == "just words"


def test_names_that_promise_text_are_supported() -> None:
    assert all(map(supported, ["a.PDF", "b.docx", "README", "x/Makefile", "c.py", "d.md"]))
    assert not any(map(supported, ["a.png", "b.exe", "c", "d.zip"]))


def test_an_open_file_is_read_up_to_its_limit() -> None:
    assert extract(io.BytesIO(b"short"), "a.txt", limit=5).text == "short"
