"""Encodings: found, and kept so that the same bytes can be written again."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport_shared.documents import decode
from homeport_shared.errors import HomeportError

JAPANESE = "これは日本語のテキストです。\r\nテキスト処理の試験。\r\n"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("plain\n", "utf-8"),
        ("grün 🙂", "utf-8"),
        ("Grüße aus Köln\n", "cp1252"),
        ("“quoted” – dash", "cp1252"),
        (JAPANESE, "cp932"),
        (JAPANESE, "euc_jp"),
        ("Привет, как дела? Сегодня хорошая погода.", "cp1251"),
        ("Привет, как дела? Сегодня хорошая погода.", "koi8_r"),
        ("Žluťoučký kůň úpěl ďábelské ódy", "cp1250"),
        ("안녕하세요 세계", "euc_kr"),
        ("plain wide text\r\n", "utf-16-le"),
        ("plain wide text\r\n", "utf-16-be"),
    ],
)
def test_the_encoding_is_found(text: str, encoding: str) -> None:
    found = decode(text.encode(encoding))
    assert (found.text, found.encoding, found.bom) == (text, encoding, b"")


@pytest.mark.parametrize(
    ("bom", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
    ],
)
def test_a_byte_order_mark_decides_and_is_kept_apart(bom: bytes, encoding: str) -> None:
    found = decode(bom + "Größe 日本\n".encode(encoding))
    assert (found.text, found.encoding, found.bom) == ("Größe 日本\n", encoding, bom)


@pytest.mark.parametrize(
    ("data", "newline"),
    [(b"a\nb\n", "\n"), (b"a\r\nb", "\r\n"), (b"a\rb", "\r"), (b"a\r\nb\n", "mixed"), (b"a", ""), (b"", "")],
)
def test_line_ends_are_named(data: bytes, newline: str) -> None:
    assert decode(data).newline == newline


def test_latin_1_is_the_last_resort() -> None:
    assert decode("\x81ü und ß allein".encode("latin-1")).encoding in {"latin-1", "cp932", "gb18030"}


def test_a_broken_promise_of_a_mark_is_named() -> None:
    with pytest.raises(HomeportError, match=r"^a\.txt begins like UTF-8") as caught:
        decode(codecs.BOM_UTF8 + b"\xff", "a.txt")
    assert caught.value.code == "damaged"


def test_binary_data_is_refused() -> None:
    for data in (b"\0", b"text\0text", bytes(range(1, 32)) * 5):
        with pytest.raises(HomeportError, match="binary data"):
            decode(data)


@given(st.binary(max_size=400) | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_decoding_loses_nothing(data: bytes) -> None:
    try:
        found = decode(data)
    except HomeportError:
        return
    assert found.bom + found.text.encode(found.encoding) == data


@given(st.text(), st.sampled_from(["utf-8-sig", "utf-16", "utf-32"]))
def test_text_with_a_mark_always_comes_back(text: str, encoding: str) -> None:
    if not text or text.startswith("\0"):  # the mark of UTF-16 and a NUL are the mark of UTF-32
        return
    text = text.encode("utf-8", "replace").decode()
    assert decode(text.encode(encoding)).text == text
