"""PDF by pypdfium2: text page by page; the outline tells which lines are headings."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from typing import Any

from homeport_shared.documents.detection import GET_AGAIN, password_needed
from homeport_shared.documents.model import Writer, clean
from homeport_shared.errors import HomeportError

DPI = 300
LARGEST = 5_000  # pixels of a side of a page that is recognized


def read(data: bytes, writer: Writer) -> None:
    """Fill `writer` from a PDF; a page without a text layer, such as a scan, becomes a warning."""
    import pypdfium2

    try:
        document: Any = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise password_needed(writer.name) from error
        raise HomeportError("damaged", f"{writer.name} is damaged: it does not open as a PDF.", GET_AGAIN) from error
    try:
        _read_metadata(document, writer)
        _read_pages(document, writer)
    finally:
        document.close()


def _read_metadata(document: Any, writer: Writer) -> None:
    fields: dict[str, str] = document.get_metadata_dict(skip_empty=True)
    writer.title = unicodedata.normalize("NFKC", fields.get("Title", ""))
    names = {"Author": "author", "Subject": "subject", "CreationDate": "created", "ModDate": "modified"}
    writer.metadata |= {name: clean(fields[key]) for key, name in names.items() if key in fields}
    writer.metadata["pages"] = len(document)


def _read_pages(document: Any, writer: Writer) -> None:
    import pypdfium2

    headings = _headings(document)
    silent: list[int] = []
    broken: list[int] = []
    recognized: list[int] = []
    for number in range(1, len(document) + 1):
        try:
            text = _text_of_page(document, number - 1)
        except pypdfium2.PdfiumError:
            broken.append(number)
            continue
        if not text.strip() and writer.recognize:
            text = clean(writer.recognize(_picture(document, number - 1)))
            recognized += [number] if text.strip() else []
        if text.strip():
            _add_page(text, number, headings[number], writer)
        else:
            silent.append(number)
    if len(silent) == len(document) and silent:
        writer.warnings.append(
            f"{writer.name} has no text layer: it is probably a scan. Run it through text recognition (OCR) first."
            if writer.recognize is None
            else f"{writer.name} has no text layer, and text recognition (OCR) found no text on its pages."
        )
    elif silent:
        writer.warnings.append(f"{writer.name} has no text layer on {_pages(silent)}: pictures or scans are not read.")
    if recognized:
        writer.warnings.append(f"{writer.name} was read by text recognition (OCR) on {_pages(recognized)}.")
    if broken:
        writer.warnings.append(f"{writer.name} is damaged on {_pages(broken)}; the other pages were read.")


def _text_of_page(document: Any, index: int) -> str:
    page = document[index]
    try:
        text_page = page.get_textpage()
        try:
            text: str = text_page.get_text_range()
        finally:
            text_page.close()
    finally:
        page.close()
    # PDFium marks a hyphen that only divides a word at the end of a line.
    for mark in ("\ufffe", "\x02"):
        text = text.replace(f"{mark}\r\n", "").replace(mark, "")
    return clean(unicodedata.normalize("NFKC", text))


def _picture(document: Any, index: int) -> bytes:
    """Return a page as a grey netpbm picture (P5), fine enough to be read, small enough to be kept in memory."""
    page = document[index]
    try:
        scale = min(DPI / 72, LARGEST / max(page.get_size()))
        bitmap = page.render(scale=scale, grayscale=True)
        try:
            rows = memoryview(bitmap.buffer).cast("B")
            lines = [rows[at * bitmap.stride : at * bitmap.stride + bitmap.width] for at in range(bitmap.height)]
            return b"P5 %d %d 255\n" % (bitmap.width, bitmap.height) + b"".join(lines)
        finally:
            bitmap.close()
    finally:
        page.close()


def _headings(document: Any) -> dict[int, dict[str, int]]:
    """Return, for each page, the titles that the outline places there and their levels, from 1."""
    found: dict[int, dict[str, int]] = defaultdict(dict)
    for mark in document.get_toc():
        target = mark.get_dest()
        page = target.get_index() if target else None
        if page is not None:
            found[page + 1][_key(mark.get_title())] = min(mark.level + 1, 6)
    return found


def _add_page(text: str, page: int, headings: dict[str, int], writer: Writer) -> None:
    lines: list[str] = []
    for line in text.split("\n"):
        level = headings.get(_key(line)) if headings else None
        if level is None and line.strip():
            lines.append(line)
            continue
        writer.add("\n".join(lines), page=page)
        lines = []
        if level is not None:
            writer.add(line, "heading", level=level, page=page)
    writer.add("\n".join(lines), page=page)


def _key(title: str) -> str:
    return "".join(unicodedata.normalize("NFKC", title).split()).casefold()


def _pages(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:10]))
    more = f" and {len(numbers) - 10} more" if len(numbers) > 10 else ""
    return f"page{'s' if len(numbers) > 1 else ''} {shown}{more}"
