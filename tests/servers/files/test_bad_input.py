"""Files as they should not be: each gives one clear sentence or an honest part, and nothing hangs."""

from __future__ import annotations

import os
import stat
import sys
from typing import Any

import anyio
import pytest
from tests.patience import PATIENCE

pytestmark = pytest.mark.anyio


async def test_a_sparse_file_of_2_gb_is_read_in_windows(files: Any) -> None:
    path = files.put("big.log", "first line\n" * 40_000)
    os.truncate(path, 2 << 30)
    with anyio.fail_after(PATIENCE):
        text = await files("read", path="docs/big.log", max_bytes=1000)
        assert text["text"].startswith("first line\n")
        assert (text["total_bytes"], text["sha256"], text["truncated"]) == (2 << 30, "", True)
        edit = [{"old_text": "first", "new_text": "x"}]
        assert (await files.fails("edit", path="docs/big.log", edits=edit))[0] == "too_large"
        assert (await files.fails("write", path="docs/big.log", content="", overwrite=True))[0] == "too_large"
        assert "version_mb" in (await files("delete", paths=["docs/big.log"]))["failed"][0]
        assert (await files("search", query="nowhere"))["skipped"] == 1
        assert (await files("info", path="docs/big.log"))["size"] == 2 << 30
    assert path.stat().st_size == 2 << 30


async def test_a_30_mb_file_never_comes_back_as_one_result(files: Any) -> None:
    files.put("a.log", b"a line of a log\n" * 2_000_000)
    text = await files("read", path="docs/a.log", max_lines=1_000_000, max_bytes=10_000_000)
    assert len(text["text"]) <= 256 * 1024
    following = await files("read", path="docs/a.log", cursor=text["next"])
    assert following["start_line"] == text["end_line"] + 1


async def test_a_binary_named_txt_is_no_text(files: Any) -> None:
    files.put("a.txt", bytes(range(256)) * 10)
    code, text = await files.fails("read", path="docs/a.txt")
    assert (code, "docs/a.txt holds binary data" in text, "base64" in text) == ("unsupported", True, True)
    edit = [{"old_text": "a", "new_text": "b"}]
    assert (await files.fails("edit", path="docs/a.txt", edits=edit))[0] == "unsupported"
    assert (await files("read", path="docs/a.txt", format="base64"))["encoding"] == "base64"


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-16", "Zwölf Boxkämpfer\n" * 5),
        ("utf-16-be", "plain text without a mark\n" * 5),
        ("shift_jis", "吾輩は猫である。名前はまだ無い。\nどこで生れたか頓と見当がつかぬ。\n" * 5),
        ("utf-8-sig", "with a mark\n"),
    ],
)
async def test_other_encodings_are_read_and_kept(files: Any, encoding: str, text: str) -> None:
    path = files.put("a.txt", text.encode(encoding))
    assert (await files("read", path="docs/a.txt"))["text"] == text
    line = text.split("\n")[0]
    await files("edit", path="docs/a.txt", edits=[{"old_text": line, "new_text": f"{line} {line}", "every": True}])
    assert path.read_bytes() == text.replace(line, f"{line} {line}").encode(encoding)


async def test_one_line_of_1_mb_is_read_in_parts(files: Any) -> None:
    line = "".join(f"{number}ü" for number in range(130_000))
    files.put("a.json", line)
    text, cursor, count = "", "", 0
    while True:
        part = await files("read", path="docs/a.json", cursor=cursor)
        assert len(part["text"].encode()) <= 65_536
        text, cursor, count = text + part["text"], part["next"], count + 1
        if not cursor:
            break
    assert (text == line, count > 10) == (True, True)
    hit = (await files("search", query="129999"))["hits"][0]
    assert len(hit["text"]) < 400


async def test_fifo_device_socket_and_folder_are_refused_at_once(files: Any) -> None:
    os.mkfifo(files.folder / "pipe.txt")
    odd = ["docs/pipe.txt"]
    if os.geteuid() == 0:
        os.mknod(files.folder / "zero.txt", stat.S_IFCHR | 0o666, os.makedev(1, 5))
        odd.append("docs/zero.txt")
    with anyio.fail_after(PATIENCE):
        for path in odd:
            code, text = await files.fails("read", path=path)
            assert (code, "not a file" in text) == ("unsupported", True)
            assert (await files.fails("write", path=path, content="x", overwrite=True))[0] == "unsupported"
            assert (await files("delete", paths=[path]))["failed"]
        await files("search", query="x")
        kinds = {entry["kind"] for entry in (await files("list", path="docs"))["entries"]}
    assert kinds == {"other"}
    files.put("folder/a.txt", "x")
    assert (await files.fails("read", path="docs/folder"))[0] == "unsupported"
    assert [entry["path"] for entry in (await files("list", path="docs/folder/a.txt"))["entries"]] == [
        "docs/folder/a.txt"
    ]


