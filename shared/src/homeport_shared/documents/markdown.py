"""Markdown: a light scanner of blocks after CommonMark; it divides, it does not render."""

from __future__ import annotations

import re

from homeport_shared.documents.model import Block, BlockKind, Writer
from homeport_shared.documents.plain import block, decode_source

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))??(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_ITEM = re.compile(r" {0,3}(?:[-*+]|\d{1,9}[.)])(?:[ \t]|$)")
_DASHES = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_FRONT_TITLE = re.compile(r"title[ \t]*:[ \t]*(.+)")


def read(data: bytes, writer: Writer) -> None:
    """Fill `writer` from Markdown; a `title` in front matter becomes the title."""
    text = decode_source(data, writer)
    blocks = scan(text)
    if blocks and blocks[0].text.startswith("---\n"):
        titles = (_FRONT_TITLE.match(line) for line in blocks[0].text.split("\n"))
        writer.title = next((found[1].strip("'\" \t") for found in titles if found), "")
    writer.take_source(text, blocks)


def scan(text: str) -> list[Block]:
    """Divide Markdown into headings, paragraphs, lists, tables and code; every line that is not blank is in one."""
    lines = text.split("\n")
    blocks: list[Block] = []
    at = _end_of_front_matter(lines)
    if at:
        blocks.append(block(lines, 0, at, "code"))
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        found = _block_at(lines, at)
        blocks.append(found)
        at = found.end_line
    return blocks


def _block_at(lines: list[str], at: int) -> Block:
    line = lines[at]
    if heading := _HEADING.match(line):
        return Block((heading[2] or "").strip() or line.strip(), "heading", len(heading[1]), None, at + 1, at + 1)
    if fence := _FENCE.match(line):
        return _block(lines, at, _end_of_fence(lines, at, fence[1]), "code")
    if line.startswith(("    ", "\t")):
        return _block(lines, at, _end_of_indented(lines, at), "code")
    if "|" in line and at + 1 < len(lines) and "|" in lines[at + 1] and _DASHES.match(lines[at + 1]):
        return _block(lines, at, _end_of_paragraph(lines, at), "table")
    if _ITEM.match(line):
        return _block(lines, at, _end_of_list(lines, at), "list")
    end = _end_of_paragraph(lines, at)
    underline = _UNDERLINE.match(lines[end - 1])
    if underline and end - at > 1:
        words = " ".join(part.strip() for part in lines[at : end - 1])
        return Block(words, "heading", 1 if underline[1][0] == "=" else 2, None, at + 1, end)
    return _block(lines, at, end, "paragraph")


def _block(lines: list[str], start: int, end: int, kind: BlockKind) -> Block:
    while not lines[end - 1].strip():
        end -= 1
    return block(lines, start, end, kind)


def _end_of_front_matter(lines: list[str]) -> int:
    if lines[0].rstrip() != "---":
        return 0
    return next((n + 1 for n, line in enumerate(lines[1:200], 1) if line.rstrip() in ("---", "...")), 0)


def _end_of_fence(lines: list[str], start: int, fence: str) -> int:
    closing = re.compile(rf" {{0,3}}{re.escape(fence[0])}{{{len(fence)},}}[ \t]*$")
    return next((n + 1 for n in range(start + 1, len(lines)) if closing.match(lines[n])), len(lines))


def _end_of_indented(lines: list[str], start: int) -> int:
    inside = ("    ", "\t")
    return next(
        (n for n in range(start, len(lines)) if lines[n].strip() and not lines[n].startswith(inside)), len(lines)
    )


def _end_of_list(lines: list[str], start: int) -> int:
    """A list goes on over blank lines as long as another item or an indented line follows."""
    blank = False
    for n in range(start + 1, len(lines)):
        line = lines[n]
        if not line.strip():
            blank = True
            continue
        inside = line.startswith(("  ", "\t")) or _ITEM.match(line)
        if not inside and (blank or _begins_another(line)):
            return n
        blank = False
    return len(lines)


def _end_of_paragraph(lines: list[str], start: int) -> int:
    for n in range(start + 1, len(lines)):
        if not lines[n].strip() or _begins_another(lines[n]):
            return n
        if _UNDERLINE.match(lines[n]):
            return n + 1
    return len(lines)


def _begins_another(line: str) -> bool:
    return bool(_HEADING.match(line) or _FENCE.match(line))
