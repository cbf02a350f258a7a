"""Files that are broken, hostile or not what they seem: one clear sentence each."""

from __future__ import annotations

import io
import os
import re
import zipfile

import docx
import msoffcrypto.format.ooxml
import openpyxl
import pytest
from fpdf import FPDF

from homeport_shared.documents import archive, extract, extract_bytes
from homeport_shared.errors import ErrorCode, HomeportError


def refused(code: ErrorCode, data: bytes, name: str, *words: str) -> None:
    with pytest.raises(HomeportError) as caught:
        extract_bytes(data, name)
    assert caught.value.code == code, str(caught.value)
    assert caught.value.message.startswith(name)
    for word in words:
        assert word in str(caught.value)


def a_pdf(**permissions: str) -> bytes:
    made = FPDF()
    made.add_page()
    made.set_font("Helvetica")
    made.cell(text="words")
    if permissions:
        made.set_encryption(**permissions)
    return bytes(made.output())


def a_docx() -> bytes:
    made = docx.Document()
    made.add_paragraph("secret words")
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def an_xlsx(**cells: object) -> bytes:
    made = openpyxl.Workbook()
    for place, value in cells.items():
        made.active[place] = value
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def with_member(office: bytes, name: str, content: bytes) -> bytes:
    """Return `office` with one member replaced."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(office)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.namelist():
            new.writestr(member, content if member == name else old.read(member))
    return out.getvalue()


def encrypted(office: bytes) -> bytes:
    out = io.BytesIO()
    msoffcrypto.format.ooxml.OOXMLFile(io.BytesIO(office)).encrypt("secret", out)
    return out.getvalue()


def test_formulas_that_were_never_calculated_are_told() -> None:
    raw, sheet = an_xlsx(A1=2, A2=3, A3="=SUM(A1:A2)"), "xl/worksheets/sheet1.xml"
    document = extract_bytes(raw, "sum.xlsx")
    assert "2\n3" in document.text
    assert ["Formulas of sum.xlsx have no values yet" in warning for warning in document.warnings] == [True]
    before = zipfile.ZipFile(io.BytesIO(raw)).read(sheet)
    for cell in (b'<c r="A3"><f>SUM(A1:A2)</f><v>5</v></c>', b'<c r="A3" t="str"><f>A9</f><v></v></c>'):
        after, count = re.subn(rb'<c r="A3".*?</c>', cell, before)
        assert count == 1
        assert extract_bytes(with_member(raw, sheet, after), "sum.xlsx").warnings == [], cell


def test_an_empty_file_is_an_empty_document_with_a_warning() -> None:
    for name in ("a.txt", "a.pdf", "a.docx", "a.csv", "a.md", "a.html", "a.eml", "a.py"):
        document = extract_bytes(b"", name)
        assert (document.text, document.blocks) == ("", [])
        assert document.warnings == [f"{name} is empty."]


def test_a_truncated_pdf_is_read_as_far_as_it_goes_or_refused() -> None:
    whole = a_pdf()
    for part in (10, len(whole) // 2, len(whole) - 30):
        try:
            extract_bytes(whole[:part], "cut.pdf")
        except HomeportError as error:
            assert error.code == "damaged"
            assert "cut.pdf is damaged" in str(error)


def test_noise_named_pdf_or_docx_is_damaged() -> None:
    for name in ("noise.pdf", "noise.docx"):
        refused("damaged", b"\0\1\2\3" * 100, name, "does not begin like")
    refused("damaged", b"%PDF-1.7\n" + os.urandom(3000), "noise.pdf", "damaged")
    refused("damaged", b"PK\x03\x04" + os.urandom(3000), "noise.docx", "does not open")


def test_a_truncated_docx_is_damaged() -> None:
    refused("damaged", a_docx()[:5000], "cut.docx", "damaged")


def test_a_docx_with_broken_xml_is_damaged() -> None:
    refused("damaged", with_member(a_docx(), "word/document.xml", b"<w:document"), "x.docx", "DOCX")
    refused("damaged", with_member(a_docx(), "[Content_Types].xml", b""), "x.docx", "DOCX")


def test_documents_with_a_password_say_so() -> None:
    refused("denied", a_pdf(owner_password="o", user_password="u"), "plan.pdf", "password")
    refused("denied", encrypted(a_docx()), "plan.docx", "password", "Save a copy without the password")
    refused("denied", encrypted(an_xlsx(A1=1)), "plan.xlsx", "password")


def test_a_pdf_that_only_restricts_printing_is_read() -> None:
    assert extract_bytes(a_pdf(owner_password="o"), "a.pdf").text == "words"


@pytest.mark.slow
def test_zip_bombs_are_refused_before_they_are_unpacked() -> None:
    zeros = b"0" * 400_000_000
    for office, member, name in (
        (a_docx(), "word/document.xml", "bomb.docx"),
        (an_xlsx(A1=1), "xl/worksheets/sheet1.xml", "bomb.xlsx"),
    ):
        refused("too_large", with_member(office, member, zeros), name, "MB")


def test_an_archive_that_lies_about_its_sizes_is_damaged() -> None:
    bomb = with_member(an_xlsx(A1=1), "xl/worksheets/sheet1.xml", b"0" * 5_000_000)
    lie = bomb.replace((5_000_000).to_bytes(4, "little"), (5_000).to_bytes(4, "little"))
    assert lie != bomb
    with pytest.raises(zipfile.BadZipFile):  # before the parser, which would unpack all of it, sees a byte
        list(archive.pieces(lie, "lie.xlsx"))
    refused("damaged", lie, "lie.xlsx", "damaged")


def test_entities_in_xml_are_not_expanded() -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    bomb = (
        f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "lol"><!ENTITY file SYSTEM "file:///etc/passwd">{laughs}]>'
        '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r>'
        "<w:t>start &l9; &file; end</w:t></w:r></w:p></w:body></w:document>"
    )
    try:
        text = extract_bytes(with_member(a_docx(), "word/document.xml", bomb.encode()), "bomb.docx").text
    except HomeportError as error:
        assert error.code == "damaged"
    else:
        assert "lol" not in text
        assert "root" not in text


def test_a_sheet_with_one_far_cell_does_not_need_the_space_between() -> None:
    document = extract_bytes(an_xlsx(A1="near", CV20000="far"), "far.xlsx")
    assert document.blocks[1].text.split("\n")[0] == "near"
    assert document.blocks[1].text.endswith("far")


def test_binary_named_txt_is_refused() -> None:
    refused("unsupported", bytes(range(256)) * 10, "data.txt", "binary data")
    refused("unsupported", b"\x89PNG\r\n\x1a\n" + bytes(100), "picture.txt", "PNG picture")
    refused("unsupported", b"\x7fELF" + bytes(100), "tool.txt", "a program")


def test_other_archives_and_old_office_files_say_what_to_do() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("a.txt", "x")
    refused("unsupported", file.getvalue(), "all.zip", "Unpack it")
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500)
    refused("unsupported", ole + "WordDocument".encode("utf-16-le"), "old.doc", "Save it as DOCX")
    refused("unsupported", ole + "__substg1.0_".encode("utf-16-le"), "a.msg", "EML")
    refused("damaged", ole + "Workbook".encode("utf-16-le"), "old.xls", "damaged")


def test_a_file_above_the_limit_is_refused_without_reading_it_whole() -> None:
    file = io.BytesIO(bytes(3_000_000))
    with pytest.raises(HomeportError, match=r"^big\.txt is larger than 1 MB") as caught:
        extract(file, "big.txt", limit=1_000_000)
    assert caught.value.code == "too_large"
    assert file.tell() <= 1_000_001


def test_one_line_of_a_megabyte_is_one_block() -> None:
    for name in ("line.txt", "line.md", "line.csv", "line.html", "line.py", "line.eml"):
        document = extract_bytes(b"word " * 200_000, name)
        assert document.text.count("word") == 200_000
        assert len(document.blocks) == 1


@pytest.mark.slow
def test_pages_nested_deeper_than_the_stack_are_read() -> None:
    for tag in (b"<div>", b"<ul><li>", b"<b>", b"<table><tr><td>"):
        assert "deep" in extract_bytes(b"<html>" + tag * 20_000 + b"deep", "deep.html").text


def test_messages_nested_too_deep_stop_with_a_warning() -> None:
    mail = b"Subject: nest\nContent-Type: message/rfc822\n\n" * 200 + b"Subject: core\n\nwords"
    document = extract_bytes(mail, "nest.eml")
    assert "too deep" in document.warnings[0]


def test_text_above_the_limit_is_cut_with_a_warning() -> None:
    from homeport_shared.documents import html, markdown
    from homeport_shared.documents.model import FullError, Writer

    short = Writer("a.md", limit=12)
    markdown.read(b"one\n\ntwo\n\nthree and more", short)
    assert short.finish("").text == "one\n\ntwo\n\n"
    assert "the rest is left out" in short.warnings[0]
    page = Writer("a.html", limit=12)
    with pytest.raises(FullError):
        html.read(b"<p>one<p>two<p>three and more", page)
    assert page.finish("").text == "one\n\ntwo"
