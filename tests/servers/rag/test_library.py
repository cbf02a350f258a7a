"""Documents and collections changed by hand: metadata, moves, archive, versions, settings, uploads."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from homeport_rag.server import build_server
from homeport_shared.testing.clients import connected, finished_job

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_model")]


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return result.content[0].text


async def titles(client: Client, query: str, **arguments: Any) -> list[str]:
    return [hit["title"] for hit in (await call(client, "search", query=query, **arguments))["hits"]]


def file(name: str, data: bytes) -> dict[str, str]:
    return {"name": name, "data": base64.b64encode(data).decode()}


async def test_every_hit_has_an_address_that_can_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.md").write_text("# One\n\nfirst\n\n# Two\n\nthe kettle", "utf-8")
    async with connected(build_server, "rag", tmp_path / "home", flags={"folders": [str(folder)]}) as client:
        await finished_job(client, (await call(client, "sync_folder", path=str(folder)))["id"])
        [hit] = (await call(client, "search", query="kettle"))["hits"]
        assert hit["source"] == (folder / "a.md").as_uri()
        [content] = (await client.read_resource(hit["uri"])).contents
        assert "the kettle" in content.text
        [content] = (await client.read_resource(f"rag://documents/{hit['document_id']}/chunks")).contents
        assert [chunk["vector_id"] for chunk in json.loads(content.text)["chunks"]] == [hit["chunk_id"]]


@pytest.mark.usefixtures("each_store")
async def test_edited_metadata_is_a_filter_and_outlives_a_new_ingest(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.txt").write_text("words of alpha", "utf-8")
    async with connected(build_server, "rag", tmp_path / "home", flags={"folders": [str(folder)]}) as client:
        await finished_job(client, (await call(client, "sync_folder", path=str(folder)))["id"])
        [hit] = (await call(client, "search", query="alpha"))["hits"]
        await call(client, "edit_metadata", document_ids=[hit["document_id"]], metadata={"team": "red", "year": 2026})
        assert await titles(client, "alpha", metadata={"team": "red"}) == ["a.txt"]
        (folder / "a.txt").write_text("more words of alpha", "utf-8")
        await finished_job(client, (await call(client, "sync_folder", path=str(folder)))["id"])
        assert await titles(client, "more", metadata={"team": "red", "year": 2026}) == ["a.txt"]
        await call(client, "edit_metadata", document_ids=[hit["document_id"]], metadata={"team": None})
        assert await titles(client, "more", metadata={"team": "red"}) == []
        assert "cannot be" in await refused(
            client, "edit_metadata", document_ids=[hit["document_id"]], metadata={"a": [1]}
        )


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.usefixtures("each_store")
async def test_documents_move_between_collections(tmp_path: Path, language: str) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        await call(client, "create_collection", name="other", language=language)
        added = await call(client, "add", text="the kettle is blue", title="Kettle")
        assert await call(client, "move_documents", document_ids=[added["document_id"]], collection="other") == {
            "changed": 1
        }
        assert await titles(client, "kettle", collections=["default"]) == []
        assert await titles(client, "kettle", collections=["other"]) == ["Kettle"]
        counts = {each["name"]: each["chunks"] for each in (await call(client, "stats"))["collections"]}
        assert (counts["default"], counts["other"]) == (0, 1)
        assert (await call(client, "validate"))["problems"] == []


async def test_documents_are_deleted_embedded_anew_and_moved_several_at_once(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        ids = [(await call(client, "add", text=f"kettle {number}"))["document_id"] for number in range(4)]
        moved = await call(client, "move_documents", document_ids=ids[:2], collection="reports")
        assert moved == {"changed": 2}
        job = await finished_job(client, (await call(client, "rebuild", document_ids=ids[1:3]))["id"])
        assert (job["state"], job["done"]) == ("completed", 2)
        deleted = await call(client, "delete", document_ids=ids[2:])
        assert (deleted["documents"], deleted["chunks"]) == (2, 2)
        assert len(await titles(client, "kettle")) == 2
        assert len(await titles(client, "kettle", collections=["reports"])) == 2


@pytest.mark.usefixtures("each_store")
async def test_an_archived_document_is_out_of_the_search_until_it_is_taken_back(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        added = await call(client, "add", text="the kettle is blue", title="Kettle")
        await call(client, "archive_documents", document_ids=[added["document_id"]])
        assert await titles(client, "kettle") == []
        await call(client, "archive_documents", document_ids=[added["document_id"]], archived=False)
        assert await titles(client, "kettle") == ["Kettle"]


@pytest.mark.usefixtures("each_store")
async def test_a_former_version_can_be_read_and_restored(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        await call(client, "add", text="the kettle is blue", title="Kettle", document_id="k")
        await call(client, "add", text="the kettle is red", title="Kettle", document_id="k")
        assert await titles(client, "blue") == []
        [version] = (await call(client, "list_versions", document_id="k"))["versions"]
        assert (version["text"], version["actor"] != "") == ("the kettle is blue", True)
        await call(client, "restore_version", document_id="k", version=version["version"])
        assert await titles(client, "blue") == ["Kettle"]
        texts = [each["text"] for each in (await call(client, "list_versions", document_id="k"))["versions"]]
        assert texts == ["the kettle is red", "the kettle is blue"]


@pytest.mark.usefixtures("each_store")
async def test_documents_are_filtered_and_sorted_page_by_page(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        for number in range(120):
            collection = "reports" if number % 2 else "default"
            await call(client, "add", text=f"text {number}", title=f"Title {number:03}", collection=collection)
        found: list[str] = []
        cursor = ""
        while True:
            page = await call(client, "browse_documents", collection="reports", falling=True, cursor=cursor)
            found += [document["title"] for document in page["documents"]]
            if not (cursor := page["next_cursor"]):
                break
        assert found == [f"Title {number:03}" for number in range(119, 0, -2)]
        assert [d["title"] for d in (await call(client, "browse_documents", text="ti 007"))["documents"]] == [
            "Title 007"
        ]
        assert (await call(client, "browse_documents", status="failed"))["documents"] == []
        assert len((await call(client, "browse_documents", origin="text"))["documents"]) == 50
        by_date = await call(client, "browse_documents", order="added", falling=True)
        assert by_date["documents"][0]["title"] == "Title 119"


async def test_a_splitter_and_a_size_divide_the_next_documents_of_a_collection(tmp_path: Path) -> None:
    text = "# Head\n\n" + "\n\n".join(f"Paragraph {number} has some words to say." for number in range(30))
    async with connected(build_server, "rag", tmp_path) as client:
        added = await call(client, "add", text=text, document_id="d")
        whole = (await call(client, "list_chunks", document_id="d"))["chunks"]
        await call(client, "change_collection", name="default", chunk_tokens=60, overlap_tokens=5)
        job = await call(client, "rebuild", document_ids=[added["document_id"]])
        assert (await finished_job(client, job["id"]))["state"] == "completed"
        smaller = (await call(client, "list_chunks", document_id="d"))["chunks"]
        assert len(smaller) > 2 * len(whole)
        assert "does not fit the model" in await refused(client, "change_collection", name="default", chunk_tokens=900)
        assert "15 %" in await refused(client, "change_collection", name="default", overlap_tokens=200)


@pytest.mark.usefixtures("each_store")
async def test_uploads_are_checked_and_taken_in_as_a_job(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        files = [
            file("notes.md", b"# Notes\n\nThe umbrella hangs in the hall, and it is not wet from the rain."),
            file("broken.pdf", b"%PDF-1.7 nothing"),
            file("picture.png", b"\x89PNG"),
            {"name": "torn.txt", "data": "%%%"},
        ]
        given = await call(client, "upload", files=files, category="Policy", collection="reports")
        assert [each["state"] for each in given["files"]] == ["queued", "queued", "refused", "refused"]
        assert "picture.png is of a kind" in given["files"][2]["reason"]
        job = await finished_job(client, given["job_id"])
        assert (job["counters"]["new"], job["counters"]["failed"]) == (1, 1)
        assert await titles(client, "umbrella", metadata={"category": "Policy"}) == ["Notes"]
        [failed] = (await call(client, "browse_documents", status="failed"))["documents"]
        assert (failed["title"], "damaged" in failed["error"]) == ("broken.pdf", True)
        [notes] = (await call(client, "browse_documents", text="Notes", origin="upload"))["documents"]
        assert notes["language"] == "en"
        again = await call(client, "upload", files=files[:1], collection="reports")
        assert "is in reports already" in again["files"][0]["reason"]


async def test_chunking_of_an_upload_can_differ_from_its_collection(tmp_path: Path) -> None:
    text = "\n\n".join(f"Paragraph {number} has some words to say." for number in range(30)).encode()
    async with connected(build_server, "rag", tmp_path) as client:
        given = await call(client, "upload", files=[file("a.txt", text)], chunk_tokens=40, overlap_tokens=0)
        await finished_job(client, given["job_id"])
        assert len((await call(client, "list_chunks", document_id=given["files"][0]["document_id"]))["chunks"]) > 5


@pytest.mark.usefixtures("each_store")
async def test_names_are_found_in_spite_of_typing_errors(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        await call(client, "add", text="about nothing", title="Quarterly report 2026")
        await call(client, "add", text="about something", title="Holiday pictures")
        assert await titles(client, "quarterrly repoort", mode="name") == ["Quarterly report 2026"]
        assert set(await titles(client, "holiday nothing", mode="all")) == {"Quarterly report 2026", "Holiday pictures"}


async def test_the_overview_counts_everything(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        await call(client, "add", text="some words")
        overview = await call(client, "overview")
        assert overview["collections"][0]["settings"] == {}
        assert overview["free_bytes"] > 0
        assert overview["statuses"] == {"failed": 0, "archived": 0, "held": 0, "pending": 1, "embedded": 0}


async def test_the_prompts_name_the_question(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        prompt = await client.get_prompt("answer_with_citations", {"question": "When is the boiler serviced?"})
        assert "When is the boiler serviced?" in prompt.messages[0].content.text
