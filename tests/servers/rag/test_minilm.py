"""Building the embedding model, from the published weights."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from homeport_rag import inference, minilm
from homeport_rag.embedding import BUILT
from homeport_shared.errors import HomeportError

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text("utf-8"))
TEXTS = [entry["text"] for entry in GOLDEN]
VECTORS = np.array([entry["vector"] for entry in GOLDEN])


def cosines(found: list[Any]) -> np.ndarray:
    return (np.array(found) * VECTORS).sum(axis=1) / np.linalg.norm(VECTORS, axis=1)


def safetensors(header: Any, body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


@pytest.mark.model
def test_the_float_graph_gives_the_vectors_of_the_original_model(published: Path, tmp_path: Path) -> None:
    graph = minilm.build_graph(minilm.read_safetensors(published / "model.safetensors"))
    (tmp_path / "model.onnx").write_bytes(graph.SerializeToString())
    (tmp_path / "tokenizer.json").write_bytes((published / "tokenizer.json").read_bytes())
    np.testing.assert_allclose(inference.Model(tmp_path).embed(TEXTS), VECTORS, rtol=0, atol=1e-5)


@pytest.mark.model
def test_the_small_model_stays_close_to_the_original_one(model_home: Path) -> None:
    found = cosines(inference.Model(model_home / "models" / BUILT).embed(TEXTS))
    assert found.min() >= 0.975
    assert found.mean() >= 0.985


@pytest.mark.model
def test_the_model_says_what_it_is_and_that_its_files_are_whole(model_home: Path) -> None:
    manifest = inference.manifest_of(model_home / "models" / BUILT)
    assert manifest
    assert (manifest["id"], manifest["dimension"], manifest["language"]) == (BUILT, 384, "en")


@given(arrays.arrays(np.float32, arrays.array_shapes(max_dims=3, max_side=4)))
def test_tensors_are_read_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray) -> None:
    entry = {"dtype": "F32", "shape": array.shape, "data_offsets": [0, array.nbytes]}
    path = tmp_path_factory.mktemp("tensors") / "model.safetensors"
    path.write_bytes(safetensors({"__metadata__": {"format": "pt"}, "x": entry}, array.tobytes()))
    np.testing.assert_array_equal(minilm.read_safetensors(path)["x"], array)


@given(st.binary(max_size=64) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(safetensors))
def test_a_file_that_is_no_safetensors_file_is_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("broken") / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(HomeportError, match="not a safetensors file"):
        minilm.read_safetensors(path)


def test_offsets_beyond_the_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors({"x": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}, b"1234"))
    with pytest.raises(HomeportError, match="not a safetensors file"):
        minilm.read_safetensors(path)


def test_weights_of_another_model_are_refused_by_the_name_of_what_is_missing() -> None:
    with pytest.raises(HomeportError, match=r"no tensor 'embeddings\.position_embeddings\.weight'"):
        minilm.build_graph({"other": np.zeros(3, np.float32)})
