"""Word: a report from Markdown, and changes of one that leave everything else as it is."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

from homeport_shared.documents import Block, archive
from homeport_shared.documents.markdown import scan
from homeport_shared.errors import HomeportError

_ITEM = re.compile(r"(\s*)(?:([-*+])|\d{1,9}[.)])\s+(.*)")
_INLINE = re.compile(r"(\*\*\S(?:.*?\S)?\*\*|\*[^\s*](?:[^*]*[^\s*])?\*|`[^`]+`)")
_PARAGRAPH, _TABLE = 1, 3  # the numbers of WD_STYLE_TYPE
_PIPE = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"[\s|:-]+")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


def write_report(old: bytes | None, markdown: str, styles: dict[str, str], replace: dict[str, str], name: str) -> bytes:
    """Make a DOCX, or change one: replace texts, then append what `markdown` says.

    Args:
        old: The document to change; None = a new one.
        markdown: Headings, paragraphs, lists, tables, quotes and code; `**bold**`, `*italic*` and `` `code` `` inside.
        styles: The document's style for a kind of piece: `paragraph`, `bullets`, `numbers`, `table`, `quote`, `code`.
        replace: Text of a paragraph, wherever it occurs → what stands there instead, in its look.
        name: The file's name, for errors.

    Raises:
        HomeportError: `invalid`, for a style that the document has not or a character that Word cannot hold;
            `not_found`, for a text that is not there; `unsupported`, for one in a link; `damaged`.
    """
    if bad := _FORBIDDEN.search("".join([markdown, *replace.values()])):
        raise HomeportError("invalid", f"A Word file cannot hold the character {bad[0]!r}.", "Leave it out.")
    document = _opened(old, name)
    for before, after in replace.items():
        _replace(document, before, after, name)
    report = _Report(document, styles)
    for block in scan(markdown):
        report.add(block)
    if old is None:
        title = next((block.text for block in scan(markdown) if block.kind == "heading"), "")
        document.core_properties.title = title[:255]
        document.core_properties.author = ""
        document.core_properties.comments = ""
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def _opened(data: bytes | None, name: str) -> Any:
    import docx

    if data is None:
        return docx.Document()
    archive.check(data, name)
    try:
        return docx.Document(io.BytesIO(data))
    except Exception as error:  # the boundary to the parser, which has an exception of its own for each fault
        raise HomeportError("damaged", f"{name} does not open as a Word file.", "Write a new one.") from error


class _Report:
    """Appends pieces to a document in its own styles."""

    def __init__(self, document: Any, styles: dict[str, str]) -> None:
        self._document = document
        named = [(int(style.type), str(style.name)) for style in document.styles]
        self._known = {name.lower(): name for kind, name in named if kind in (_PARAGRAPH, _TABLE)}
        self._styles: dict[str, str] = {}
        for piece, wanted in styles.items():
            kind = _TABLE if piece == "table" else _PARAGRAPH
            fitting = {name.lower(): name for number, name in named if number == kind}
            if wanted.lower() not in fitting:
                has = ", ".join(sorted(fitting.values())[:60])
                raise HomeportError("invalid", f"The document has no {piece} style {wanted!r}.", f"It has: {has}.")
            self._styles[piece] = fitting[wanted.lower()]

    def add(self, block: Block) -> None:
        """Append one block of Markdown."""
        if block.kind == "heading":
            self._paragraph(block.text, f"Heading {block.level}")
        elif block.kind == "table":
            self._table(block.text.split("\n"))
        elif block.kind == "list":
            self._list(block.text.split("\n"))
        elif block.kind == "code":
            self._code(block.text)
        elif block.text.startswith(">"):
            lines = (line.lstrip("> ").rstrip() for line in block.text.split("\n"))
            self._paragraph(" ".join(lines), self._style("quote", "Quote"))
        else:
            text = " ".join(line.strip() for line in block.text.split("\n"))
            self._paragraph(text, self._style("paragraph", "Normal"))

    def _style(self, kind: str, usual: str) -> str:
        return self._styles.get(kind, usual)

    def _paragraph(self, text: str, style: str, into: Any = None) -> None:
        paragraph = into or self._document.add_paragraph()
        if style.lower() in self._known:  # a document from elsewhere may not have it
            paragraph.style = self._known[style.lower()]
        for part in _INLINE.split(text):
            if part.startswith("**") and len(part) > 4:
                paragraph.add_run(part[2:-2]).bold = True
            elif part.startswith("*") and len(part) > 2:
                paragraph.add_run(part[1:-1]).italic = True
            elif part.startswith("`") and len(part) > 2:
                paragraph.add_run(part[1:-1]).font.name = "Courier New"
            elif part:
                paragraph.add_run(part)

    def _list(self, lines: list[str]) -> None:
        items: list[tuple[int, str, str]] = []
        for line in lines:
            if found := _ITEM.fullmatch(line):
                items.append((len(found[1].expandtabs(4)) // 2, "bullets" if found[2] else "numbers", found[3]))
            elif items and line.strip():
                depth, kind, text = items[-1]
                items[-1] = (depth, kind, f"{text} {line.strip()}")
        for depth, kind, text in items:
            usual = "List Bullet" if kind == "bullets" else "List Number"
            self._paragraph(text, self._style(kind, f"{usual} {min(depth, 2) + 1}" if depth else usual))

    def _code(self, text: str) -> None:
        lines = text.split("\n")
        if lines[0].lstrip().startswith(("```", "~~~")):
            closed = len(lines) > 1 and lines[-1].lstrip().startswith(("```", "~~~"))
            lines = lines[1 : -1 if closed else None]
        for line in lines:
            paragraph = self._document.add_paragraph()
            paragraph.paragraph_format.space_after = 0
            if style := self._styles.get("code"):
                paragraph.style = style
            paragraph.add_run(line).font.name = "Courier New"

    def _table(self, lines: list[str]) -> None:
        rows = [_cells(line) for number, line in enumerate(lines) if number != 1 or not _RULE.fullmatch(line)]
        table = self._document.add_table(len(rows), max(map(len, rows)))
        style = self._style("table", "Table Grid")
        if style.lower() in self._known:
            table.style = self._known[style.lower()]
        for cells, row in zip(rows, table.rows, strict=True):
            for text, cell in zip(cells, row.cells, strict=False):
                self._paragraph(text, "", cell.paragraphs[0])
        for cell in table.rows[0].cells:
            for run in cell.paragraphs[0].runs:
                run.bold = True
        self._document.add_paragraph()  # Word joins tables that touch


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|")
    inner = inner[:-1] if inner.endswith("|") and not inner.endswith("\\|") else inner
    return [cell.strip().replace("\\|", "|") for cell in _PIPE.split(inner)]


def _replace(document: Any, old: str, new: str, name: str) -> None:
    found = [paragraph for paragraph in _paragraphs(document) if old and old in paragraph.text]
    if not found:
        raise HomeportError(
            "not_found", f"{name} has no paragraph with {old[:80]!r}.", "Read it and copy the text exactly."
        )
    for paragraph in found:
        _replace_in(paragraph, old, new)


def _replace_in(paragraph: Any, old: str, new: str) -> None:
    """Replace in the runs that hold the text: the first takes the new text, with its own look."""
    runs: list[Any] = list(paragraph.runs)
    if "".join(run.text for run in runs) != paragraph.text:
        raise HomeportError("unsupported", f"{old[:80]!r} touches a link or field.", "Choose a text beside it.")
    at = paragraph.text.find(old)
    while at >= 0:
        end, start, given = at + len(old), 0, False
        for run in runs:
            text = str(run.text)
            low, high = max(at - start, 0), min(end - start, len(text))
            start += len(text)
            if low < high:
                run.text = text[:low] + ("" if given else new) + text[high:]
                given = True
        at = paragraph.text.find(old, at + len(new))


def _paragraphs(document: Any) -> Iterator[Any]:
    from docx.text.paragraph import Paragraph

    body = document.element.body
    for element in body.iter("{http://schemas.openxmlformats.org/wordprocessingml/2006/main}p"):
        yield Paragraph(element, document)
