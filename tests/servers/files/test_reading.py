"""Listing, reading and searching."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.patience import PATIENCE

from homeport_files.walking import matches
from homeport_files.windows import Position, find_line, read_window

from .conftest import BOTH_ERAS

pytestmark = pytest.mark.anyio


async def parts(files: Any, path: str, **arguments: Any) -> list[dict[str, Any]]:
    """Read a file to its end."""
    found = [await files("read", path=path, **arguments)]
    while found[-1]["next"]:
        found.append(await files("read", path=path, cursor=found[-1]["next"], **arguments))
    return found


async def test_list_without_a_path_shows_the_roots(files: Any) -> None:
    assert [(e["path"], e["kind"]) for e in (await files("list"))["entries"]] == [("docs", "folder")]
    [root] = (await files("roots"))["roots"]
    assert (root["name"], root["folder"], root["available"]) == ("docs", str(files.folder.resolve()), True)
    assert root["used_bytes"] + root["free_bytes"] > 0


@BOTH_ERAS
async def test_list_pages_through_a_tree_in_a_fixed_order(files: Any) -> None:
    names = [f"{folder}/{number}.txt" for folder in ("a", "b", "b/c") for number in range(4)]
    for name in names:
        files.put(name, name)
    seen: list[str] = []
    cursor = ""
    while True:
        page = await files("list", path="docs", depth=5, limit=3, cursor=cursor)
        assert len(page["entries"]) <= 3
        seen += [entry["path"] for entry in page["entries"]]
        if not (cursor := page["next"]):
            break
    assert seen == [
        "docs/a", *(f"docs/a/{n}.txt" for n in range(4)), "docs/b", *(f"docs/b/{n}.txt" for n in range(4)),
        "docs/b/c", *(f"docs/b/c/{n}.txt" for n in range(4)),
    ]  # fmt: skip


async def test_list_takes_a_glob_and_tells_type_and_size(files: Any) -> None:
    files.put("a.md", "# A")
    files.put("deep/b.md", "B")
    files.put("c.txt", "C")
    page = await files("list", path="docs", depth=3, glob="*.md")
    assert [(e["path"], e["size"], e["media_type"]) for e in page["entries"]] == [
        ("docs/a.md", 3, "text/markdown"),
        ("docs/deep/b.md", 1, "text/markdown"),
    ]


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("*.md", "a/b.md", True),
        ("a/*.md", "a/b.md", True),
        ("a/*.md", "a/c/b.md", False),
        ("**/*.md", "a/c/b.md", True),
        ("**/*.md", "b.md", True),
        ("a/**", "a/c/b.md", True),
        ("a/**/b.md", "a/b.md", True),
        ("b/**", "a/b.md", False),
        ("[ab].md", "b.md", True),
    ],
)
async def test_globs(pattern: str, path: str, fits: bool) -> None:
    assert matches(pattern, tuple(path.split("/"))) is fits


async def test_read_tells_how_the_file_is_written(files: Any) -> None:
    data = "Grüße\r\nzwei\r\n".encode("latin-1")
    files.put("a.txt", data)
    text = await files("read", path="docs/a.txt")
    assert text["text"] == "Grüße\r\nzwei\r\n"
    assert text["newline"] == "\r\n"
    assert (text["sha256"], text["total_bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
    assert (text["start_line"], text["end_line"], text["truncated"]) == (1, 2, False)


@BOTH_ERAS
async def test_read_starts_at_a_line_and_goes_on_where_it_stopped(files: Any) -> None:
    files.put("a.txt", "".join(f"line {n}\n" for n in range(1, 101)))
    first = await files("read", path="docs/a.txt", start_line=11, max_lines=5)
    assert first["text"].splitlines() == [f"line {n}" for n in range(11, 16)]
    assert (first["end_line"], first["truncated"]) == (15, True)
    second = await files("read", path="docs/a.txt", cursor=first["next"], max_lines=5)
    assert (second["start_line"], second["text"].splitlines()[0]) == (16, "line 16")
    assert (await files.fails("read", path="docs/a.txt", start_line=102))[0] == "not_found"


async def test_a_cursor_of_a_file_that_changed_is_refused(files: Any) -> None:
    files.put("a.txt", "one\n" * 100)
    first = await files("read", path="docs/a.txt", max_lines=1)
    files.put("a.txt", "two\n" * 200)
    code, text = await files.fails("read", path="docs/a.txt", cursor=first["next"])
    assert (code, "changed" in text) == ("conflict", True)


async def test_base64_gives_any_bytes_in_parts(files: Any) -> None:
    data = os.urandom(100_000)
    files.put("a.bin", data)
    read = await parts(files, "docs/a.bin", format="base64", max_bytes=30_000)
    assert len(read) == 4
    assert b"".join(base64.b64decode(part["text"]) for part in read) == data


async def test_html_and_mail_are_text_by_themselves_and_raw_when_asked(files: Any) -> None:
    page = "<!doctype html><html><body><h1>Title</h1><p>Some <b>text</b>.</p></body></html>"
    files.put("a.html", page)
    files.put("b.eml", "From: a@example.com\r\nSubject: Lunch\r\n\r\nAt noon.\r\n")
    assert "<b>" not in (await files("read", path="docs/a.html"))["text"]
    assert (await files("read", path="docs/a.html", format="text"))["text"] == page
    mail = await files("read", path="docs/b.eml")
    assert "At noon." in mail["text"]
    assert mail["media_type"] == "message/rfc822"


async def test_docx_xlsx_and_csv_are_text(files: Any) -> None:
    import docx
    import openpyxl

    document = docx.Document()
    document.add_heading("Report", 1)
    document.add_paragraph("Sales went up.")
    document.save(str(files.folder / "a.docx"))
    book = openpyxl.Workbook()
    book.active.append(["name", "amount"])
    book.active.append(["tea", 3])
    book.save(files.folder / "b.xlsx")
    files.put("c.csv", "name,amount\ntea,3\n")
    assert "Sales went up." in (await files("read", path="docs/a.docx"))["text"]
    assert "tea" in (await files("read", path="docs/b.xlsx"))["text"]
    assert (await files("read", path="docs/c.csv"))["text"] == "name,amount\ntea,3\n"


async def test_who_read_a_file_last_is_shown(files: Any) -> None:
    files.put("a.txt", "x")
    assert (await files("info", path="docs/a.txt"))["accessed_by"] == ""
    await files("read", path="docs/a.txt")
    assert (await files("info", path="docs/a.txt"))["accessed_by"] == "mcp"
    assert (await files("list", path="docs"))["entries"][0]["accessed_by"] == "mcp"


async def test_info_tells_everything_about_one_file(files: Any) -> None:
    files.put("a b.txt", "x\n")
    info = await files("info", path="docs/a b.txt")
    assert info["uri"] == "files://docs/a%20b.txt"
    assert (info["encoding"], info["newline"], info["size"], info["versions"]) == ("utf-8", "\n", 2, 0)
    assert (await files("info", path="docs"))["kind"] == "folder"
    assert (await files.fails("info", path="docs/none"))[0] == "not_found"


async def test_search_finds_lines_and_names(files: Any) -> None:
    files.put("a.txt", "first\nThe Needle is here\n")
    files.put("deep/needle.md", "nothing\n")
    files.put("b.bin", b"\0\1needle")
    content = await files("search", query="needle")
    assert content == {
        "hits": [{"path": "docs/a.txt", "line": 2, "text": "The Needle is here"}], "next": "", "skipped": 1,
    }  # fmt: skip
    names = await files("search", query="needle", mode="name")
    assert [hit["path"] for hit in names["hits"]] == ["docs/deep/needle.md"]
    one = await files("search", query="first", path="docs/a.txt")
    assert [hit["line"] for hit in one["hits"]] == [1]


async def test_search_by_regular_expression_and_glob(files: Any) -> None:
    files.put("a.py", "def one(): ...\ndef two(): ...\n")
    files.put("a.txt", "def three\n")
    found = await files("search", query=r"^def \w+\(", regex=True, glob="*.py")
    assert [(hit["path"], hit["line"]) for hit in found["hits"]] == [("docs/a.py", 1), ("docs/a.py", 2)]
    assert (await files.fails("search", query="(", regex=True))[0] == "invalid"
    assert (await files.fails("search", query=""))[0] == "invalid"


async def test_search_goes_on_with_the_cursor(files: Any) -> None:
    for number in range(7):
        files.put(f"{number}.txt", "needle\n")
    found: list[str] = []
    cursor = ""
    while True:
        page = await files("search", query="needle", limit=3, cursor=cursor)
        found += [hit["path"] for hit in page["hits"]]
        if not (cursor := page["next"]):
            break
    assert found == [f"docs/{number}.txt" for number in range(7)]


@pytest.mark.slow
async def test_a_pattern_that_never_ends_is_stopped(files: Any) -> None:
    files.put("a.txt", "a" * 60 + "!\n")
    with anyio.fail_after(PATIENCE):
        code, text = await files.fails("search", query="(a+)+$", regex=True)
    assert (code, "seconds" in text) == ("timeout", True)
    assert (await files("search", query="a+", regex=True))["hits"]  # and the next one works


@BOTH_ERAS
async def test_a_search_stops_when_it_is_cancelled(files: Any) -> None:
    for number in range(300):
        files.put(f"{number}.txt", "x" * 100_000)
    with anyio.fail_after(PATIENCE):
        with anyio.move_on_after(0.05):
            await files("search", query="needle", regex=True)
        assert (await files("list"))["entries"]


@BOTH_ERAS
async def test_resources_show_roots_history_files_and_folders(files: Any) -> None:
    files.put("a b/c.txt", "hello")
    for uri, expected in [
        ("files://roots", '"name":"docs"'),
        ("files://history", '"versions":[]'),
        ("files://docs/a%20b/c.txt", '"text":"hello"'),
        ("files://docs/a%20b", '"path":"docs/a b/c.txt"'),
    ]:
        result = await files.client.read_resource(uri)
        assert expected in result.contents[0].text


async def test_a_resource_does_not_lead_out(files: Any) -> None:
    (files.folder.parent / "secret.txt").write_text("secret")
    for uri in ("files://docs/../secret.txt", "files://docs/%2e%2e/secret.txt", "files://docs/..%2fsecret.txt"):
        with pytest.raises(Exception, match=r"(?i)not|unknown|resource"):
            await files.client.read_resource(uri)


@BOTH_ERAS
async def test_the_prompt_names_the_files(files: Any) -> None:
    files.put("a.txt", "x")
    prompt = await files.client.get_prompt("summarise_folder", {"path": "docs"})
    assert "docs/a.txt" in prompt.messages[0].content.text


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
    st.sampled_from(["utf-8", "utf-16-le", "utf-16-be", "utf-32-le"]),
    st.integers(8, 40),
    st.integers(1, 5),
)
def test_windows_put_together_are_the_text(text: str, encoding: str, max_bytes: int, max_lines: int) -> None:
    file = io.BytesIO(text.encode(encoding))
    position: Position | None = Position(0, 1)
    found = ""
    while position is not None:
        window = read_window(file, encoding, position, max_lines=max_lines, max_bytes=max_bytes)
        assert window.start.line == 1 + found.count("\n")
        assert window.text.count("\n") <= max_lines
        assert not window.lossy
        found += window.text
        position = window.end
    assert found == text


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=10), max_size=8))
def test_a_line_is_found_where_it_begins(lines: list[str]) -> None:
    for encoding in ("utf-8", "utf-16-le"):
        file = io.BytesIO("".join(f"{line}\n" for line in lines).encode(encoding))
        for number, line in enumerate(lines, 1):
            position = find_line(file, encoding, number, 0, lambda: None)
            assert position is not None
            window = read_window(file, encoding, position, max_lines=1, max_bytes=1000)
            assert window.text == f"{line}\n"
        assert find_line(file, encoding, len(lines) + 2, 0, lambda: None) is None
