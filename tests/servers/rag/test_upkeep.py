"""Rebuild, vacuum, validate, clean-up, and folders that are taken in by themselves."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from tests.patience import PATIENCE

from homeport_rag.server import build_server
from homeport_shared.testing.clients import connected, finished_job

pytestmark = [pytest.mark.anyio]


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


@pytest.mark.model
@pytest.mark.usefixtures("each_store")
async def test_a_rebuild_reads_and_embeds_everything_anew(tmp_path: Path, model: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.txt").write_text(f"text number {number} about a car", "utf-8")
    async with connected(build_server, "rag", tmp_path / "home", flags={"folders": [str(folder)]}) as client:
        await finished_job(client, (await call(client, "sync_folder", path=str(folder)))["id"])
        await call(client, "add", text="a given text")
        with anyio.fail_after(PATIENCE):
            while (await call(client, "stats"))["collections"][0]["embedded"] < 6:
                await anyio.sleep(0.05)
        before = (await call(client, "search", query="a given text"))["hits"][0]
        job = await finished_job(client, (await call(client, "rebuild"))["id"])
        assert (job["state"], job["done"], job["counters"]["chunks"]) == ("completed", 6, 6)
        after = (await call(client, "search", query="a given text"))["hits"][0]
        assert after["document_id"] == before["document_id"]
        assert after["chunk_id"] > before["chunk_id"]
        overview = await call(client, "overview")
        assert overview["collections"][0]["rebuilt"] != ""
        assert overview["collections"][0]["embedded"] == 6
        assert (await call(client, "validate"))["problems"] == []


@pytest.mark.usefixtures("no_model")
async def test_a_vacuum_gives_space_back_and_says_how_much(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        for number in range(20):
            await call(client, "add", text=f"words {number} " * 3000, document_id=f"d{number}")
        await call(client, "delete", document_ids=[f"d{number}" for number in range(19)])
        job = await finished_job(client, (await call(client, "vacuum"))["id"])
        assert job["counters"]["bytes_after"] < job["counters"]["bytes_before"]
        assert len((await call(client, "search", query="words"))["hits"]) > 0
        assert (await call(client, "validate"))["ok"] is True


@pytest.mark.usefixtures("no_model")
async def test_what_does_not_agree_is_named(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        await call(client, "add", text="some words", document_id="d")
        with closing(sqlite3.connect(tmp_path / "rag" / "knowledge.db")) as database, database:
            database.execute("INSERT INTO vectors VALUES (999, 'm', x'00')")
            database.execute("UPDATE documents SET passages = 7")
            database.execute("UPDATE chunks_fts_data SET block = x'0102' WHERE id > 10")
        problems = (await call(client, "validate"))["problems"]
        assert "There are 1 vectors without a passage." in problems
        assert "There are 1 documents with another number of passages than they had." in problems
        assert any("chunks_fts is damaged" in problem for problem in problems)


@pytest.mark.usefixtures("no_model")
async def test_clean_up_shows_first_and_removes_only_what_is_named(tmp_path: Path) -> None:
    folder, other = tmp_path / "documents", tmp_path / "other"
    for place, names in ((folder, ("stays", "goes", "first", "second")), (other, ("outside",))):
        place.mkdir()
        for name in names:
            text = "twice" if name in ("first", "second") else f"the word {name}"
            (place / f"{name}.txt").write_text(text, "utf-8")
    home = tmp_path / "home"
    async with connected(build_server, "rag", home, flags={"folders": [str(folder), str(other)]}) as client:
        for place in (other, folder):
            await finished_job(client, (await call(client, "sync_folder", path=str(place)))["id"])
        await call(client, "add", text="milk", document_id="milk", metadata={"expires": "2020-01-01"})
    async with connected(build_server, "rag", home, flags={"folders": [str(folder)]}) as client:
        (folder / "goes.txt").unlink()
        with closing(sqlite3.connect(home / "rag" / "knowledge.db")) as database, database:
            database.execute("INSERT INTO vectors VALUES (999, 'old', x'0011')")
            database.execute("INSERT INTO vectors SELECT min(id), 'old', x'001122' FROM chunks")
        found = {each["title"]: each for each in (await call(client, "find_cleanup"))["found"]}
        duplicate = next(title for title in found if title in ("first.txt", "second.txt"))
        original = {"first.txt": "second.txt", "second.txt": "first.txt"}[duplicate]
        assert {title: each["reason"] for title, each in found.items()} == {
            "goes.txt": "its file is gone",
            duplicate: f"the same content as {original}",
            "milk": "expired on 2020-01-01",
            "outside.txt": "its folder is no longer one of those that may be read",
            "1 vectors of chunks that are gone": "orphaned",
            "2 vectors of models that no collection uses": "obsolete",
        }
        cleaned = await call(client, "cleanup", remove=[found["goes.txt"]["document_id"], "stays"])
        size = 2 * len("the word goes")  # of the text and of its chunk
        assert (cleaned["removed"], cleaned["chunks"], cleaned["vectors"], cleaned["bytes"]) == (1, 1, 0, size)
        cleaned = await call(client, "cleanup", remove=["remains:vectors", "remains:models"])
        assert (cleaned["removed"], cleaned["vectors"], cleaned["bytes"]) == (0, 2, 5)
        left = {each["title"] for each in (await call(client, "find_cleanup"))["found"]}
        assert left == {duplicate, "milk", "outside.txt"}
        assert (await call(client, "validate"))["problems"] == []
