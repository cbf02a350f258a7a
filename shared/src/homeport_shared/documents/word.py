"""DOCX by python-docx, walked over its XML so that text in fields, links, text boxes and content controls is kept."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

from homeport_shared.documents import archive
from homeport_shared.documents.model import BlockKind, Writer, row

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_BREAKS = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}
_HEADING = re.compile(r"heading ([1-9])$", re.I)


def read(data: bytes, writer: Writer) -> None:
    """Fill `writer` from the body of a DOCX, then its footnotes and endnotes; deleted text is left out."""
    import docx

    archive.check(data, writer.name)
    document: Any = docx.Document(io.BytesIO(data))
    core = document.core_properties
    writer.title = core.title or ""
    dates = {"created": core.created, "modified": core.modified}
    writer.metadata |= {name: date.isoformat() for name, date in dates.items() if date}
    if core.author:
        writer.metadata["author"] = core.author
    styles = {style.style_id: style.name or "" for style in document.styles}
    items: list[str] = []
    for element in _pieces(document.element.body):
        kind, level = _kind_of(element, styles)
        if kind == "list":
            items.append(f"- {_text(element)}")
            continue
        _add_list(items, writer)
        writer.add(_table(element) if kind == "table" else _text(element), kind, level=level)
    _add_list(items, writer)
    _add_notes(document, writer)


def _add_list(items: list[str], writer: Writer) -> None:
    writer.add("\n".join(items), "list")
    items.clear()


def _pieces(container: Any) -> Iterator[Any]:
    """Yield paragraphs and tables in reading order, those inside content controls too."""
    for element in container:
        if element.tag in (f"{_W}p", f"{_W}tbl"):
            yield element
        elif element.tag in (f"{_W}sdt", f"{_W}sdtContent", f"{_W}ins", f"{_W}customXml"):
            yield from _pieces(element)


def _kind_of(element: Any, styles: dict[str, str]) -> tuple[BlockKind, int]:
    if element.tag == f"{_W}tbl":
        return "table", 0
    properties = element.find(f"{_W}pPr")
    if properties is None:
        return "paragraph", 0
    style = properties.find(f"{_W}pStyle")
    name = styles.get(style.get(f"{_W}val"), "") if style is not None else ""
    if heading := _HEADING.match(name):
        return "heading", min(int(heading[1]), 6)
    if name == "Title":
        return "heading", 1
    if name.startswith("List") or properties.find(f"{_W}numPr") is not None:
        return "list", 0
    return "paragraph", 0


def _text(element: Any) -> str:
    """Return the text below `element`; a text box is stored twice, its older form is skipped."""
    parts: list[str] = []
    skipped = {part for fallback in element.iter(_FALLBACK) for part in fallback.iter()}
    for part in element.iter():
        if part in skipped:
            continue
        if part.tag == f"{_W}t":
            parts.append(part.text or "")
        elif part.tag in _BREAKS:
            # A `tab` in the properties of a paragraph is a tab stop, not a character.
            parts.append(_BREAKS[part.tag] if part.getparent().tag == f"{_W}r" else "")
        elif part.tag == f"{_W}p" and parts:
            parts.append("\n")
    return "".join(parts)


def _table(element: Any) -> str:
    rows = (r for r in element.iter(f"{_W}tr") if _owner(r) is element)
    return "\n".join(row([_text(cell) for cell in r.iter(f"{_W}tc") if _owner(cell) is element]) for r in rows)


def _owner(element: Any) -> Any:
    return next(element.iterancestors(f"{_W}tbl"))


def _add_notes(document: Any, writer: Writer) -> None:
    from docx.oxml import parse_xml

    for part in document.part.package.iter_parts():
        kind = part.partname.rpartition("/")[2]
        if kind in ("footnotes.xml", "endnotes.xml"):
            root: Any = parse_xml(part.blob)
            notes = [_text(note).strip() for note in root]
            writer.add("\n".join(f"- {note}" for note in notes if note), "list")
