"""Folders: ingest as a job, incremental sync, bad files, refusal outside of the allowed folders."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from docx import Document as Word
from mcp import Client
from openpyxl import Workbook
from pptx import Presentation

from homeport_rag.server import build_server
from homeport_shared.events import Event
from homeport_shared.testing.clients import connected, finished_job

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_model")]

PDF = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R 5 0 R]/Count 2>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Contents 4 0 R/Resources<</Font<</F 7 0 R>>>>>>endobj
4 0 obj<</Length 46>>stream
BT /F 12 Tf 20 100 Td (Cats sleep a lot.) Tj ET
endstream endobj
5 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Contents 6 0 R/Resources<</Font<</F 7 0 R>>>>>>endobj
6 0 obj<</Length 52>>stream
BT /F 12 Tf 20 100 Td (Penguins swim in water.) Tj ET
endstream endobj
7 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj
trailer<</Root 1 0 R/Size 8>>
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    return folder


@asynccontextmanager
async def knowledge(folder: Path, **options: Any) -> AsyncGenerator[Client]:
    home = folder.parent / "home"
    async with connected(build_server, "rag", home, flags={"folders": [str(folder)]}, **options) as client:
        yield client


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


async def sync(client: Client, folder: Path, **arguments: Any) -> dict[str, Any]:
    started = await call(client, "sync_folder", path=str(folder), **arguments)
    return await finished_job(client, started["id"])


async def hits(client: Client, query: str, **arguments: Any) -> list[dict[str, Any]]:
    return (await call(client, "search", query=query, **arguments))["hits"]


def counts(job: dict[str, Any]) -> tuple[float, ...]:
    assert job["state"] == "completed", job
    return tuple(job["counters"][name] for name in ("new", "changed", "unchanged", "removed", "failed"))


def settle(folder: Path) -> None:
    """Make all files look as if they had been written a minute ago."""
    for file in folder.rglob("*"):
        past = file.stat().st_mtime - 60
        os.utime(file, (past, past))


async def test_documents_of_every_kind_are_found_with_their_place(folder: Path) -> None:
    (folder / "animals.pdf").write_bytes(PDF)
    (folder / "kitchen.md").write_text("# Kitchen\n\n## Devices\n\nThe kettle is blue.\n")
    (folder / "notes.txt").write_text("first line\nsecond line\n\nthe umbrella hangs here\n")
    (folder / "page.html").write_text("<html><title>Page</title><body><p>A xylophone.</p></body></html>")
    (folder / "stock.csv").write_text("item,count\nbicycle,4\n")
    word = Word()
    word.add_paragraph("The contract ends in May.")
    word.save(str(folder / "contract.docx"))
    book = Workbook()
    book.active.append(["screws", 12])
    book.save(folder / "store.xlsx")
    slides = Presentation()
    slides.slides.add_slide(slides.slide_layouts[5]).shapes.title.text = "The roadmap of giraffes"
    slides.save(str(folder / "roadmap.pptx"))
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = "Lunch", "a@example.org", "b@example.org"
    mail.set_content("Shall we eat dumplings?")
    (folder / "lunch.eml").write_bytes(mail.as_bytes())
    async with knowledge(folder) as client:
        job = await sync(client, folder)
        assert counts(job) == (9, 0, 0, 0, 0), job["notes"]
        assert job["counters"]["chunks"] >= 9
        for query, name in (
            ("kettle", "kitchen.md"), ("xylophone", "page.html"), ("bicycle", "stock.csv"),
            ("contract", "contract.docx"), ("dumplings", "lunch.eml"), ("penguin", "animals.pdf"),
            ("screws", "store.xlsx"), ("giraffes", "roadmap.pptx"),
        ):  # fmt: skip
            assert [hit["source"] for hit in await hits(client, query)] == [(folder / name).as_uri()]
        [penguin] = await hits(client, "penguin")
        assert penguin["page"] == 2
        [umbrella] = await hits(client, "umbrella")
        assert umbrella["line"] <= 4 <= umbrella["end_line"]
        shown = await call(client, "get", document_id=umbrella["document_id"], line=4)
        assert shown["text"] == "the umbrella hangs here\n"


async def test_a_second_sync_takes_only_what_is_new_changed_or_gone(folder: Path) -> None:
    for name in ("stays", "changes", "goes"):
        (folder / f"{name}.txt").write_text(f"the word {name}")
    settle(folder)
    async with knowledge(folder) as client:
        assert counts(await sync(client, folder)) == (3, 0, 0, 0, 0)
        [before] = await hits(client, "changes")
        (folder / "changes.txt").write_text("now about pelicans")
        (folder / "goes.txt").unlink()
        (folder / "comes.txt").write_text("the word comes")
        assert counts(await sync(client, folder)) == (1, 1, 1, 1, 0)
        assert await hits(client, "goes") == []
        [after] = await hits(client, "pelicans")
        assert after["document_id"] == before["document_id"]
        assert counts(await sync(client, folder)) == (0, 0, 3, 0, 0)


async def test_a_file_that_was_only_touched_is_not_stored_again(folder: Path) -> None:
    (folder / "a.txt").write_text("same words")
    settle(folder)
    async with knowledge(folder) as client:
        await sync(client, folder)
        [before] = await hits(client, "same")
        os.utime(folder / "a.txt")
        assert counts(await sync(client, folder)) == (0, 0, 1, 0, 0)
        assert (await hits(client, "same"))[0]["chunk_id"] == before["chunk_id"]


async def test_a_change_within_the_same_instant_is_noticed(folder: Path) -> None:
    file = folder / "a.txt"
    file.write_text("old words")
    moment = file.stat().st_mtime_ns
    async with knowledge(folder) as client:
        await sync(client, folder)
        file.write_text("new words")
        os.utime(file, ns=(moment, moment))
        assert counts(await sync(client, folder)) == (0, 1, 0, 0, 0)
        assert len(await hits(client, "new")) == 1


async def test_a_sync_of_one_folder_leaves_its_neighbour_alone(folder: Path) -> None:
    for name in ("docs", "docs2"):
        (folder / name).mkdir()
        (folder / name / "a.txt").write_text(f"words of {name}")
    async with knowledge(folder) as client:
        await sync(client, folder)
        (folder / "docs" / "a.txt").unlink()
        assert counts(await sync(client, folder / "docs")) == (0, 0, 0, 1, 0)
        assert len(await hits(client, "docs2")) == 1


async def test_broken_files_are_named_and_the_rest_is_taken_in(folder: Path) -> None:
    (folder / "good.txt").write_text("good words")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing of a PDF follows")
    (folder / "fake.docx").write_bytes(b"PK\x03\x04 no archive")
    (folder / "binary.txt").write_bytes(bytes(range(256)) * 40)
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n")
    os.mkfifo(folder / "pipe.txt")
    (folder / "link.txt").symlink_to("/etc/passwd")
    (folder / ".hidden.txt").write_text("hidden words")
    async with knowledge(folder) as client:
        job = await sync(client, folder)
        assert counts(job) == (1, 0, 0, 0, 3)
        assert job["counters"]["skipped"] == 1
        assert [Path(note.split(":")[0]).name for note in job["notes"]] == ["binary.txt", "broken.pdf", "fake.docx"]
        assert len(await hits(client, "words")) == 1


async def test_a_file_of_a_type_that_cannot_be_read_is_refused_by_name(folder: Path) -> None:
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    async with knowledge(folder) as client:
        added = await call(client, "add", paths=[str(folder / "picture.png")])
        job = await finished_job(client, added["job_id"])
        assert job["counters"]["failed"] == 1
        assert "picture.png is a PNG picture" in job["notes"][0]


async def test_a_file_above_the_limit_is_refused_by_name(folder: Path) -> None:
    with (folder / "huge.txt").open("wb") as file:
        file.truncate(2_000_000_000)
    async with knowledge(folder) as client:
        job = await sync(client, folder)
        assert counts(job) == (0, 0, 0, 0, 1)
        assert "huge.txt is larger than 100 MB" in job["notes"][0]


@pytest.mark.parametrize("path", ["/etc", "{folder}/../outside", "{folder}/out", "nonsense"])
async def test_what_is_outside_of_the_folders_is_refused(folder: Path, path: str) -> None:
    (folder.parent / "outside").mkdir()
    (folder / "out").symlink_to(folder.parent / "outside")
    async with knowledge(folder) as client:
        result = await client.call_tool("sync_folder", {"path": path.format(folder=folder)})
        assert result.is_error
        assert result.meta["io.homeport/error"]["code"] == "denied"
        assert str(folder) in result.content[0].text


async def test_without_folders_nothing_on_disk_can_be_read(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        result = await client.call_tool("add", {"paths": ["/etc/hosts"]})
        assert "No folder may be read yet" in result.content[0].text


async def test_a_person_allows_a_folder_and_it_stays_allowed(folder: Path) -> None:
    (folder / "a.txt").write_text("allowed words")
    home = folder.parent / "home"
    async with connected(build_server, "rag", home) as client:
        allowed = await call(client, "add_folder", path=str(folder))
        assert allowed["id"] == str(folder)
        assert counts(await sync(client, folder)) == (1, 0, 0, 0, 0)
    async with connected(build_server, "rag", home) as client:
        assert (await call(client, "stats"))["folders"] == [str(folder)]
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert tools["add_folder"].meta["ui"] == {"visibility": ["app"]}


async def test_the_data_root_itself_is_not_read(folder: Path) -> None:
    home = folder / "home"
    async with connected(build_server, "rag", home, flags={"folders": [str(folder)]}) as client:
        (home / "rag").mkdir(parents=True, exist_ok=True)
        (home / "rag" / "secret.txt").write_text("secret words")
        assert counts(await sync(client, folder)) == (0, 0, 0, 0, 0)


async def test_a_folder_that_vanished_removes_nothing(folder: Path) -> None:
    below = folder / "usb"
    below.mkdir()
    (below / "a.txt").write_text("words on a stick")
    async with knowledge(folder) as client:
        await sync(client, below)
        (below / "a.txt").unlink()
        below.rmdir()
        result = await client.call_tool("sync_folder", {"path": str(below)})
        assert result.is_error
        assert len(await hits(client, "stick")) == 1


async def test_the_end_of_an_ingest_is_an_event(folder: Path) -> None:
    class Collected:
        def __init__(self) -> None:
            self.events: list[Event] = []

        async def publish(self, event: Event) -> None:
            self.events.append(event)

    (folder / "a.txt").write_text("words")
    sink = Collected()
    async with knowledge(folder, events=sink) as client:
        job = await sync(client, folder)
    assert [(event.kind, event.subject) for event in sink.events] == [("ingest.finished", f"job://{job['job_id']}")]


async def test_metadata_given_with_paths_can_be_searched_by(folder: Path) -> None:
    (folder / "a.txt").write_text("words of alpha")
    (folder / "b.md").write_text("words of beta")
    async with knowledge(folder) as client:
        added = await call(client, "add", paths=[str(folder / "a.txt")], metadata={"team": "red"})
        assert counts(await finished_job(client, added["job_id"])) == (1, 0, 0, 0, 0)
        added = await call(client, "add", paths=[str(folder / "b.md")], metadata={"team": "blue"})
        await finished_job(client, added["job_id"])
        assert {hit["title"] for hit in await hits(client, "words")} == {"a.txt", "b.md"}
        assert [hit["title"] for hit in await hits(client, "words", metadata={"team": "red"})] == ["a.txt"]
        assert [hit["title"] for hit in await hits(client, "words", types=["md"])] == ["b.md"]
        assert [hit["title"] for hit in await hits(client, "words", types=["text/plain"])] == ["a.txt"]
        assert await hits(client, "words", before="2001-01-01") == []
        assert len(await hits(client, "words", after="2001-01-01")) == 2
