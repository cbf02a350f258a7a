"""Uploads in parts: written whole, checked, compared with what is there."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import Any

import pytest

from homeport_files.server import build_server
from homeport_files.uploads import STALE_SECONDS
from homeport_shared.testing.clients import connected

pytestmark = pytest.mark.anyio


def part(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def test_a_file_arrives_in_parts_and_can_be_taken_back(files: Any) -> None:
    data = bytes(range(256)) * 40
    first = await files("upload", path="docs/in/a.bin", total=len(data), content=part(data[:5000]))
    assert (first["received"], first["done"], (files.folder / "in").exists()) == (5000, False, False)
    rest = {"path": "docs/in/a.bin", "total": len(data), "offset": 5000, "content": part(data[5000:])}
    last = await files("upload", upload=first["upload"], **rest)
    assert (last["done"], last["sha256"]) == (True, hashlib.sha256(data).hexdigest())
    assert (files.folder / "in" / "a.bin").read_bytes() == data
    assert list((files.home / "files" / "uploads").iterdir()) == []
    await files("restore", path="docs/in/a.bin")
    assert not (files.folder / "in" / "a.bin").exists()


async def test_a_part_that_is_sent_twice_counts_once(files: Any) -> None:
    first = await files("upload", path="docs/a.bin", total=6, content=part(b"abc"))
    await files("upload", path="docs/a.bin", total=9, offset=3, content=part(b"def"), upload=first["upload"])
    again = await files("upload", path="docs/a.bin", total=9, offset=3, content=part(b"def"), upload=first["upload"])
    assert again["received"] == 6
    arguments = {"path": "docs/a.bin", "total": 9, "offset": 1, "content": part(b"x"), "upload": first["upload"]}
    assert (await files.fails("upload", **arguments))[0] == "conflict"


async def test_the_same_content_anywhere_is_a_duplicate(files: Any) -> None:
    files.put("deep/er/old.txt", "the same")
    code, text = await files.fails("upload", path="docs/new.txt", total=8, content=part(b"the same"))
    assert (code, "docs/deep/er/old.txt" in text) == ("conflict", True)
    await files("upload", path="docs/new.txt", total=8, content=part(b"the same"), duplicate=True)
    assert (files.folder / "new.txt").read_text() == "the same"


async def test_a_file_that_is_there_is_replaced_only_when_asked(files: Any) -> None:
    path = files.put("a.txt", "old")
    assert (await files.fails("upload", path="docs/a.txt", total=3, content=part(b"new")))[0] == "conflict"
    await files("upload", path="docs/a.txt", total=3, content=part(b"new"), overwrite=True)
    await files("restore", path="docs/a.txt")
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("run.exe", b"MZ", "unsupported"),
        ("a.pdf", b"no pdf", "damaged"),
        ("a.png", b"GIF89a", "damaged"),
        ("a.docx", b"text", "damaged"),
        ("../../etc/passwd", b"x", "denied"),
    ],
)
async def test_what_is_not_taken_is_said_and_leaves_nothing(files: Any, name: str, data: bytes, code: str) -> None:
    assert (await files.fails("upload", path=f"docs/{name}", total=len(data), content=part(data)))[0] == code
    assert list(files.folder.iterdir()) == []


async def test_a_part_that_is_no_base64_and_an_upload_that_is_unknown_are_refused(files: Any) -> None:
    assert (await files.fails("upload", path="docs/a", total=1, content="%"))[0] == "invalid"
    for upload in ("f" * 32, "../../x"):
        arguments = {"path": "docs/a", "total": 2, "content": part(b"x"), "upload": upload, "offset": 1}
        assert (await files.fails("upload", **arguments))[0] == "not_found"


async def test_a_file_above_the_limit_is_refused_before_it_is_sent(tmp_path: Any) -> None:
    (tmp_path / "docs").mkdir()
    flags = {"roots": [str(tmp_path / "docs")], "upload_mb": 1}
    async with connected(build_server, "files", tmp_path / "home", flags=flags) as client:
        arguments = {"path": "docs/a.bin", "total": 1_048_577, "content": part(b"x")}
        result = await client.call_tool("upload", arguments)
    assert result.is_error and "1 MiB" in result.content[0].text


async def test_what_an_upload_left_behind_is_removed_after_a_day(files: Any) -> None:
    await files("upload", path="docs/a.bin", total=9, content=part(b"abc"))
    (left,) = (files.home / "files" / "uploads").iterdir()
    os.utime(left, (left.stat().st_mtime - STALE_SECONDS - 1,) * 2)
    await files("upload", path="docs/b.bin", total=1, content=part(b"b"))
    assert not left.exists()
