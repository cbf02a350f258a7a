"""Whatever the bytes are: a document whose lines are right, or a HomeportError."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homeport_shared.documents import Document, extract_bytes
from homeport_shared.errors import HomeportError

WORDS = [
    "#", "## Title", "Title\n===", "Other\n---", "```py", "~~~", "    code", "- item", "1. item", "  more",
    "a | b\n--|--", "| x | y |\n|---|---|\n| 1 |", "plain text", "\t", "\r\n", "\r", "\f", "\x0b", "\x85", "\u2028",
    "---", "<p>", "<div>", "</div>", "<table><tr><td>", "<ul><li>", "<script>", "&amp;", "<h2>", "</h2>", "<pre>",
    "Subject: x", "Content-Type: multipart/mixed; boundary=b", "--b", "Content-Transfer-Encoding: base64",
    "=?utf-8?q?=", "Content-Type: message/rfc822", "Content-Type: text/html; charset=nonsense", "a;b;c", "\"open",
    "1,2", "日本", "é", "<!-- ", "-->", "<html>",
]  # fmt: skip
TEXTS = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(["\n", "\n\n", " ", ""]))).map(
    lambda parts: "".join(word + end for word, end in parts)
)
BYTES = st.binary(max_size=300) | TEXTS.map(str.encode) | TEXTS.map(lambda text: text.encode("cp1252", "replace"))
NAMES = ["a.txt", "a.md", "a.csv", "a.html", "a.eml", "a.py", "a.json"]


def check(document: Document) -> None:
    lines = document.text.split("\n")
    last = 0
    covered: set[int] = set()
    for block in document.blocks:
        assert last < block.line <= block.end_line <= len(lines)
        last = block.end_line
        covered |= set(range(block.line, block.end_line + 1))
        place = "\n".join(lines[block.line - 1 : block.end_line])
        if block.kind == "heading":
            assert "".join(block.text.split()) in "".join(place.split())
            assert 1 <= block.level <= 6
        else:
            assert block.text == place
    assert not any(line.strip() for number, line in enumerate(lines, 1) if number not in covered)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(data=BYTES)
def test_lines_point_at_the_text_of_their_block(name: str, data: bytes) -> None:
    try:
        document = extract_bytes(data, name)
    except HomeportError:
        return
    check(document)
    document.text.encode()


@pytest.mark.parametrize("start", [b"%PDF-1.4\n", b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1Workbook"])
@settings(max_examples=60)
@given(data=st.binary(max_size=600))
def test_noise_behind_a_familiar_start_is_refused_in_words(start: bytes, data: bytes) -> None:
    try:
        check(extract_bytes(start + data, "noise"))
    except HomeportError as error:
        assert error.message.startswith("noise")
