"""Rebuild, vacuum, validate, clean-up, and folders that are taken in by themselves."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from homeport_rag.ingest import fits
from homeport_rag.server import build_server
from homeport_shared.testing.clients import connected, finished_job

pytestmark = [pytest.mark.anyio]


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


@pytest.mark.model
async def test_a_rebuild_reads_and_embeds_everything_anew(tmp_path: Path, model: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.txt").write_text(f"text number {number} about a car", "utf-8")
    async with connected(build_server, "rag", tmp_path / "home", flags={"folders": [str(folder)]}) as client:
        await finished_job(client, (await call(client, "sync_folder", path=str(folder)))["id"])
        await call(client, "add", text="a given text")
        with anyio.fail_after(60):
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
    folder = tmp_path / "documents"
    folder.mkdir()
    for name in ("stays", "goes"):
        (folder / f"{name}.txt").write_text(f"the word {name}", "utf-8")
    async with connected(build_server, "rag", tmp_path / "home", flags={"folders": [str(folder)]}) as client:
        await finished_job(client, (await call(client, "sync_folder", path=str(folder)))["id"])
        await call(client, "add", text="twice", title="First", document_id="one")
        await call(client, "add", text="twice", title="Second", document_id="two")
        await call(client, "add", text="milk", document_id="milk", metadata={"expires": "2020-01-01"})
        (folder / "goes.txt").unlink()
        found = {each["title"]: each for each in (await call(client, "cleanup"))["found"]}
        assert {title: each["reason"] for title, each in found.items()} == {
            "goes.txt": "its file is gone",
            "copy.txt": "the same content as first.txt",
            "milk": "expired on 2020-01-01",
        }
        cleaned = await call(client, "cleanup", remove=[found["goes.txt"]["document_id"], "one"])
        assert (cleaned["removed"], cleaned["chunks"]) == (1, 1)
        assert {each["title"] for each in (await call(client, "cleanup"))["found"]} == {"Second", "milk"}


@pytest.mark.usefixtures("no_model")
async def test_a_watched_folder_is_taken_in_by_itself(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    (folder / "drafts").mkdir(parents=True)
    (folder / "a.txt").write_text("an umbrella", "utf-8")
    (folder / "drafts" / "b.txt").write_text("a draft of an umbrella", "utf-8")
    flags = {"folders": [str(folder)], "watch": [str(folder)], "watch_ignore": ["drafts"], "watch_seconds": 5}
    async with connected(build_server, "rag", tmp_path / "home", flags=flags) as client:
        with anyio.fail_after(30):
            while not (hits := (await call(client, "search", query="umbrella"))["hits"]):
                await anyio.sleep(0.05)
            assert [hit["title"] for hit in hits] == ["a.txt"]
            (folder / "c.txt").write_text("another umbrella", "utf-8")
            while len((await call(client, "search", query="umbrella"))["hits"]) < 2:
                await anyio.sleep(0.1)
        assert {job["kind"] for job in (await call(client, "jobs"))["jobs"]} == {"ingest"}


def test_patterns_fit_names_paths_and_folders() -> None:
    assert fits("/home/me/notes.tmp", ["*.tmp"])
    assert fits("/home/me/build/a.txt", ["build"])
    assert fits("/home/me/a.txt", ["/home/*/a.txt"])
    assert not fits("/home/me/a.txt", ["*.md", "b"])
