"""Providers and a router over a model double."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from homeport_host.database import Database
from homeport_host.governance.calls import Decision
from homeport_host.governance.policy import decide_model
from homeport_host.providers.configured import providers_for
from homeport_host.providers.protocol import UsageOwner
from homeport_host.providers.router import Models
from homeport_host.providers.settings import Mode, ModelSettings
from homeport_host.providers.usage import UsageStore
from homeport_shared.testing.model import ModelDouble


class Watch:
    """A clock that goes only when somebody sleeps by it."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 21, 12, tzinfo=UTC)
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def watch() -> Watch:
    return Watch()


async def admit(name: str, *, mode: Mode, cloud: bool, who: UsageOwner) -> Decision:
    return decide_model(mode, name, cloud=cloud)


Opened = Callable[..., AbstractAsyncContextManager[Models]]


@pytest.fixture
def opened(tmp_path: Path, watch: Watch) -> Opened:
    """Return a function that opens `Models` on one double, or on one for each kind of provider."""

    @asynccontextmanager
    async def open_models(
        double: ModelDouble, cloud: ModelDouble | None = None, *, key: str = "sk-test-0123456789abcdef", **settings: Any
    ) -> AsyncGenerator[Models]:
        environment = {"OLLAMA_HOST": double.ollama_url, "OPENROUTER_BASE_URL": (cloud or double).openrouter_url}
        chosen = ModelSettings.model_validate(settings)
        database = Database(tmp_path / "host.db")
        await database.open()
        providers = providers_for(chosen, lambda name: key if name == "OPENROUTER_API_KEY" else None, environment)
        usage = UsageStore(database, watch)
        models = Models(providers, chosen, usage, admit=admit, home=tmp_path, clock=watch, sleep=watch.sleep)
        try:
            yield models
        finally:
            await models.aclose()
            await database.aclose()

    return open_models
