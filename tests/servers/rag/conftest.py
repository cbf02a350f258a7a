"""What the tests of the knowledge server share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from homeport_rag import inference, weights

Search = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedding model, built once."""
    source = weights.installed_folder()
    assert source is not None, "the group `model` of the workspace is not installed"
    folder = tmp_path_factory.mktemp("model")
    inference.build(str(source), str(folder))
    return folder


@pytest.fixture
def model(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let servers of this test find the embedding model."""
    monkeypatch.setenv("HOMEPORT_MODEL_DIR", str(model_folder))
    return model_folder


@pytest.fixture
def no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let servers of this test find no embedding model."""
    folder = tmp_path / "no model"
    monkeypatch.setenv("HOMEPORT_MODEL_DIR", str(folder))
    return folder