async def test_names_with_newlines_and_bytes_that_are_no_text(files: Any) -> None:
    files.put("two\nlines.txt", "one")
    names = ["two\nlines.txt"]
    if sys.platform == "linux":  # other systems have no such names
        (files.folder / os.fsdecode(b"caf\xe9.txt")).write_text("two")
        names.append("caf\\xe9.txt")
    listed = sorted(entry["path"] for entry in (await files("list", path="docs"))["entries"])
    assert listed == sorted(f"docs/{name}" for name in names)
    for path in listed:
        uri = (await files("read", path=path))["uri"]
        assert (await files.client.read_resource(uri)).contents[0].text
        await files("write", path=path, content="new", overwrite=True)
        assert len((await files("history", path=path))["versions"]) == 2
        await files("move", source=path, target=f"{path}.old")
        await files("delete", paths=[f"{path}.old"])
        await files("restore", path=f"{path}.old")
    assert len(list(files.folder.iterdir())) == len(names)


async def test_names_that_differ_only_in_case_are_not_made(files: Any) -> None:
    path = files.put("Readme.md", "x")
    code, text = await files.fails("write", path="docs/README.md", content="y")
    assert (code, "only in case" in text) == ("conflict", True)
    await files("move", source="docs/Readme.md", target="docs/README.md")
    assert not path.exists()


async def test_a_name_that_is_too_long_is_refused(files: Any) -> None:
    assert (await files.fails("write", path=f"docs/{'x' * 300}", content=""))[0] == "invalid"
    assert (await files.fails("write", path="docs/\ud800", content=""))[0] == "invalid"


async def test_a_broken_pdf_and_a_password_protected_docx_say_so(files: Any) -> None:
    files.put("a.pdf", b"%PDF-1.7\n%broken")
    code, text = await files.fails("read", path="docs/a.pdf")
    assert (code, "a.pdf" in text) == ("damaged", True)
    protected = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le") + b"\0" * 600
    files.put("b.docx", protected)
    code, text = await files.fails("read", path="docs/b.docx")
    assert (code, "password" in text) == ("denied", True)


async def test_a_file_deleted_while_it_is_read_ends_in_a_plain_sentence(files: Any) -> None:
    path = files.put("a.txt", "line\n" * 50_000)
    first = await files("read", path="docs/a.txt")
    path.unlink()
    assert (await files.fails("read", path="docs/a.txt", cursor=first["next"]))[0] == "not_found"


async def test_a_file_that_cannot_be_read_says_so(files: Any) -> None:
    if os.geteuid() == 0:  # nothing is closed to root: a folder that is gone stands for it
        assert (await files.fails("list", path="docs/none"))[0] == "not_found"
        return
    files.put("a.txt", "x").chmod(0)
    assert (await files.fails("read", path="docs/a.txt"))[0] == "denied"


async def test_a_bad_cursor_is_refused(files: Any) -> None:
    files.put("a.txt", "x")
    for tool, arguments in (("read", {"path": "docs/a.txt"}), ("list", {"path": "docs"}), ("search", {"query": "x"})):
        assert (await files.fails(tool, cursor="nonsense!", **arguments))[0] == "invalid"


async def test_a_root_is_no_file_to_write(files: Any) -> None:
    code, text = await files.fails("write", path="docs", content="x")
    assert (code, "docs is a root, which is a folder" in text) == ("conflict", True)
    assert (await files.fails("write_document", path="docs", markdown="x"))[0] != "internal"
    assert (await files.fails("apply", changes=[{"path": "docs", "content": "x"}]))[0] == "conflict"
    files.put("a.txt", "x")
    assert (await files.fails("move", source="docs/a.txt", target="docs"))[0] != "internal"
    assert (await files.fails("edit", path="docs", edits=[{"old_text": "a", "new_text": "b"}]))[0] != "internal"
