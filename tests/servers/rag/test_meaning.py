"""Search by meaning: hybrid and vector mode, background embedding, a model that comes later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from tests.patience import PATIENCE

from homeport_rag.server import build_server
from homeport_shared.testing.clients import connected

pytestmark = [pytest.mark.anyio, pytest.mark.model]

TEXTS = {
    "Kitchen": "The kettle is switched off at night.",
    "Garden": "Roses want water every morning.",
    "Car": "The automobile needs petrol and new tyres.",
}


async def embedded(client: Client, count: int) -> None:
    with anyio.fail_after(PATIENCE):
        while True:
            stats = (await client.call_tool("stats", {})).structured_content
            if sum(collection["embedded"] for collection in stats["collections"]) == count:
                return
            await anyio.sleep(0.05)


async def search(client: Client, query: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool("search", {"query": query, **arguments})
    assert not result.is_error, result.content
    return result.structured_content


async def test_a_question_finds_what_it_means_without_sharing_a_word(tmp_path: Path, model: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        for title, text in TEXTS.items():
            await client.call_tool("add", {"text": text, "title": title})
        await embedded(client, 3)
        found = await search(client, "fuel for my vehicle")
        assert (found["mode"], found["why"]) == ("hybrid", "")
        assert found["hits"][0]["title"] == "Car"
        assert set(found["hits"][0]["parts"]) == {"vector_rank", "cosine"}
        both = await search(client, "kettle at night")
        assert both["hits"][0]["parts"]["lexical_rank"] == both["hits"][0]["parts"]["vector_rank"] == 1
        assert both["hits"][0]["score"] == 1


async def test_passages_stored_without_a_model_are_embedded_when_one_appears(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOMEPORT_MODEL_DIR", str(tmp_path / "none"))
    async with connected(build_server, "rag", tmp_path) as client:
        for title, text in TEXTS.items():
            await client.call_tool("add", {"text": text, "title": title})
        missing = await search(client, "fuel for my vehicle", mode="vector")
        assert (missing["mode"], missing["hits"]) == ("lexical", [])
        assert "holds no embedding model" in missing["why"]
    monkeypatch.setenv("HOMEPORT_MODEL_DIR", str(model))
    async with connected(build_server, "rag", tmp_path) as client:
        await search(client, "anything")
        await embedded(client, 3)
        assert (await search(client, "fuel for my vehicle"))["hits"][0]["title"] == "Car"
        jobs = (await client.call_tool("jobs", {})).structured_content["jobs"]
        assert [(job["kind"], job["state"]) for job in jobs if job["state"] != "running"] == [("embed", "completed")]


async def test_a_deleted_passage_is_no_longer_near_to_anything(tmp_path: Path, model: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        ids = [
            (await client.call_tool("add", {"text": text})).structured_content["document_id"] for text in TEXTS.values()
        ]
        await embedded(client, 3)
        assert len((await search(client, "vehicle", mode="vector"))["hits"]) == 3
        await client.call_tool("delete", {"document_ids": ids[2:]})
        hits = (await search(client, "vehicle", mode="vector"))["hits"]
        assert [hit["document_id"] for hit in hits if hit["document_id"] == ids[2]] == []
        assert len(hits) == 2


async def test_filters_and_collections_hold_for_the_nearest_too(tmp_path: Path, model: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        for number, (title, text) in enumerate(TEXTS.items()):
            arguments = {"text": text, "title": title, "metadata": {"number": number}}
            await client.call_tool("add", arguments | {"collection": "reports" if number else "default"})
        await embedded(client, 3)
        found = await search(client, "fuel for my vehicle", mode="vector", collections=["default"])
        assert [hit["title"] for hit in found["hits"]] == ["Kitchen"]
        found = await search(client, "fuel for my vehicle", mode="vector", metadata={"number": 1})
        assert [hit["title"] for hit in found["hits"]] == ["Garden"]
        found = await search(client, "fuel for my vehicle", mode="vector", threshold=0.4)
        assert [hit["title"] for hit in found["hits"]] == ["Car"]


async def test_another_language_is_told_that_the_model_is_english(tmp_path: Path, model: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        await client.call_tool("add", {"text": TEXTS["Car"]})
        await embedded(client, 1)
        found = await search(client, "Wie viel Benzin braucht das Auto meiner Schwester im Winter?")
        assert found["mode"] == "hybrid"
        assert "knows English only" in found["why"]
