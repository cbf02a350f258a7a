"""Tags, totals of folders, statistics."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport_files.marks import Marks, tag_of
from homeport_files.store import Store
from homeport_shared.clock import SystemClock
from homeport_shared.errors import HomeportError
from homeport_shared.identity import Identity
from homeport_shared.paths import Place

pytestmark = pytest.mark.anyio


async def test_tags_are_added_and_removed_for_many_files_with_a_result_each(files: Any) -> None:
    files.put("a.txt", "a")
    files.put("b.txt", "b")
    result = await files("tag", paths=["docs/a.txt", "docs/b.txt", "docs/none.txt"], add=["Reports", " two  words "])
    assert result["files"] == [
        {"path": "docs/a.txt", "tags": ["reports", "two words"], "category": ""},
        {"path": "docs/b.txt", "tags": ["reports", "two words"], "category": ""},
    ]
    assert "docs/none.txt" in result["failed"][0]
    await files("tag", paths=["docs/b.txt"], remove=["reports"])
    assert (await files("tags", tag="two words")) == {
        "tags": {"reports": 1, "two words": 2},
        "categories": {},
        "paths": ["docs/a.txt", "docs/b.txt"],
    }
    [content] = (await files.client.read_resource("files://tags")).contents
    assert json.loads(content.text)["tags"] == {"reports": 1, "two words": 2}
    assert [event.subject for event in files.events if event.kind == "file.tagged"] == [
        "files://docs/a.txt",
        "files://docs/b.txt",
        "files://docs/b.txt",
    ]


async def test_a_tag_is_renamed_merged_and_removed_everywhere(files: Any) -> None:
    for name in ("a.txt", "b.txt"):
        files.put(name, name)
    await files("tag", paths=["docs/a.txt", "docs/b.txt"], add=["old"])
    await files("tag", paths=["docs/a.txt"], add=["new"])
    assert (await files("rename_tag", tag="old", new="new"))["tags"] == {"new": 2}
    assert (await files("rename_tag", tag="new"))["tags"] == {}
    assert (await files.fails("rename_tag", tag="new"))[0] == "not_found"


async def test_tags_follow_a_move_of_a_folder_and_wait_for_what_was_deleted(files: Any) -> None:
    files.put("old/a.txt", "a")
    await files("tag", paths=["docs/old/a.txt", "docs/old"], add=["kept"])
    await files("move", source="docs/old", target="docs/new")
    assert (await files("tags", tag="kept"))["paths"] == ["docs/new", "docs/new/a.txt"]
    await files("delete", paths=["docs/new/a.txt"])
    await files("restore", path="docs/new/a.txt")
    assert (await files("tag", paths=["docs/new/a.txt"]))["files"] == [
        {"path": "docs/new/a.txt", "tags": ["kept"], "category": ""}
    ]


@pytest.mark.parametrize("text", ["", "  ", "a,b", "x" * 51, "a\x00b", "a\u202eb"])
def test_a_text_that_cannot_be_a_tag_is_refused(text: str) -> None:
    with pytest.raises(HomeportError):
        tag_of(text)


NAMES = st.sampled_from(["a", "b", "c/a", "c"])


@settings(max_examples=25)
@given(steps=st.lists(st.tuples(NAMES, NAMES), max_size=6))
async def test_after_any_moves_a_tag_is_where_its_file_went(steps: list[tuple[str, str]]) -> None:
    def place(name: str) -> Place:
        return Place("r", tuple(name.split("/")))

    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder), SystemClock())
        tags = Marks(Path(folder), store)
        await tags.change([place("a")], add=["t"], remove=[])
        expected: str | None = "a"
        for source, target in steps:
            if source == target or target.startswith(f"{source}/") or source.startswith(f"{target}/"):
                continue
            await store.changing(
                lambda ledger, s=source, t=target: ledger.record(Identity(), "moved", place(t), came_from=place(s))
            )
            if expected == target:
                expected = None
            elif expected is not None and (expected == source or expected.startswith(f"{source}/")):
                expected = target + expected[len(source) :]
        assert [str(mark.place) for mark in await tags.having("tag", "t")] == ([f"r/{expected}"] if expected else [])
        with anyio.CancelScope(shield=True):
            await tags.aclose()
            await store.aclose()


async def test_the_folder_tree_has_files_bytes_and_newest_change_of_everything_below(files: Any) -> None:
    files.put("a.txt", "1234")
    files.put("f/b.txt", "12")
    files.put("f/g/c.txt", "1")
    tree = await files("folders", path="docs", depth=1)
    assert [(row["path"], row["files"], row["bytes"]) for row in tree["folders"]] == [("docs", 3, 7), ("docs/f", 2, 3)]
    assert tree["folders"][0]["modified"] > "2026"
    deep = await files("folders", path="docs/f", depth=5)
    assert [(row["path"], row["files"]) for row in deep["folders"]] == [("docs/f", 2), ("docs/f/g", 1)]


async def test_statistics_count_files_and_bytes_by_type_and_the_space_of_the_disk(files: Any) -> None:
    files.put("a.txt", "1234")
    files.put("b.TXT", "1")
    files.put("c.pdf", "12")
    files.put("Makefile", "x")
    stats = await files("stats")
    assert (stats["files"], stats["bytes"]) == (4, 8)
    assert stats["types"] == [
        {"suffix": "txt", "files": 2, "bytes": 5},
        {"suffix": "pdf", "files": 1, "bytes": 2},
        {"suffix": "", "files": 1, "bytes": 1},
    ]
    assert [disk["root"] for disk in stats["disks"]] == ["docs"]
    assert stats["disks"][0]["available"] > 0
    [content] = (await files.client.read_resource("files://stats")).contents
    assert json.loads(content.text)["types"] == stats["types"]
