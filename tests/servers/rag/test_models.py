"""A model per collection, a change of model while the old one answers, the reranker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from tests.patience import PATIENCE

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
    with anyio.fail_after(PATIENCE):
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
        with anyio.fail_after(PATIENCE):
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
        with anyio.fail_after(PATIENCE):
            while not (await call(client, "browse_documents", status="pending"))["documents"]:
                await anyio.sleep(0.05)
        assert (await call(client, "overview"))["statuses"]["held"] == 1
        assert await call(client, "embed") == {"changed": 1}
        with anyio.fail_after(PATIENCE):
            while (await collection(client))["embedded"] < 2:
                await anyio.sleep(0.05)


# A stand-in with the three calls of sentence-transformers that are used: the package itself brings PyTorch.
PACKAGE = """
import math

class SentenceTransformer:
    max_seq_length = 128

    def __init__(self, model, device=None, local_files_only=False):
        assert local_files_only
        if model != "bag-of-letters":
            raise OSError("no such model")
        self.device = device

    def encode(self, texts, normalize_embeddings=False, show_progress_bar=True):
        assert self.device == "cpu"
        found = [[text.lower().count(letter) + 0.01 for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts]
        return [[number / math.hypot(*vector) for number in vector] for vector in found]

    def tokenizer(self, texts):
        return {"input_ids": [text.split() for text in texts]}
"""


async def test_every_kind_of_model_embeds_and_without_one_every_result_says_so(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "packages" / "sentence_transformers").mkdir(parents=True)
    (tmp_path / "packages" / "sentence_transformers" / "__init__.py").write_text(PACKAGE, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    async with ModelDouble() as double:
        ollama = double.ollama_url.rstrip("/")
        for number, (address, name, expected) in enumerate(
            (
                ("", "", ("MiniLM-L6-v2 (384d)", 384)),
                (ollama, NOMIC, (f"{NOMIC} (384d)", 384)),
                (f"{ollama}/v1", NOMIC, (f"{NOMIC} (384d)", 384)),
                ("sentence-transformers:cpu", "bag-of-letters", ("bag-of-letters (26d)", 26)),
            )
        ):
            if address:
                monkeypatch.delenv("HOMEPORT_MODEL_DIR", raising=False)
            flags = {"embedding_address": address, "embedding_model": name}
            async with connected(build_server, "rag", tmp_path / str(number), flags=flags) as client:
                await call(client, "add", text="The car needs new tyres.", document_id="car")
                await call(client, "add", text="Qqq zzz xxx.", document_id="odd")
                with anyio.fail_after(PATIENCE):
                    while (await collection(client))["embedded"] < 2:
                        await anyio.sleep(0.05)
                overview = await call(client, "overview")
                assert (overview["model_name"], overview["dimension"]) == expected
                found = await call(client, "search", query="The car needs new tyres", mode="vector")
                assert (found["mode"], len(found["hits"])) == ("vector", 2)
                if "127.0.0.1" not in address:  # the double's vectors mean nothing
                    assert found["hits"][0]["document_id"] == "car"
    monkeypatch.setenv("HOMEPORT_MODEL_DIR", str(tmp_path / "nothing"))
    async with connected(build_server, "rag", tmp_path / "without") as client:
        await call(client, "add", text="The car needs new tyres.")
        for mode in ("hybrid", "vector", "all"):
            found = await call(client, "search", query="tyres", mode=mode)
            assert (found["mode"], len(found["hits"])) == ("lexical", 1)
            assert "holds no embedding model" in found["why"]
    flags = {"embedding_address": "sentence-transformers", "embedding_model": "other"}
    monkeypatch.delenv("HOMEPORT_MODEL_DIR")
    async with connected(build_server, "rag", tmp_path / "wrong", flags=flags) as client:
        assert "cannot load other (no such model)" in (await call(client, "test_model", **_named(flags)))["why"]


def _named(flags: dict[str, str]) -> dict[str, str]:
    return {"address": flags["embedding_address"], "model": flags["embedding_model"]}
