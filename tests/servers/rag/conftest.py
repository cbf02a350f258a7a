"""What the tests of the knowledge server share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from homeport_rag import weights
from homeport_rag.embedding import find_embedder
from homeport_shared.workers import Worker

Search = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture(scope="session")
def published() -> Path:
    """The folder with the published weights, as the package index carries them."""
    folder = weights.installed_folder()
    assert folder, f"{weights.DISTRIBUTION} is not installed"
    return folder


@pytest.fixture(scope="session")
def model_home(tmp_path_factory: pytest.TempPathFactory, published: Path) -> Path:
    """A data root in which the model is built; treat it as read-only."""
    home = tmp_path_factory.mktemp("model_home")

    async def build() -> None:
        embedder, reason = await find_embedder(home, Worker("model"), environment={})
        assert embedder, reason

    anyio.run(build)
    return home


@pytest.fixture
def model(model_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let servers of this test find the embedding model."""
    folder = next((model_home / "models").iterdir())
    monkeypatch.setenv("HOMEPORT_MODEL_DIR", str(folder))
    return folder


@pytest.fixture
def no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let servers of this test find no embedding model."""
    folder = tmp_path / "no model"
    monkeypatch.setenv("HOMEPORT_MODEL_DIR", str(folder))
    return folder
