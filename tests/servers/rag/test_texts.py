"""Entries given as text, collections, listing: what works in any client and without a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp import Client
from tests.patience import PATIENCE

from homeport_rag.server import build_server
from homeport_shared.testing.clients import Era, connected

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


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_stored_text_is_found_with_its_place(tmp_path: Path, era: Era) -> None:
    async with connected(build_server, "rag", tmp_path, era=era) as client:
        text = "# Office rules\n\nThe kettle is in the\nblue kitchen."
        added = await call(client, "add", text=text, metadata={"floor": 2})
        assert added["outcome"] == "new"
        found = await call(client, "search", query="where are the kettles?")
        assert found["mode"] == "lexical"
        assert "holds no embedding model" in found["why"]
        (hit,) = found["hits"]
        assert hit["document_id"] == added["document_id"]
        assert hit["title"] == "Office rules"
        assert hit["score"] == 1
        assert hit["parts"]["lexical_rank"] == 1
        lines = text.split("\n")[hit["line"] - 1 : hit["end_line"]]
        assert "\n".join(lines) == hit["text"]
        fetched = await call(client, "get", document_id=added["document_id"])
        assert (fetched["text"], fetched["metadata"], fetched["next_line"]) == (text, {"floor": 2}, 0)


async def test_adding_the_same_text_again_changes_nothing(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        first = await call(client, "add", text="the same words")
        second = await call(client, "add", text="the same words")
        assert (second["document_id"], second["outcome"]) == (first["document_id"], "unchanged")
        assert len((await call(client, "search", query="same"))["hits"]) == 1


@pytest.mark.usefixtures("each_store")
async def test_an_entry_is_updated_under_its_id_and_deleted(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        entry = (await call(client, "add", text="old content", title="Entry"))["document_id"]
        assert (await call(client, "add", text="fresh content", document_id=entry))["outcome"] == "changed"
        assert (await call(client, "search", query="old"))["hits"] == []
        assert (await call(client, "search", query="fresh"))["hits"][0]["document_id"] == entry
        gone = await call(client, "delete", document_ids=[entry, "nonsense"])
        assert gone == {"documents": 1, "chunks": 1, "missing": ["nonsense"]}
        assert (await call(client, "search", query="fresh"))["hits"] == []
        assert "no document" in await refused(client, "get", document_id=entry)


async def test_an_empty_text_is_refused(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        assert "The text is empty." in await refused(client, "add", text=" \n")


@pytest.mark.usefixtures("each_store")
async def test_a_search_in_one_collection_never_returns_another(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        await call(client, "create_collection", name="recipes")
        for collection in ("recipes", "emails", "default"):
            await call(client, "add", text=f"a note on soup in {collection}", collection=collection)

        async def where(**arguments: Any) -> set[str]:
            return {hit["collection"] for hit in (await call(client, "search", query="soup", **arguments))["hits"]}

        assert await where(collections=["recipes"]) == {"recipes"}
        assert await where(collections=["recipes", "emails"]) == {"recipes", "emails"}
        assert await where() == {"recipes", "emails", "default"}
        assert "no collection 'nonsense'" in await refused(client, "search", query="soup", collections=["nonsense"])


@pytest.mark.usefixtures("each_store")
async def test_collections_are_listed_created_and_deleted(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        await call(client, "create_collection", name="recipes", language="de")
        names = [collection["name"] for collection in (await call(client, "stats"))["collections"]]
        assert names == ["default", "emails", "reports", "projects", "recipes"]
        [resource] = (await client.read_resource("rag://collections")).contents
        assert [collection["name"] for collection in json.loads(resource.text)["collections"]] == names
        assert "already" in await refused(client, "create_collection", name="recipes")
        assert "no name" in await refused(client, "create_collection", name="../x")
        await call(client, "add", text="Suppe", collection="recipes")
        assert "cannot be undone" in await refused(client, "delete", collection="recipes", confirm="yes")
        gone = await call(client, "delete", collection="recipes", confirm="recipes")
        assert (gone["documents"], gone["chunks"]) == (1, 1)
        assert "recipes" not in [entry["name"] for entry in (await call(client, "stats"))["collections"]]


@pytest.mark.usefixtures("each_store")
async def test_a_built_in_collection_is_emptied_but_stays(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        await call(client, "add", text="words")
        await call(client, "delete", collection="default", confirm="default")
        assert (await call(client, "stats"))["collections"][0] == {
            "name": "default", "language": "en", "documents": 0, "chunks": 0, "embedded": 0,
        }  # fmt: skip


@pytest.mark.parametrize(
    ("language", "text", "query", "found"),
    [
        ("en", "she walked to the shops", "walking shop", True),
        ("de", "der Mann und die Frau", "the", False),
        ("de", "die Straße, die Übung", "ubung", True),
        ("ja", "東京都に住んでいます", "東京", True),
        ("ja", "東京都に住んでいます", "京東", False),
        ("ko", "서울에서 만나요", "서울", True),
    ],
)
async def test_words_are_found_in_other_languages(
    tmp_path: Path, language: str, text: str, query: str, *, found: bool
) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        await call(client, "create_collection", name="other", language=language)
        await call(client, "add", text=text, collection="other")
        assert bool((await call(client, "search", query=query))["hits"]) is found


@pytest.mark.usefixtures("each_store")
async def test_english_and_other_collections_are_searched_together(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        await call(client, "create_collection", name="deutsch", language="de")
        await call(client, "add", text="an apple from the garden")
        await call(client, "add", text="ein apple aus dem Garten", collection="deutsch")
        hits = (await call(client, "search", query="apple"))["hits"]
        assert {hit["collection"] for hit in hits} == {"default", "deutsch"}
        assert [hit["score"] for hit in hits] == [1, 1]


@pytest.mark.usefixtures("each_store")
async def test_k_and_threshold_limit_the_hits(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        for number in range(6):
            await call(client, "add", text="tea " * (number + 1) + "water " * (12 - number))
        assert len((await call(client, "search", query="tea", k=3))["hits"]) == 3
        scores = [hit["score"] for hit in (await call(client, "search", query="tea"))["hits"]]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] == 1
        strict = (await call(client, "search", query="tea", threshold=scores[2]))["hits"]
        assert [hit["score"] for hit in strict] == scores[:3]
        assert "threshold" in await refused(client, "search", query="tea", threshold=2)
        assert "'soon' is no date" in await refused(client, "search", query="tea", after="soon")


async def test_documents_are_listed_page_by_page(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        for number in range(60):
            await call(client, "add", text=f"text {number}", title=f"Title {number:02}")
        first = await call(client, "list_documents", collection="default")
        second = await call(client, "list_documents", collection="default", cursor=first["next_cursor"])
        titles = [document["title"] for document in first["documents"] + second["documents"]]
        assert titles == [f"Title {number:02}" for number in range(60)]
        assert second["next_cursor"] == ""
        assert (await call(client, "list_documents", collection="emails"))["documents"] == []
        assert "cursor" in await refused(client, "list_documents", cursor="nonsense")


async def test_a_long_document_is_read_window_by_window(tmp_path: Path) -> None:
    text = "\n".join(f"line {number} " + "x" * 90 for number in range(1, 501))
    async with connected(build_server, "rag", tmp_path) as client:
        entry = (await call(client, "add", text=text))["document_id"]
        line, parts = 1, list[str]()
        while line:
            window = await call(client, "get", document_id=entry, line=line)
            assert len(window["text"]) <= 20_000
            parts.append(window["text"])
            line = window["next_line"]
        assert "\n".join(parts) == text
        [hit] = (await call(client, "search", query='"line 499"', k=1))["hits"]
        passage = await call(client, "get", document_id=entry, chunk_id=hit["chunk_id"])
        assert hit["text"] in passage["text"]
        [resource] = (await client.read_resource(f"rag://documents/{entry}")).contents
        assert resource.text == text


async def test_unknown_things_are_refused_in_one_sentence(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        assert "no job 'x'" in await refused(client, "jobs", job_id="x")
        assert "no job 'x'" in await refused(client, "cancel_job", job_id="x")
        assert "no document 'x'" in await refused(client, "get", document_id="x")
        with pytest.raises(Exception, match="no document 'x'"):
            await client.read_resource("rag://documents/x")


async def test_the_model_is_not_downloaded_without_consent(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        assert "91 MB" in await refused(client, "install_model")


async def test_changes_are_told_to_subscribers(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        with anyio.fail_after(PATIENCE):
            async with client.listen(resource_subscriptions=["rag://collections"]) as events:
                await call(client, "add", text="words")
                async for event in events:
                    assert str(event.uri) == "rag://collections"
                    break


@pytest.mark.usefixtures("each_store")
async def test_no_query_is_ever_an_error(tmp_path: Path) -> None:
    """Any text is words to look for, never FTS5 syntax."""
    async with connected(build_server, "rag", tmp_path) as client:
        await call(client, "add", text='NEAR AND OR NOT title: x* ^y "z" (a b) {c} - +')
        queries = st.text(max_size=60) | st.sampled_from(
            [
                '"',
                "a AND",
                'NEAR("a" "b", 2)',
                "text:a",
                "a*",
                "^a",
                "{header}: a",
                "a\0b",
                "((((",
                "'; DROP TABLE chunks",
            ]
        )
        asked: list[str] = []

        @settings(max_examples=100, suppress_health_check=list(HealthCheck))
        @given(queries)
        def collect(query: str) -> None:
            asked.append(query.encode("utf-8", "replace").decode())

        collect()
        for query in asked:
            await call(client, "search", query=query)
        assert len((await call(client, "search", query="near"))["hits"]) == 1
