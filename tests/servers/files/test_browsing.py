"""Windows of a folder's rows: sorted, filtered, fresh when asked; new folders."""

from __future__ import annotations

import os
from typing import Any

import pytest

pytestmark = pytest.mark.anyio


def names(window: dict[str, Any]) -> list[str]:
    return [entry["path"].removeprefix("docs/") for entry in window["entries"]]


async def test_a_window_holds_only_the_rows_asked_for(files: Any) -> None:
    for number in range(700):
        files.put(f"{number:03}.txt", "x" * number)
    window = await files("browse", path="docs", offset=650, limit=3)
    assert (names(window), window["total"], window["bytes"]) == (["650.txt", "651.txt", "652.txt"], 700, 244_650)
    assert len((await files("browse", path="docs", limit=9999))["entries"]) == 500


@pytest.mark.parametrize(
    ("sort", "descending", "expected"),
    [
        ("name", False, ["z", "A.csv", "b.txt", "c.png"]),
        ("name", True, ["z", "c.png", "b.txt", "A.csv"]),
        ("size", True, ["z", "A.csv", "c.png", "b.txt"]),
        ("modified", False, ["z", "b.txt", "c.png", "A.csv"]),
        ("type", False, ["z", "A.csv", "c.png", "b.txt"]),
    ],
)
async def test_folders_come_first_and_the_rest_as_asked(files: Any, sort: str, descending: bool, expected: Any) -> None:
    for name, size, age in (("A.csv", 30, 1), ("b.txt", 10, 3), ("c.png", 20, 2)):
        path = files.put(name, "x" * size)
        os.utime(path, (1_700_000_000 - age, 1_700_000_000 - age))
    (files.folder / "z").mkdir()
    assert names(await files("browse", path="docs", sort=sort, descending=descending)) == expected


async def test_filters_combine(files: Any) -> None:
    for name, size, day in (("a.csv", 30, 1), ("b.csv", 10, 2), ("b2.csv", 90, 2), ("b.pdf", 30, 2)):
        path = files.put(name, "x" * size)
        os.utime(path, (1_700_000_000 + day * 86_400,) * 2)
    window = await files("browse", path="docs", type="table", name="B", smallest=5, largest=50, since="2023-11-16")
    assert names(window) == ["b.csv"]
    assert names(await files("browse", path="docs", until="2023-11-15")) == ["a.csv"]
    assert (await files.fails("browse", path="docs", since="soon"))[0] == "invalid"


async def test_rows_are_looked_up_again_when_asked(files: Any) -> None:
    files.put("a.txt", "x")
    await files("browse", path="docs")
    files.put("b.txt", "x")
    assert names(await files("browse", path="docs", fresh=True)) == ["a.txt", "b.txt"]
    (files.folder / "a.txt").unlink()
    assert names(await files("browse", path="docs", fresh=True)) == ["b.txt"]
    await files("write", path="docs/b.txt", content="longer", overwrite=True)
    [row] = (await files("browse", path="docs"))["entries"]
    assert row["size"] == 6


async def test_a_new_folder_is_made_told_and_deleted_again(files: Any) -> None:
    entry = await files("make_folder", path="docs/new/one")
    assert (entry["kind"], (files.folder / "new" / "one").is_dir()) == ("folder", True)
    assert files.events[-1].kind == "folder.created"
    assert (await files.fails("make_folder", path="docs/new"))[0] == "conflict"
    assert (await files.fails("make_folder", path="docs/New"))[0] == "conflict"
    assert (await files.fails("make_folder", path="elsewhere/x"))[0] in {"denied", "not_found"}
    await files("delete", paths=["docs/new"], recursive=True)
    assert not (files.folder / "new").exists()
    await files("restore", path="docs/new")
    assert (files.folder / "new").is_dir()
