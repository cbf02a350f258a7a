"""A model per collection, a change of model while the old one answers, the reranker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from homeport_rag.server import build_server
from homeport_shared.testing.clients import connected
from homeport_shared.testing.model import ModelDouble

pytestmark = [pytest.mark.anyio, pytest.mark.model]
NOMIC = "nomic-embed-text:latest"


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


async def collection(client: Client, name: str = "default") -> dict[str, Any]:
    return next(each for each in (await call(client, "overview"))["collections"] if each["name"] == name)


async def embedded_by(client: Client, model: str, name: str = "default") -> None:
    with anyio.fail_after(60):
        while True:
            found = await collection(client, name)
            if found["model"].startswith(model) and found["embedded"] == found["chunks"] > 0:
                return
            await anyio.sleep(0.05)


async def test_a_collection_changes_its_model_in_the_background_and_answers_meanwhile(
    tmp_path: Path, model: Path
) -> None:
    async with ModelDouble() as double, connected(build_server, "rag", tmp_path) as client:
        await call(client, "add", text="The car needs new tyres.", collection="reports")
        await call(client, "add", text="Roses want water.")
        await embedded_by(client, "all-MiniLM", "reports")
        await call(
            client, "change_collection", name="reports", embedding_address=double.ollama_url, embedding_model=NOMIC
        )
        answers = []
        with anyio.fail_after(60):
            while not answers or not (await collection(client, "reports"))["model"].startswith("nomic"):
                found = await call(client, "search", query="vehicle", mode="vector", collections=["reports"])
                answers.append(found["mode"])
        assert set(answers) == {"vector"}
        await embedded_by(client, "nomic", "reports")
        both = await call(client, "search", query="The car needs new tyres.", mode="vector")
        assert {hit["collection"] for hit in both["hits"]} == {"default", "reports"}
        models = (await call(client, "list_models"))["models"]
        assert {entry["id"]: entry["dimension"] for entry in models} == {"all-MiniLM-L6-v2-int8": 384, NOMIC: 384}
        tried = await call(client, "test_model", address=double.ollama_url, model=NOMIC)
        assert (tried["dimension"], tried["why"], tried["milliseconds"] > 0) == (384, "", True)
        assert (await call(client, "validate"))["problems"] == []


async def test_a_model_that_does_not_answer_is_refused_before_anything_changes(tmp_path: Path, model: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        arguments = {"name": "default", "embedding_address": "http://127.0.0.1:9", "embedding_model": "none"}
        refused = await client.call_tool("change_collection", arguments)
        assert "does not answer" in refused.content[0].text
        assert (await collection(client))["settings"] == {}
        tried = await call(client, "test_model", address="http://127.0.0.1:9", model="none")
        assert (tried["dimension"], "does not answer" in tried["why"]) == (0, True)


@pytest.mark.parametrize("form", ["/v1", ""])
async def test_a_reranker_orders_the_hits_again_and_can_be_left_out(tmp_path: Path, no_model: Path, form: str) -> None:
    async with ModelDouble() as double:
        flags = {"rerank_address": double.ollama_url.rstrip("/") + form, "rerank_model": NOMIC}
        async with connected(build_server, "rag", tmp_path, flags=flags) as client:
            await call(client, "add", text="tea tea tea tea and nothing else", title="Tea")
            await call(
                client, "add", text="the colour of tea is brown , as everybody knows , and it is hot", title="Colour"
            )
            plain = json.loads((await call(client, "test_query", query="colour of tea"))["text"])["hits"]
            again = json.loads((await call(client, "test_query", query="colour of tea", rerank=True))["text"])["hits"]
            assert {hit["title"] for hit in plain} == {hit["title"] for hit in again}
            assert all("reranker" in hit["parts"] for hit in again)
            assert [hit["parts"]["reranker"] for hit in again] == sorted(
                (hit["parts"]["reranker"] for hit in again), reverse=True
            )
            assert not any("reranker" in hit["parts"] for hit in plain)


async def test_without_its_server_the_reranker_leaves_the_plain_ranking(tmp_path: Path, no_model: Path) -> None:
    flags = {"rerank_address": "http://127.0.0.1:9/v1", "rerank_model": "any"}
    async with connected(build_server, "rag", tmp_path, flags=flags) as client:
        await call(client, "add", text="some tea")
        found = await call(client, "search", query="tea")
        assert len(found["hits"]) == 1
        assert "does not answer" in found["why"]


async def test_an_upload_can_wait_to_be_embedded(tmp_path: Path, model: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        await call(client, "add", text="Roses want water.")
        await embedded_by(client, "all-MiniLM")
        await call(client, "upload", files=[{"name": "car.txt", "data": "VGhlIGNhciBuZWVkcyB0eXJlcy4="}], embed=False)
        with anyio.fail_after(30):
            while not (await call(client, "browse_documents", status="pending"))["documents"]:
                await anyio.sleep(0.05)
        assert (await call(client, "overview"))["statuses"]["held"] == 1
        assert await call(client, "embed") == {"changed": 1}
        with anyio.fail_after(30):
            while (await collection(client))["embedded"] < 2:
                await anyio.sleep(0.05)
