"""What somebody changes in the settings holds in the running server."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from tests.patience import PATIENCE

from homeport_files.parts import Parts
from homeport_files.server import build_server
from homeport_shared.context import open_context
from homeport_shared.settings import save
from homeport_shared.testing.clients import connected
from homeport_shared.views import SHOWS_VIEWS

pytestmark = pytest.mark.anyio


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content or {}


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(PATIENCE):
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


@pytest.mark.subprocess
async def test_the_program_follows_a_file_of_settings_that_is_changed_by_hand(tmp_path: Path) -> None:
    home, first, second = tmp_path / "home", tmp_path / "first", tmp_path / "second"
    for folder in (home, first, second):
        folder.mkdir()
    (first / "large.txt").write_text("x\n" * 1_000_000 + "needle")
    (first / "large.pdf").write_bytes(b"%PDF-1.7\n" + b"x" * (2 << 20))
    (first / "old.bak").write_text("x")
    os.utime(first / "old.bak", (1e9, 1e9))
    file = home / "homeport.toml"
    where = f"[files]\nroots = [{str(first)!r}]\n"
    file.write_text(where)
    program = StdioServerParameters(
        command=str(Path(sys.executable).parent / "homeport-files"), args=["--home", str(home)]
    )
    with anyio.fail_after(240):
        async with Client(program, extensions=[SHOWS_VIEWS]) as client:

            async def code(tool: str, **arguments: Any) -> str:
                result = await client.call_tool(tool, arguments)
                return result.meta["io.homeport/error"]["code"] if result.is_error else ""

            upload = {"name": "a.md", "total": 2 << 20, "content": "YQ=="}
            edit = {"path": "first/large.txt", "edits": [{"old_text": "nowhere", "new_text": ""}]}
            assert [await code("edit", **edit), await code("upload_part", **upload)] == ["not_found", ""]
            assert await code("read", path="first/large.pdf") == "damaged"
            assert len((await call(client, "search", query="needle"))["hits"]) == 1

            file.write_text(where + "# small ones only\ntext_mb = 1\ndocument_mb = 1\nversion_mb = 1\nupload_mb = 1\n")
            limited = [await code("edit", **edit), await code("upload_part", **upload)]
            limited += [await code("read", path="first/large.pdf"), await code("delete", paths=["first/large.txt"])]
            assert limited == ["too_large", "too_large", "too_large", ""]
            assert (first / "large.txt").exists(), "a version of it would be too large"
            assert (await call(client, "search", query="needle"))["hits"] == []

            file.write_text(where + 'upload_refused = [".md"]\ncleanup_suffixes = [".bak"]\ncleanup_days = 2\n')
            assert await code("upload_part", **upload) == "unsupported"
            [leftover] = (await call(client, "leftovers", why=["temporary"]))["found"]
            assert leftover["path"] == "first/old.bak"

            file.write_text(f"[files]\nroots = ['other={second}']\n")

            async def served() -> bool:
                return [root["name"] for root in (await call(client, "roots"))["roots"]] == ["other"]

            await until(served)


async def test_a_mistake_in_the_settings_is_named_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home, second = tmp_path / "home", tmp_path / "second"
    home.mkdir()
    second.mkdir()
    async with connected(build_server, "files", home) as client:
        for mistake in ("cleanup_days = 'soon'", "not TOML"):
            (home / "homeport.toml").write_text(f"[files]\n{mistake}\n")
            caplog.clear()
            result = await client.call_tool("leftovers", {"why": ["temporary"]})
            assert result.is_error and "homeport.toml" in result.content[0].text  # type: ignore[union-attr]

            async def noticed() -> bool:
                return "the settings cannot be followed" in caplog.text

            await until(noticed)
        (home / "homeport.toml").write_text(f"[files]\nroots = ['other={second}']\n")

        async def served() -> bool:
            return [root["name"] for root in (await call(client, "roots"))["roots"]] == ["other"]

        await until(served)


async def test_what_waits_for_its_time_waits_as_long_as_the_settings_say_now(tmp_path: Path) -> None:
    save(tmp_path / "home", "files", {"cleanup_hours": 24})
    async with open_context("files", home=tmp_path / "home") as context:
        following = Parts(context).workspace.following
        async with anyio.create_task_group() as tasks:
            with anyio.fail_after(PATIENCE):
                tasks.start_soon(following.pause, lambda chosen: 3600 if chosen.cleanup_hours == 24 else 0)
                await anyio.wait_all_tasks_blocked()
                save(tmp_path / "home", "files", {"cleanup_hours": 1})


@pytest.mark.subprocess
async def test_a_root_that_one_server_adds_is_served_by_the_other_one_too(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    save(tmp_path / "home", "files", {"roots": [str(first)]})
    async with (
        connected(build_server, "files", tmp_path / "home") as one,
        connected(build_server, "files", tmp_path / "home") as other,
    ):
        await call(one, "add_root", folder=str(second))

        async def served() -> bool:
            return [root["name"] for root in (await call(other, "roots"))["roots"]] == ["first", "second"]

        await until(served)
