"""Downloads of models: whatever is sent, only the download fails."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import anyio
import pytest
from tests.patience import PATIENCE

from homeport_host.providers.pulling import Pulling

pytestmark = pytest.mark.anyio


async def test_a_download_that_fails_in_a_way_nobody_foresaw_ends_nothing_else() -> None:
    async def pull(name: str) -> AsyncGenerator[tuple[str, int, int]]:
        yield "pulling", 1, 4
        raise ValueError("what nobody foresaw")

    ended = anyio.Event()

    async def changed() -> None:
        if downloads.all()[0]["state"] != "running":
            ended.set()

    async with anyio.create_task_group() as tasks:
        downloads = Pulling(tasks, pull, changed)
        await downloads.start("ollama/small")
        with anyio.fail_after(PATIENCE):
            await ended.wait()

    [download] = downloads.all()
    assert (download["state"], download["done"]) == ("failed", 1)
    assert "The log says why" in download["message"]
