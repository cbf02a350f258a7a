"""What the tests of the knowledge server share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest
from tests.postgres import Postgres

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


@pytest.fixture(scope="session")
def knowledge_database(postgres: Postgres) -> str:
    """The address of a PostgreSQL database, used again and again."""
    return postgres.url(postgres.new())


@pytest.fixture
def shared(knowledge_database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let servers of this test keep their knowledge in PostgreSQL, where there is none yet; its address."""
    with psycopg.connect(knowledge_database, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS homeport_rag CASCADE")
    monkeypatch.setenv("HOMEPORT_RAG_DATABASE", knowledge_database)
    return knowledge_database


@pytest.fixture(params=["sqlite", "postgresql"])
def each_store(request: pytest.FixtureRequest) -> str:
    """Each test that asks for it runs once on each database."""
    if request.param == "postgresql":
        request.getfixturevalue("shared")
    return request.param
