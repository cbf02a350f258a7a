"""What is noted about a document when it is read, and scans that are read by text recognition."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from docx import Document as Word
from fpdf import FPDF
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client

from homeport_rag.server import build_server
from homeport_rag.structure import created, structure_of
from homeport_shared.documents import Document, extract_bytes
from homeport_shared.documents.markdown import scan as scan_markdown
from homeport_shared.documents.model import clean
from homeport_shared.documents.recognition import recognize
from homeport_shared.errors import HomeportError
from homeport_shared.testing.clients import connected, finished_job

SENTENCE = "The lighthouse keeper counted forty seven herring gulls before breakfast."


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


def pdf(*pages: str, author: str = "Ada Lovelace") -> bytes:
    made = FPDF()
    made.set_title("Harbour log")
    made.set_author(author)
    made.set_font("helvetica", size=20)
    for text in pages:
        made.add_page()
        made.multi_cell(0, 12, text)
    return bytes(made.output())


def scan(*pages: str) -> bytes:
    """A PDF of pictures of pages."""
    made, source = FPDF(), pypdfium2.PdfDocument(pdf(*pages))
    for page in source:
        picture = io.BytesIO()
        page.render(scale=150 / 72).to_pil().save(picture, "PNG")
        made.add_page()
        made.image(picture, 0, 0, made.w, made.h)
    source.close()
    return bytes(made.output())


@pytest.mark.anyio
@pytest.mark.usefixtures("no_model")
async def test_title_author_dates_language_and_headings_are_stored_with_a_document(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    word = Word()
    word.core_properties.author, word.core_properties.title = "Grace Hopper", "Compilers"
    word.add_heading("History", 1)
    word.add_paragraph("The first compiler was written for the first computer of the navy. It was slow.")
    word.add_heading("Later", 2)
    word.add_paragraph("The compiler and the computer became fast together.")
    word.save(str(folder / "compilers.docx"))
    (folder / "log.pdf").write_bytes(pdf(SENTENCE))
    (folder / "notiz.md").write_text(
        "# Hafen\n\nDer Hafen liegt am Meer und die Schiffe kommen am Abend zurück.", "utf-8"
    )
    mail = "From: Ada <ada@example.org>\nDate: Fri, 6 Nov 2026 10:00:00 +0000\nSubject: Tides\n\nHigh at noon."
    (folder / "tides.eml").write_text(mail, "utf-8")
    async with connected(build_server, "rag", tmp_path / "home", flags={"folders": [str(folder)]}) as client:
        await finished_job(client, (await call(client, "sync_folder", path=str(folder)))["id"])
        documents = (await call(client, "list_documents"))["documents"]
        found = {
            each["title"]: await call(client, "show_document", document_id=each["document_id"]) for each in documents
        }
        compilers = found["Compilers"]
        assert (compilers["author"], compilers["language"]) == ("Grace Hopper", "en")
        assert [(each["level"], each["text"]) for each in compilers["headings"]] == [(1, "History"), (2, "Later")]
        assert "compiler" in compilers["summary"]
        assert compilers["created"] and compilers["modified"] and compilers["added"] and compilers["milliseconds"] > 0
        log = found["Harbour log"]
        assert (log["author"], log["media_type"]) == ("Ada Lovelace", "application/pdf")
        assert log["created"].startswith("20") and log["size"] == len((folder / "log.pdf").read_bytes())
        assert log["source"] == (folder / "log.pdf").as_uri()
        assert (found["Hafen"]["language"], found["Hafen"]["headings"][0]["line"]) == ("de", 1)
        assert (found["Tides"]["author"], found["Tides"]["origin"]) == ("Ada <ada@example.org>", "email")


@pytest.mark.anyio
@pytest.mark.scans
@pytest.mark.usefixtures("no_model")
async def test_a_scan_fails_with_its_reason_and_is_read_once_recognition_is_on(tmp_path: Path) -> None:
    """Text recognition is Debian's Tesseract."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "scan.pdf").write_bytes(scan(SENTENCE))
    async with connected(build_server, "rag", tmp_path / "home", flags={"folders": [str(folder)]}) as client:
        await finished_job(client, (await call(client, "sync_folder", path=str(folder)))["id"])
        [failed] = (await call(client, "browse_documents", status="failed"))["documents"]
        assert "has no text layer" in failed["error"]
        await call(client, "change_settings", values={"ocr": True})
        job = await finished_job(client, (await call(client, "rebuild", document_ids=[failed["document_id"]]))["id"])
        assert job["notes"] == []
        [hit] = (await call(client, "search", query="lighthouse gulls"))["hits"]
        assert (hit["document_id"], hit["page"]) == (failed["document_id"], 1)
        shown = await call(client, "show_document", document_id=failed["document_id"])
        assert (shown["error"], shown["status"]) == ("", "pending")
        assert "text recognition (OCR) on page 1" in shown["warnings"][0]


@pytest.mark.scans
def test_only_pages_without_text_are_recognized() -> None:
    whole = pypdfium2.PdfDocument.new()
    for data in (pdf("First page in text."), scan(SENTENCE)):
        whole.import_pages(pypdfium2.PdfDocument(data))
    out = io.BytesIO()
    whole.save(out)
    asked: list[bytes] = []

    def seen(picture: bytes) -> str:
        asked.append(picture)
        return recognize(picture, "eng")

    document = extract_bytes(out.getvalue(), "mixed.pdf", seen)
    assert len(asked) == 1
    assert [(block.page, block.text.split()[0]) for block in document.blocks] == [(1, "First"), (2, "The")]
    assert "gulls" in document.text


@pytest.mark.scans
def test_a_language_that_tesseract_lacks_is_named() -> None:
    with pytest.raises(HomeportError, match="not all of the languages xyz"):
        recognize(b"P5 1 1 255\n\0", "xyz")


def test_a_machine_without_tesseract_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(HomeportError, match="Tesseract is not installed"):
        recognize(b"P5 1 1 255\n\0", "eng")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("D:20240229101500Z", "2024-02-29T10:15:00"),
        ("D:2024", "2024-01-01T00:00:00"),
        ("D:20241399", ""),
        ("2024-02-29T10:15:00+01:00", "2024-02-29T10:15:00+01:00"),
        ("yesterday", ""),
    ],
)
def test_dates_are_understood_in_the_forms_that_documents_use(said: str, expected: str) -> None:
    assert created({"created": said}) == expected


@given(st.text(max_size=2_000))
def test_any_text_has_a_structure(text: str) -> None:
    text = clean(text)
    document = Document("any", text, "text/markdown", scan_markdown(text))
    noted = structure_of(document)
    assert noted["characters"] == len(document.text)
    assert len(noted["summary"]) <= 3 * 400 + 2
