"""What a person sees of a file: pictures, pages, tables, text, bytes; and what is refused."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from datetime import date
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from homeport_files import pictures
from homeport_files.pictures import Picture
from homeport_files.previews import hex_lines
from homeport_files.tables import View, rows
from homeport_shared.errors import HomeportError

pytestmark = pytest.mark.anyio


def picture(size: tuple[int, int], form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.effect_noise(size, 80).convert("RGB").save(out, form, **options)
    return out.getvalue()


def shown(preview: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(preview["image"].partition(",")[2])))


def pdf(pages: int) -> bytes:
    import pypdfium2

    document = pypdfium2.PdfDocument.new()
    for _ in range(pages):
        document.new_page(300, 600)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def opened(made: Picture) -> Image.Image:
    image = Image.open(io.BytesIO(made.data))
    assert image.get_format_mimetype() == made.media_type
    return image


async def test_a_picture_is_shown_no_larger_than_asked_for(files: Any) -> None:
    files.put("a.png", picture((900, 300), "PNG"))
    preview = await files("preview", path="docs/a.png", edge=120)
    assert (preview["kind"], preview["width"], preview["height"]) == ("picture", 900, 300)
    assert shown(preview).size == (120, 40)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_pictures_of_each_common_form_are_read(form: str) -> None:
    made = pictures.picture(picture((900, 300), form), "a", 120)
    assert (made.width, made.height, made.pages, opened(made).size) == (900, 300, 1, (120, 40))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_picture_of_noise_stays_below_a_megabyte(mode: str) -> None:
    out = io.BytesIO()
    noise = Image.effect_noise((1200, 1200), 80)
    Image.merge(mode, [noise] * len(mode)).save(out, "PNG", compress_level=1)
    made = pictures.picture(out.getvalue(), "noise.png", 9999)
    assert len(made.data) <= pictures.MOST_BYTES
    assert opened(made).mode == mode


def test_a_picture_is_turned_as_its_camera_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert opened(pictures.picture(picture((400, 200), "JPEG", exif=exif), "a.jpg", 100)).size == (50, 100)


def test_a_picture_that_would_unpack_into_gigabytes_is_refused_before() -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    with pytest.raises(HomeportError, match="60,000 × 60,000") as refused:
        pictures.picture(bomb, "bomb.png", 100)
    assert refused.value.code == "too_large"


async def test_a_damaged_picture_is_named(files: Any) -> None:
    files.put("fake.jpg", b"no picture")
    assert (await files.fails("preview", path="docs/fake.jpg"))[0] == "damaged"
    with pytest.raises(HomeportError, match=r"cut\.png is damaged"):
        pictures.picture(picture((300, 300), "PNG")[:600], "cut.png", 100)


def test_a_page_that_cannot_be_shown_is_named() -> None:
    made = pictures.page(pdf(3), "a.pdf", 3, 200)
    assert (made.width, made.height, made.pages, opened(made).size) == (300, 600, 3, (100, 200))
    with pytest.raises(HomeportError, match="has 3 pages, not 4"):
        pictures.page(pdf(3), "a.pdf", 4, 200)
    with pytest.raises(HomeportError, match=r"b\.pdf is damaged"):
        pictures.page(b"%PDF-1.7\nnothing", "b.pdf", 1, 200)


async def test_pages_of_a_pdf_are_pictures(files: Any) -> None:
    files.put("a.pdf", pdf(3))
    preview = await files("preview", path="docs/a.pdf", page=2, edge=200)
    assert (preview["kind"], preview["page"], preview["pages"]) == ("page", 2, 3)
    assert shown(preview).size == (100, 200)


async def test_a_table_is_paged_filtered_and_sorted(files: Any) -> None:
    lines = ["name;price;note"] + [f"item {n};{n * 10};{'odd' if n % 2 else 'even'}" for n in range(1000)]
    files.put("a.csv", "\n".join(lines))
    page = await files("preview", path="docs/a.csv", offset=100, limit=2)
    assert (page["kind"], page["columns"], page["total"]) == ("table", ["name", "price", "note"], 1000)
    assert page["rows"] == [["item 100", "1000", "even"], ["item 101", "1010", "odd"]]
    found = await files("preview", path="docs/a.csv", filters={2: "ODD", 1: ">=9800"}, sort=1, descending=True)
    assert (found["total"], found["whole"], found["rows"][0]) == (10, 1000, ["item 999", "9990", "odd"])


def test_each_sheet_of_a_workbook_is_a_table() -> None:
    book = openpyxl.Workbook()
    book.active.title = "First"
    book.active.append(["a", "b"])
    book.active.append([1.5, True])
    book.active.append([2.0, date(2026, 4, 1)])
    book.create_sheet("Second").append(["only"])
    out = io.BytesIO()
    book.save(out)
    first = rows(out.getvalue(), "a.xlsx", "1", View())
    assert (first.sheets, first.rows) == (["First", "Second"], [["1.5", "TRUE"], ["2", "2026-04-01"]])
    assert rows(out.getvalue(), "a.xlsx", "2", View(sheet="Second")).columns == ["only"]
    with pytest.raises(HomeportError, match="It has: First, Second"):
        rows(out.getvalue(), "a.xlsx", "3", View(sheet="Third"))
    with pytest.raises(HomeportError, match="is damaged"):
        rows(b"PK\x03\x04 broken", "b.xlsx", "4", View())


@pytest.mark.parametrize(
    ("text", "found"),
    [("=10", ["10"]), ("<10", ["9"]), (">9", ["10"]), ("<=10", ["9", "10"]), ("> a", ["b"]), ("1", ["10"]), ("", None)],
)
def test_a_filter_compares_numbers_with_numbers_and_texts_with_texts(text: str, found: list[str] | None) -> None:
    lines = ["x", "9", "10", "b", '""', "a"]
    page = rows("\n".join(lines).encode(), "a.csv", text, View(filters={0: text}))
    assert [row[0] for row in page.rows] == (["9", "10", "b", "", "a"] if found is None else found)


def test_a_table_whose_marks_do_not_tell_is_divided_by_the_commonest() -> None:
    assert rows(b"one", "a.csv", "5", View()).columns == ["one"]
    assert rows(b"a|b|c\n1\n", "b.csv", "6", View()).columns == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("name", "kind", "language"),
    [("a.py", "code", "python"), ("a.js", "code", "javascript"), ("a.md", "markdown", ""), ("a.txt", "text", "")],
)
async def test_text_is_shown_as_what_its_name_says(files: Any, name: str, kind: str, language: str) -> None:
    files.put(name, "x = 1\n")
    preview = await files("preview", path=f"docs/{name}")
    assert (preview["kind"], preview["language"], preview["text"]) == (kind, language, "x = 1\n")


async def test_a_long_text_goes_on_where_it_stopped(files: Any) -> None:
    files.put("a.txt", "line\n" * 5000)
    first = await files("preview", path="docs/a.txt")
    second = await files("preview", path="docs/a.txt", cursor=first["next"])
    assert first["text"] and second["text"] and first["next"] != second["next"]


async def test_anything_else_shows_its_first_bytes(files: Any) -> None:
    files.put("a.bin", bytes(range(256)) * 100)
    preview = await files("preview", path="docs/a.bin")
    assert (preview["kind"], preview["size"], len(preview["hex"])) == ("binary", 25_600, 32)
    assert preview["hex"][4] == "00000040  40 41 42 43 44 45 46 47 48 49 4a 4b 4c 4d 4e 4f  @ABCDEFGHIJKLMNO"


@given(st.binary(max_size=200))
def test_the_hexadecimal_rows_hold_every_byte(data: bytes) -> None:
    assert bytes.fromhex("".join(line[10:57] for line in hex_lines(data))) == data


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=40))
def test_numbers_are_sorted_as_numbers(numbers: list[int]) -> None:
    data = "\n".join(["n,x", *(f"{number},y" for number in numbers)]).encode()
    found = rows(data, "a.csv", repr(numbers), View(sort=0, limit=100))
    assert [int(row[0]) for row in found.rows] == sorted(numbers)


@pytest.mark.slow
@settings(max_examples=200)
@given(flips=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=20), cut=st.floats(0.1, 2))
def test_whatever_is_wrong_with_a_workbook_is_said_plainly(flips: list[tuple[int, int]], cut: float) -> None:
    book = openpyxl.Workbook()
    book.active.append(["name", 1])
    out = io.BytesIO()
    book.save(out)
    data = bytearray(out.getvalue())
    for at, byte in flips:
        data[at % len(data)] = byte
    try:
        rows(bytes(data[: int(len(data) * cut)]), "a.xlsx", "state", View())
    except HomeportError as error:
        assert error.code in {"damaged", "denied", "too_large"}
