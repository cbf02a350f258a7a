"""Changes by other programs: seen within two seconds, once, and with their history."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.patience import PATIENCE

from homeport_files.server import build_server
from homeport_shared.testing.clients import connected

pytestmark = pytest.mark.anyio


async def until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE):
        while not true():
            await anyio.sleep(0.02)


async def watched(files: Any) -> None:
    with anyio.fail_after(PATIENCE):
        while (await files("recent"))["watched"] != ["docs"]:
            await anyio.sleep(0.02)


def heard(files: Any) -> list[tuple[str, str]]:
    return [(event.kind, event.subject) for event in files.events]


async def test_what_another_program_does_is_an_event_with_a_resource_update(files: Any) -> None:
    await watched(files)
    path = files.put("a.txt", "one")
    await until(lambda: ("file.created", "files://docs/a.txt") in heard(files))
    path.write_text("two")
    await until(lambda: ("file.changed", "files://docs/a.txt") in heard(files))
    path.rename(files.folder / "b.txt")
    await until(lambda: ("file.moved", "files://docs/b.txt") in heard(files))
    (files.folder / "b.txt").unlink()
    await until(lambda: ("file.deleted", "files://docs/b.txt") in heard(files))
    changes = (await files("recent"))["changes"]
    assert [(change["kind"], change["path"], change["by"]) for change in changes] == [
        ("deleted", "docs/b.txt", ""),
        ("moved", "docs/b.txt", ""),
        ("changed", "docs/a.txt", ""),
        ("created", "docs/a.txt", ""),
    ]
    assert (await files("recent", after=changes[1]["number"]))["changes"] == changes[:1]
    [content] = (await files.client.read_resource("files://recent")).contents
    assert json.loads(content.text)["changes"] == changes


async def test_a_listener_hears_of_a_change_by_another_program(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    async with connected(build_server, "files", tmp_path / "home", flags={"roots": [str(tmp_path / "docs")]}) as client:
        with anyio.fail_after(PATIENCE):
            uris = ["files://docs/", "files://docs/a.txt"]
            async with client.listen(resource_subscriptions=uris) as updates:
                while not (await client.call_tool("recent", {})).structured_content["watched"]:
                    await anyio.sleep(0.02)
                (tmp_path / "docs" / "a.txt").write_text("x")
                assert {str((await anext(updates)).uri) for _ in uris} == set(uris)


async def test_the_servers_own_changes_are_told_once(files: Any) -> None:
    await watched(files)
    await files("write", path="docs/new/deep/a.txt", content="one")
    await files("edit", path="docs/new/deep/a.txt", edits=[{"old_text": "one", "new_text": "two"}])
    await files("move", source="docs/new", target="docs/other")
    await files("delete", paths=["docs/other"], recursive=True)
    own = list(heard(files))
    files.put("end.txt", "x")
    await until(lambda: ("file.created", "files://docs/end.txt") in heard(files))
    assert heard(files) == [*own, ("file.created", "files://docs/end.txt")]


async def test_versions_follow_a_rename_by_another_program(files: Any) -> None:
    await watched(files)
    await files("write", path="docs/old/a.txt", content="one")
    await files("write", path="docs/old/a.txt", content="two", overwrite=True)
    files.put("end.txt", "x")  # once this is told, the burst of the writes has ended
    await until(lambda: ("file.created", "files://docs/end.txt") in heard(files))
    (files.folder / "old").rename(files.folder / "new")
    await until(lambda: ("folder.moved", "files://docs/new") in heard(files))
    versions = (await files("history", path="docs/new/a.txt"))["versions"]
    assert [version["kind"] for version in versions] == ["moved", "changed", "created"]


async def test_a_root_that_vanishes_and_comes_back_is_told(files: Any) -> None:
    await watched(files)
    shutil.rmtree(files.folder)
    await until(lambda: ("root.vanished", "files://docs/") in heard(files))
    assert (await files("recent"))["watched"] == []
    files.folder.mkdir()
    await until(lambda: ("root.returned", "files://docs/") in heard(files))
    files.put("a.txt", "x")
    await until(lambda: ("file.created", "files://docs/a.txt") in heard(files))


async def test_without_watching_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    flags = {"roots": [str(tmp_path / "docs")], "watch": False}
    async with connected(build_server, "files", tmp_path / "home", flags=flags) as client:
        assert (await client.call_tool("recent", {})).structured_content == {"changes": [], "watched": []}
