"""Uploads: in parts or whole, checked, compared, tagged, stored as a job, each file with its own result."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

pytestmark = pytest.mark.anyio


def piece(name: str, data: bytes) -> dict[str, str]:
    return {"name": name, "content": base64.b64encode(data).decode()}


async def sent(files: Any, name: str, data: bytes, part: int) -> dict[str, str]:
    """Send a file in parts; return what names it."""
    state = {"upload": "", "received": 0}
    while True:
        at = state["received"]
        content = base64.b64encode(data[at : at + part]).decode()
        given = {"name": name, "total": len(data), "offset": at, "content": content, "upload": state["upload"]}
        state = await files("upload_part", **given)
        if state["received"] >= len(data):
            return {"name": name, "upload": state["upload"]}


async def test_files_in_parts_and_whole_are_stored_with_tags_and_a_result_each(files: Any) -> None:
    data = bytes(range(256)) * 40
    big = await sent(files, "big.bin", data, 3000)
    result = await files(
        "upload", folder="docs/new", files=[big, piece("b.txt", b"b")], tags=["Reports"], category="contracts"
    )
    assert [(each["path"], each["error"]) for each in result["files"]] == [
        ("docs/new/big.bin", ""),
        ("docs/new/b.txt", ""),
    ]
    assert result["files"][0]["sha256"] == hashlib.sha256(data).hexdigest()
    assert (files.folder / "new" / "big.bin").read_bytes() == data
    [entry] = (await files("list", path="docs/new", glob="b.txt"))["entries"]
    assert (entry["tags"], entry["category"]) == (["reports"], "contracts")
    [content] = (await files.client.read_resource(f"files://jobs/{result['job_id']}")).contents
    assert json.loads(content.text)["counters"] == {"stored": 2, "failed": 0}
    await files("restore", path="docs/new/big.bin")
    assert not (files.folder / "new" / "big.bin").exists()


async def test_what_is_not_taken_says_why_and_the_others_go_on(files: Any) -> None:
    files.put("a.txt", "same")
    given = [
        piece("a.txt", b"other"),
        piece("copy.txt", b"same"),
        piece("x.pdf", b"no pdf"),
        piece("run.exe", b"MZ"),
        piece("../up.txt", b"up"),
        piece("good.txt", b"good"),
    ]
    result = await files("upload", folder="docs", files=given)
    codes = {each["name"]: (each["code"], each["path"]) for each in result["files"]}
    assert codes == {
        "a.txt": ("conflict", ""),
        "copy.txt": ("conflict", ""),
        "x.pdf": ("damaged", ""),
        "run.exe": ("unsupported", ""),
        "../up.txt": ("", "docs/up.txt"),
        "good.txt": ("", "docs/good.txt"),
    }
    assert sorted(path.name for path in files.folder.iterdir()) == ["a.txt", "good.txt", "up.txt"]
    again = [{"name": each["name"], "upload": each["upload"]} for each in result["files"] if each["name"] == "copy.txt"]
    repeated = await files("upload", folder="docs", files=again, duplicate=True)
    assert repeated["files"][0]["path"] == "docs/copy.txt"
    over = [{"name": each["name"], "upload": each["upload"]} for each in result["files"] if each["name"] == "a.txt"]
    replaced = await files("upload", folder="docs", files=over, overwrite=True)
    assert replaced["files"][0]["version"]
    assert (files.folder / "a.txt").read_text() == "other"


async def test_limits_bad_parts_and_bad_names_are_refused_before_anything_is_kept(files: Any) -> None:
    part = {"name": "a.bin", "content": base64.b64encode(b"x").decode(), "offset": 0, "upload": ""}
    assert (await files.fails("upload_part", **part, total=200 << 20))[0] == "too_large"
    assert (await files.fails("upload_part", **{**part, "name": "a.exe"}, total=1))[0] == "unsupported"
    assert (await files.fails("upload_part", **{**part, "content": "%"}, total=1))[0] == "invalid"
    assert (await files.fails("upload_part", **{**part, "upload": "../../x"}, total=1))[0] == "not_found"
    assert (await files.fails("upload", folder="../out", files=[piece("a.txt", b"a")]))[0] == "denied"
    assert (await files.fails("upload", folder="docs", files=[]))[0] == "invalid"
    assert (await files.fails("upload", folder="docs", files=[piece("a.txt", b"a")], tags=["a,b"]))[0] == "invalid"
    first = await files("upload_part", **part, total=2)
    assert (await files.fails("upload_part", **{**part, "offset": 5, "upload": first["upload"]}, total=2))[
        0
    ] == "conflict"
    repeated = await files("upload_part", **{**part, "upload": first["upload"]}, total=2)
    assert repeated["received"] == 1
