"""What somebody changes in the settings holds in the running server."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from homeport_files.server import build_server
from homeport_shared.settings import save
from homeport_shared.testing.clients import connected

pytestmark = pytest.mark.anyio


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content or {}


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(45):
        while not await holds():
            await anyio.sleep(0.05)


async def test_folders_limits_types_watching_and_cleanup_follow_the_settings_at_once(tmp_path: Path) -> None:
    home, first, second = tmp_path / "home", tmp_path / "first", tmp_path / "second"
    for folder in (home, first, second):
        folder.mkdir()
    (first / "large.txt").write_text("x\n" * 1_000_000 + "needle")
    save(home, "files", {"roots": [str(first)], "watch": False})
    async with connected(build_server, "files", home) as client:

        async def roots() -> list[str]:
            return [root["name"] for root in (await call(client, "roots"))["roots"]]

        async def watched() -> list[str]:
            return (await call(client, "recent"))["watched"]

        assert (await roots(), await watched()) == (["first"], [])
        assert len((await call(client, "search", query="needle"))["hits"]) == 1
        save(home, "files", {"roots": [str(first), f"other={second}"], "watch": True, "text_mb": 1})

        async def served() -> bool:
            return await roots() == ["first", "other"] and await watched() == ["first", "other"]

        await until(served)
        assert (await call(client, "search", query="needle"))["hits"] == [], "it is too large by now"

        old = second / "old.bak"
        old.write_text("x")
        os.utime(old, (time.time() - 3 * 86_400,) * 2)
        assert (await call(client, "leftovers", why=["temporary"]))["found"] == []
        save(home, "files", {"cleanup_suffixes": [".bak"], "cleanup_days": 2, "upload_refused": [".txt"]})
        [leftover] = (await call(client, "leftovers", why=["temporary"]))["found"]
        assert leftover["path"] == "other/old.bak"
        refused = await client.call_tool("upload_part", {"name": "a.txt", "total": 1, "content": "YQ=="})
        assert ".txt" in refused.content[0].text  # type: ignore[union-attr]

        save(home, "files", {"roots": [str(second)], "watch": False})

        async def gone() -> bool:
            return await roots() == ["second"] and await watched() == []

        await until(gone)
        assert (first / "large.txt").exists()
