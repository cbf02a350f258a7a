"""Killed processes, full disks and two writers: old or new content, never a torn file or a lost version."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from tests.patience import PATIENCE

from homeport_files.server import build_server
from homeport_shared.testing.clients import connected

pytestmark = [pytest.mark.anyio, pytest.mark.subprocess]


def server(home: Path, *roots: Path) -> StdioServerParameters:
    command = str(Path(sys.executable).parent / "homeport-files")
    return StdioServerParameters(command=command, args=["--home", str(home), *map(str, roots)])


async def test_the_program_serves_its_folders_over_stdio(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("hello")
    with anyio.fail_after(PATIENCE):
        async with Client(server(tmp_path / "home", tmp_path / "docs")) as client:
            result = await client.call_tool("read", {"path": "docs/a.txt"})
            assert result.structured_content["text"] == "hello"
            refused = await client.call_tool("read", {"path": "docs/../../etc/passwd"})
            assert refused.is_error
    rows = sqlite3.connect(tmp_path / "home" / "files" / "audit.db").execute("SELECT target, outcome FROM audit")
    assert rows.fetchall() == [("read", "ok"), ("read", "denied")]


WRITER = textwrap.dedent("""
    import sys, anyio
    from pathlib import Path
    from homeport_files.server import build_server
    from homeport_shared.testing.clients import connected

    async def main(home, folder):
        async with connected(build_server, "files", Path(home), flags={"roots": [folder]}) as client:
            await client.call_tool("history", {})
            print("ready", flush=True)
            for number in range(10_000):
                content = f"{number:06d}" * 50_000
                result = await client.call_tool("write", {"path": "docs/a.txt", "content": content, "overwrite": True})
                assert not result.is_error, result.content

    anyio.run(main, *sys.argv[1:])
""")


@pytest.mark.faults
async def test_a_write_that_is_killed_leaves_old_or_new_content_and_every_version(tmp_path: Path) -> None:
    folder, home = tmp_path / "docs", tmp_path / "home"
    folder.mkdir()
    (folder / "a.txt").write_text("original")
    draw = random.Random(7)
    for _ in range(4):
        before = (folder / "a.txt").read_text()
        async with await anyio.open_process([sys.executable, "-c", WRITER, str(home), str(folder)]) as process:
            with anyio.fail_after(PATIENCE):
                assert process.stdout
                assert b"ready" in await process.stdout.receive()
                await anyio.sleep(draw.uniform(0, 0.3))  # the moment of the kill is what varies
            process.send_signal(signal.SIGKILL)
        content = (folder / "a.txt").read_text()
        assert content == before or content == content[:6] * 50_000
        await _no_version_is_lost(home, before)
    async with connected(build_server, "files", home, flags={"roots": [str(folder)]}) as client:
        result = await client.call_tool("write", {"path": "docs/a.txt", "content": "end", "overwrite": True})
        assert not result.is_error
        versions = (await client.call_tool("history", {"path": "docs/a.txt", "limit": 1000})).structured_content
        first = versions["versions"][-1]
        await client.call_tool("restore", {"path": "docs/a.txt", "version": first["version"]})
    assert (folder / "a.txt").read_text() == "original"


async def _no_version_is_lost(home: Path, before: str) -> None:
    """Check that every recorded content is whole, and that `before` is kept once it has been replaced."""
    rows = sqlite3.connect(home / "files" / "files.db").execute("SELECT before, after FROM changes").fetchall()
    for sha256 in {value for row in rows for value in row if value}:
        kept = (home / "files" / "blobs" / sha256[:2] / sha256).read_bytes()
        assert hashlib.sha256(kept).hexdigest() == sha256
    if rows:
        known = {value for row in rows for value in row}
        assert hashlib.sha256(before.encode()).hexdigest() in known


async def test_a_full_disk_leaves_the_original(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("original")
    limited = textwrap.dedent("""
        import resource, sys, anyio
        from pathlib import Path
        from homeport_files.server import build_server
        from homeport_shared.testing.clients import connected

        async def main(home, folder):
            async with connected(build_server, "files", Path(home), flags={"roots": [folder]}) as client:
                await client.call_tool("history", {})
                resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
                big = {"path": "docs/a.txt", "content": "x" * 2_000_000, "overwrite": True}
                result = await client.call_tool("write", big)
                print(result.is_error, result.content[0].text)

        anyio.run(main, *sys.argv[1:])
    """)
    with anyio.fail_after(PATIENCE):
        done = await anyio.run_process([sys.executable, "-c", limited, str(tmp_path / "home"), str(tmp_path / "docs")])
    assert b"True The disk has no room for 'docs/a.txt'; what was there is unchanged." in done.stdout
    assert (tmp_path / "docs" / "a.txt").read_text() == "original"
    assert [path.name for path in (tmp_path / "docs").iterdir()] == ["a.txt"]
    assert not list((tmp_path / "home").rglob("*.tmp"))


async def test_of_two_processes_that_write_the_same_file_one_gets_a_conflict(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text("start")
    outcomes: list[Any] = []

    async def write(client: Client, content: str, seen: str) -> None:
        arguments = {"path": "docs/a.txt", "content": content, "if_sha256": seen}
        outcomes.append((await client.call_tool("write", arguments)).is_error)

    with anyio.fail_after(PATIENCE):
        async with (
            Client(server(tmp_path / "home", folder)) as one,
            Client(server(tmp_path / "home", folder)) as two,
        ):
            for turn in range(5):
                seen = hashlib.sha256((folder / "a.txt").read_bytes()).hexdigest()
                outcomes.clear()
                contents = [f"{turn}{letter}" * 100_000 for letter in "ab"]
                async with anyio.create_task_group() as group:
                    group.start_soon(write, one, contents[0], seen)
                    group.start_soon(write, two, contents[1], seen)
                assert sorted(outcomes) == [False, True]
                assert (folder / "a.txt").read_text() in contents


async def test_the_server_leaves_when_its_client_is_killed(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    command = [str(Path(sys.executable).parent / "homeport-files"), "--home", str(tmp_path / "home"), str(tmp_path)]
    async with await anyio.open_process(command, stdin=subprocess.PIPE) as process:
        assert process.stdin
        await process.stdin.aclose()
        with anyio.fail_after(PATIENCE):
            assert await process.wait() == 0


async def test_homeport_temporary_files_are_not_listed(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / ".homeport-1.tmp").touch()
    os.utime(tmp_path / "docs" / ".homeport-1.tmp", (1, 1))
    async with connected(build_server, "files", tmp_path / "home", flags={"roots": [str(tmp_path / "docs")]}) as client:
        assert (await client.call_tool("list", {"path": "docs"})).structured_content["entries"] == []
        await client.call_tool("write", {"path": "docs/a.txt", "content": "x"})
    assert [path.name for path in (tmp_path / "docs").iterdir()] == ["a.txt"]
