"""Lists and searches with filters; what they tell of each file; the resources about a file."""

from __future__ import annotations

import json
import os
import zipfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport_files.filters import NAMES, Filters, ending_of, group_of

pytestmark = pytest.mark.anyio


def paths(listing: Any) -> list[str]:
    return [entry["path"] for entry in listing["entries"]]


async def test_a_list_tells_type_size_dates_tags_and_takes_the_filters_of_the_page(files: Any) -> None:
    files.put("a.pdf", "12345")
    files.put("f/b.csv", "12")
    files.put("f/c.csv", "1")
    os.utime(files.folder / "f" / "c.csv", (1e9, 1e9))
    await files("tag", paths=["docs/a.pdf", "docs/f/b.csv"], add=["reports"], category="Contracts")
    [entry] = (await files("list", path="docs", glob="*.pdf"))["entries"]
    assert (entry["media_type"], entry["size"], entry["tags"]) == ("application/pdf", 5, ["reports"])
    assert (entry["category"], entry["vectorized"]) == ("contracts", False)
    assert (entry["modified"][:2], entry["accessed_by"]) == ("20", "")
    await files("read", path="docs/a.pdf", format="base64")
    [entry] = (await files("list", path="docs", glob="*.pdf"))["entries"]
    assert entry["accessed_by"] == "mcp"
    assert paths(await files("list", path="docs", depth=9, only={"type": "csv"})) == ["docs/f/b.csv", "docs/f/c.csv"]
    assert paths(await files("list", depth=9, only={"tag": "reports", "type": "csv"})) == ["docs/f/b.csv"]
    assert paths(await files("list", depth=9, only={"type": "table", "until": "2001-09-09"})) == ["docs/f/c.csv"]
    assert paths(await files("list", depth=9, only={"type": "file", "smallest": 2, "largest": 3})) == ["docs/f/b.csv"]
    assert (await files.fails("list", path="docs", only={"since": "soon"}))[0] == "invalid"
    assert (await files.fails("list", path="docs", only={"colour": "red"}))[0] == "invalid"


async def test_a_list_of_the_whole_workspace_comes_in_pages(files: Any) -> None:
    for number in range(7):
        files.put(f"f{number % 2}/{number}.txt", "x")
    seen: list[str] = []
    cursor = ""
    while True:
        page = await files("list", depth=9, only={"type": "txt"}, limit=2, cursor=cursor)
        seen += paths(page)
        if not (cursor := page["next"]):
            break
    assert seen == [f"docs/f{number % 2}/{number}.txt" for number in (0, 2, 4, 6, 1, 3, 5)]


async def test_a_search_finds_names_tags_and_contents_with_filters(files: Any) -> None:
    files.put("report.txt", "the rent is due")
    files.put("rent.md", "nothing")
    files.put("f/other.txt", "RENT again")
    await files("tag", paths=["docs/f/other.txt"], add=["rental"])

    async def found(**given: Any) -> list[str]:
        return [hit["path"] for hit in (await files("search", query="rent", **given))["hits"]]

    assert await found(mode="name") == ["docs/rent.md"]
    assert await found(mode="tag") == ["docs/f/other.txt"]
    assert await found() == ["docs/f/other.txt", "docs/report.txt"]
    assert await found(only={"tag": "rental"}) == ["docs/f/other.txt"]
    assert await found(only={"type": "md"}) == []
    assert (await files.fails("search", query="rent", mode="meaning"))[0] == "unavailable"


async def test_a_files_resource_tells_its_data_and_a_detailed_one_its_hash_versions_and_metadata(files: Any) -> None:
    folder = files.folder
    with zipfile.ZipFile(folder / "odd.docx", "w") as archive:
        archive.writestr("x", "x")
    await files("write_document", path="docs/r.docx", markdown="# Title\n\nText.")
    await files("write_document", path="docs/r.docx", markdown="# Other\n\nText.", mode="overwrite")
    await files("tag", paths=["docs/r.docx"], add=["reports"])
    [content] = (await files.client.read_resource("files://about/docs/r.docx")).contents
    about = json.loads(content.text)
    assert (about["path"], about["tags"], about["vectorized"]) == ("docs/r.docx", ["reports"], False)
    assert about["media_type"].endswith("wordprocessingml.document")
    assert "sha256" not in about
    [content] = (await files.client.read_resource("files://details/docs/r.docx")).contents
    details = json.loads(content.text)
    assert len(details["sha256"]) == 64
    assert details["versions"] == 2
    assert details["metadata"]["title"] == "Other"
    assert details["created"] <= details["modified"] or details["created"]
    assert "problem" in (await files("info", path="docs/odd.docx", detail=True))["metadata"]


async def test_statistics_name_the_files_used_most(files: Any) -> None:
    files.put("a.txt", "a")
    files.put("b.txt", "b")
    for name in ("a", "b", "b"):
        await files("read", path=f"docs/{name}.txt")
        await files("list", path="docs")  # writes down who read what
    [content] = (await files.client.read_resource("files://stats")).contents
    stats = json.loads(content.text)
    assert stats["types"] == [{"suffix": "txt", "files": 2, "bytes": 2}]
    assert stats["disks"][0]["used"] > 0
    assert stats["most_used"] == [
        {"path": "docs/b.txt", "uses": 2},
        {"path": "docs/a.txt", "uses": 1},
    ]


@given(name=st.text(min_size=1, max_size=20), kind=st.sampled_from(["file", "folder"]), size=st.integers(0, 1 << 40))
def test_every_file_belongs_to_one_group_and_fits_its_own_filters(name: str, kind: str, size: int) -> None:
    status = os.stat_result((0o100644, 1, 1, 1, 0, 0, size, 0, 1_700_000_000, 0))
    group = group_of(name, kind)
    assert group in NAMES
    assert Filters().fits(name, kind, status)
    assert Filters(type=group).fits(name, kind, status)
    assert Filters(name=name, smallest=size, largest=size, since="2023-11-14", until="2023-11-14").fits(
        name, kind, status
    )
    assert not Filters(until="2023-11-13").fits(name, kind, status)
    if kind == "file" and ending_of(name):
        assert Filters(type=f".{ending_of(name)}").fits(name, kind, status)
