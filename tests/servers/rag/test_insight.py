"""Why a document was not found, similar documents, history, kept searches, export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from tests.patience import PATIENCE

from homeport_rag import watchlist
from homeport_rag.results.searches import SearchResult
from homeport_rag.retrieval import Question, Retrieval
from homeport_rag.server import build_server
from homeport_shared.errors import HomeportError
from homeport_shared.events import Event
from homeport_shared.testing.clients import connected

pytestmark = [pytest.mark.anyio]


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


@pytest.mark.usefixtures("no_model", "each_store")
async def test_it_is_said_why_a_document_was_not_found(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        for number in range(12):
            await call(client, "add", text="tea " * (12 - number) + "water " * 5, document_id=f"d{number}")
        await call(client, "add", text="coffee", document_id="c", collection="reports", metadata={"team": "red"})

        async def why(document: str, **arguments: Any) -> dict[str, Any]:
            return await call(client, "why_not", document_id=document, query="tea", **arguments)

        assert (await why("d0"))["found"] is True
        last = await why("d11", k=5)
        assert (last["found"], last["rank"], len(last["above"]) > 0) == (False, 12, True)
        assert "only the first 5 were asked for" in last["reason"]
        assert last["terms"] == {"tea": True}
        assert last["best"][0]["document_id"] == "d11"
        assert "below the threshold" in (await why("d11", threshold=0.99))["reason"]
        assert "which was not searched" in (await why("c", collections=["default"]))["reason"]
        assert "shares no word" in (await why("c"))["reason"]
        assert "filters" in (await why("d0", metadata={"team": "red"}))["reason"]
        await call(client, "archive_documents", document_ids=["d0"])
        assert "archived" in (await why("d0"))["reason"]


@pytest.mark.usefixtures("no_model")
async def test_a_query_of_nothing_is_called_empty(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        await call(client, "add", text="tea")
        found = await call(client, "search", query=" \n")
        assert (found["hits"], found["why"]) == ([], "The query is empty.")


@pytest.mark.model
@pytest.mark.usefixtures("each_store")
async def test_similar_documents_are_ranked_by_meaning(tmp_path: Path, model: Path) -> None:
    texts = {"car": "The car needs new tyres.", "tyre": "Tyres of an automobile wear out.", "rose": "Roses want water."}
    async with connected(build_server, "rag", tmp_path) as client:
        for name, text in texts.items():
            await call(client, "add", text=text, document_id=name)
        with anyio.fail_after(PATIENCE):
            while (await call(client, "stats"))["collections"][0]["embedded"] < 3:
                await anyio.sleep(0.05)
        found = (await call(client, "similar_documents", document_id="car", threshold=0))["documents"]
        assert [each["document_id"] for each in found] == ["tyre", "rose"]
        strict = (await call(client, "similar_documents", document_id="car", threshold=0.4))["documents"]
        assert [each["document_id"] for each in strict] == ["tyre"]
        graph = await call(client, "document_graph", document_id="car", threshold=0)
        assert [each["document_id"] for each in graph["documents"]] == ["car", "tyre", "rose"]
        linked = {frozenset((edge["one"], edge["other"])): edge["similarity"] for edge in graph["edges"]}
        assert linked[frozenset(("car", "tyre"))] == strict[0]["similarity"] > linked[frozenset(("car", "rose"))]
        assert (await call(client, "validate"))["problems"] == []


@pytest.mark.usefixtures("no_model", "each_store")
async def test_searches_are_kept_with_the_documents_they_found(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        await call(client, "add", text="the kettle is blue", document_id="k")
        for query in ("kettle", "nothing like it"):
            await call(client, "search", query=query)
        assert [q["query"] for q in (await call(client, "list_queries"))["queries"]] == ["nothing like it", "kettle"]
        [used] = (await call(client, "list_queries", document_id="k"))["queries"]
        assert (used["query"], used["score"], "kettle is blue" in used["excerpt"]) == ("kettle", 1, True)


@pytest.mark.usefixtures("no_model")
async def test_a_kept_search_that_could_not_be_made_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[HomeportError] = []
    search = Retrieval.search

    async def sometimes(self: Retrieval, question: Question) -> SearchResult:
        if failures:
            raise failures.pop()
        return await search(self, question)

    monkeypatch.setattr(Retrieval, "search", sometimes)
    monkeypatch.setattr(watchlist, "AGAIN", 0.01)
    async with connected(build_server, "rag", tmp_path) as client:
        await call(client, "save_query", name="Kettles", query="kettle", alert=True)
        failures.append(HomeportError("unavailable", "The database is busy.", "Try again."))
        await call(client, "add", text="a new kettle", document_id="new")
        with anyio.fail_after(PATIENCE):
            while not (await call(client, "list_saved_queries"))["queries"][0]["fresh"]:
                await anyio.sleep(0.05)
    assert not failures


@pytest.mark.usefixtures("no_model", "each_store")
async def test_a_kept_search_tells_of_a_new_document(tmp_path: Path) -> None:
    class Collected:
        def __init__(self) -> None:
            self.events: list[Event] = []

        async def publish(self, event: Event) -> None:
            self.events.append(event)

    sink = Collected()
    async with connected(build_server, "rag", tmp_path, events=sink) as client:
        await call(client, "add", text="an old kettle")
        await call(client, "save_query", name="Kettles", query="kettle", alert=True)
        await call(client, "add", text="a new kettle", document_id="new")
        with anyio.fail_after(PATIENCE):
            while not sink.events:
                await anyio.sleep(0.05)
        [event] = sink.events
        assert (event.kind, event.data) == ("rag.saved_search_matched", {"documents": ["new"]})
        [saved] = (await call(client, "list_saved_queries"))["queries"]
        assert (saved["name"], saved["asked"]["query"], saved["fresh"]) == ("Kettles", "kettle", ["new"])
        await call(client, "see_saved_query", name="Kettles")
        assert (await call(client, "list_saved_queries"))["queries"][0]["fresh"] == []
        await call(client, "delete_saved_query", name="Kettles")
        assert (await call(client, "list_saved_queries"))["queries"] == []


@pytest.mark.usefixtures("no_model")
async def test_documents_and_searches_are_exported(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        await call(client, "add", text="the kettle is blue", title="Kettle", document_id="k", metadata={"team": "red"})
        document = await call(client, "export_document", document_id="k")
        assert document["name"] == "Kettle.md"
        assert 'team: "red"' in document["text"]
        assert "the kettle is blue" in document["text"]
        tested = json.loads((await call(client, "test_query", query="kettle"))["text"])
        assert tested["hits"][0]["parts"]["lexical_rank"] == 1
        assert tested["milliseconds"] > 0


@pytest.mark.usefixtures("no_model")
async def test_a_kept_search_tells_of_a_new_document_however_many_fit(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        for number in range(120):
            await call(client, "add", text="kettle " * 5 + str(number), document_id=f"d{number}")
        await call(client, "save_query", name="Kettles", query="kettle", alert=True)
        long = "kettle among " + " ".join(f"word{number}" for number in range(200))
        await call(client, "add", text=long, document_id="last in the ranking")
        with anyio.fail_after(PATIENCE):
            while not (fresh := (await call(client, "list_saved_queries"))["queries"][0]["fresh"]):
                await anyio.sleep(0.05)
        assert fresh == ["last in the ranking"]


@pytest.mark.usefixtures("no_model", "each_store")
async def test_what_is_typed_is_completed_from_searches_and_titles(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        await call(client, "add", text="words", title="Lighthouse keeping")
        for query in ("blue light", "light of the moon", "light of the moon"):
            await call(client, "search", query=query)
        found = await call(client, "suggest", text="light")
        assert found == {"searches": ["light of the moon", "blue light"], "titles": ["Lighthouse keeping"]}
