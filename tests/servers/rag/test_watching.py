"""Folders that are taken in by themselves: by events, in order of priority, with patterns, retries and a switch."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from tests.patience import PATIENCE

from homeport_rag.ingest import by_priority, fits
from homeport_rag.server import build_server
from homeport_rag.sources import Found
from homeport_shared.testing.clients import connected, finished_job

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_model")]


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


async def titles(client: Client) -> set[str]:
    return {each["title"] for each in (await call(client, "list_documents"))["documents"]}


async def until(client: Client, expected: set[str]) -> None:
    with anyio.fail_after(PATIENCE):
        while await titles(client) != expected:
            await anyio.sleep(0.05)


async def test_files_come_change_move_and_go_without_a_word(tmp_path: Path) -> None:
    """The scan interval is a day, so what is seen after the start is told by events."""
    folder = tmp_path / "documents"
    (folder / "drafts").mkdir(parents=True)
    (folder / "first.txt").write_text("an umbrella", "utf-8")
    (folder / "drafts" / "no.txt").write_text("a draft", "utf-8")
    flags = {"folders": [str(folder)], "watch": [str(folder)], "watch_ignore": ["drafts"], "watch_seconds": 86_400}
    async with connected(build_server, "rag", tmp_path / "home", flags=flags) as client:
        await until(client, {"first.txt"})
        (folder / "second.txt").write_text("a raincoat", "utf-8")
        (folder / "drafts" / "more.txt").write_text("another draft", "utf-8")
        (folder / "picture.bin").write_bytes(b"\0\1")
        await until(client, {"first.txt", "second.txt"})
        (folder / "second.txt").rename(folder / "third.txt")
        await until(client, {"first.txt", "third.txt"})
        (folder / "first.txt").write_text("a parasol instead", "utf-8")
        with anyio.fail_after(PATIENCE):
            while not (await call(client, "search", query="parasol"))["hits"]:
                await anyio.sleep(0.05)
        (folder / "first.txt").unlink()
        await until(client, {"third.txt"})
        jobs = (await call(client, "jobs"))["jobs"]
        assert {job["kind"] for job in jobs} == {"auto_ingest"}
        assert sum(job["counters"]["new"] for job in jobs if job["state"] == "completed") == 3
        assert sum(job["counters"]["removed"] for job in jobs) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
async def test_names_that_are_no_utf_8_are_shown_and_stop_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    strange = folder / os.fsdecode(b"sub\xe9")
    strange.mkdir(parents=True)
    (strange / os.fsdecode(b"caf\xff.txt")).write_text("a strange trombone")
    (strange / os.fsdecode(b"torn\xff.pdf")).write_bytes(b"%PDF-1.4 nothing")
    (folder / "zebra.txt").write_text("a plain zebra")
    flags = {"folders": [str(folder)], "watch": [str(folder)], "watch_seconds": 86_400}
    async with connected(build_server, "rag", tmp_path / "home", flags=flags) as client:
        there = {"zebra.txt", r"caf\xff.txt", r"torn\xff.pdf"}
        await until(client, there)
        (strange / os.fsdecode(b"later\xfe.txt")).write_text("told by an event")
        await until(client, there | {r"later\xfe.txt"})
        [hit] = (await call(client, "search", query="trombone"))["hits"]
        assert hit["source"] == f"{folder.as_uri()}/sub%E9/caf%FF.txt"
        jobs = (await call(client, "jobs"))["jobs"]
        assert {job["state"] for job in jobs} <= {"completed", "running"}
        assert any(r"sub\xe9/torn\xff.pdf" in note for job in jobs for note in job["notes"])
        assert (await call(client, "find_cleanup"))["found"] == [], "their files are there"


@pytest.mark.slow
async def test_a_file_that_cannot_be_read_is_tried_a_few_times_and_again_when_it_changes(tmp_path: Path) -> None:
    folder, home = tmp_path / "documents", tmp_path / "home"
    folder.mkdir()
    broken = folder / "broken.pdf"
    broken.write_bytes(b"%PDF-1.4 broken")
    os.utime(broken, (1_700_000_000, 1_700_000_000))
    flags = {"folders": [str(folder)], "watch": [str(folder)], "watch_seconds": 5, "watch_tries": 2}

    async def failures(client: Client) -> list[float]:
        jobs = (await call(client, "jobs"))["jobs"]
        return [job["counters"]["failed"] for job in reversed(jobs) if job["state"] == "completed"]

    async with connected(build_server, "rag", home, flags=flags) as client:
        with anyio.fail_after(PATIENCE):
            while len(found := await failures(client)) < 3:
                await anyio.sleep(0.1)
        assert found[:3] == [1, 1, 0]
        broken.write_bytes(b"%PDF-1.4 broken as well")
        with anyio.fail_after(PATIENCE):
            while 1 not in (await failures(client))[2:]:
                await anyio.sleep(0.1)
        [document] = (await call(client, "browse_documents", status="failed"))["documents"]
        assert "damaged" in document["error"]


@pytest.mark.slow
async def test_watching_is_switched_on_and_off_while_it_runs(tmp_path: Path) -> None:
    watched, other = tmp_path / "watched", tmp_path / "other"
    for folder, name in ((watched, "a.txt"), (other, "b.txt")):
        folder.mkdir()
        (folder / name).write_text("an umbrella", "utf-8")
    flags = {"folders": [str(watched), str(other)], "watch": [str(watched)], "watch_seconds": 5}
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "homeport.toml").write_text("[rag]\nwatch_on = false\n", "utf-8")
    async with connected(build_server, "rag", tmp_path / "home", flags=flags) as client:
        await finished_job(client, (await call(client, "sync_folder", path=str(other)))["id"])
        assert await titles(client) == {"b.txt"}
        await call(client, "change_settings", values={"watch_on": True})
        await until(client, {"a.txt", "b.txt"})


def test_what_comes_first_is_read_first_and_then_the_newest() -> None:
    files = {name: Found(f"/d/{name}", 1, time) for name, time in [("old.md", 1), ("new.md", 3), ("a.pdf", 2)]}
    assert [uri for uri, _ in by_priority(files, ["*.pdf"])] == ["a.pdf", "new.md", "old.md"]
    assert [uri for uri, _ in by_priority(files, ["old*", "*.pdf"])] == ["old.md", "a.pdf", "new.md"]


def test_patterns_fit_names_paths_and_folders() -> None:
    assert fits("/home/me/notes.tmp", ["*.tmp"])
    assert fits("/home/me/build/a.txt", ["build"])
    assert fits("/home/me/a.txt", ["/home/*/a.txt"])
    assert not fits("/home/me/a.txt", ["*.md", "b"])
