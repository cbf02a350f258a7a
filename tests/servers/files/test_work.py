"""Batches, clean-up, sync with conflicts, downloads, backups, thumbnails: the work that keeps a workspace in order."""

from __future__ import annotations

import base64
import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.patience import PATIENCE

from homeport_files import cleaning
from homeport_files.cleaning import owner_of
from homeport_files.server import build_server
from homeport_shared.testing.clients import connected

pytestmark = pytest.mark.anyio


async def ended(files: Any, job: str) -> dict[str, Any]:
    """Return a job once it has ended."""
    with anyio.fail_after(PATIENCE):
        while True:
            [row] = (await files("jobs", job_id=job))["jobs"]
            if row["state"] in ("completed", "failed", "cancelled"):
                return row
            await anyio.sleep(0.05)


async def test_a_batch_writes_edits_and_deletes_as_one(files: Any) -> None:
    files.put("edit.txt", "one two\r\n")
    files.put("gone.txt", "gone")
    result = await files(
        "apply",
        changes=[
            {"path": "docs/new/a.txt", "content": "a"},
            {"path": "docs/edit.txt", "edits": [{"old_text": "two", "new_text": "2"}]},
            {"path": "docs/gone.txt", "delete": True},
        ],
    )
    assert [(each["path"], each["kind"]) for each in result["files"]] == [
        ("docs/new/a.txt", "created"),
        ("docs/edit.txt", "changed"),
        ("docs/gone.txt", "deleted"),
    ]
    assert (files.folder / "edit.txt").read_bytes() == b"one 2\r\n"
    [step] = {step["change_set"] for step in (await files("history"))["versions"] if step["change_set"]}
    await files("undo", change_set=step)
    assert (files.folder / "gone.txt").read_text() == "gone"
    assert (files.folder / "edit.txt").read_bytes() == b"one two\r\n"


async def test_a_batch_of_which_one_change_cannot_be_made_changes_nothing(files: Any) -> None:
    files.put("a.txt", "a")
    files.put("b.txt", "b")
    code, text = await files.fails(
        "apply",
        changes=[
            {"path": "docs/a.txt", "content": "changed"},
            {"path": "docs/new.txt", "content": "new"},
            {"path": "docs/b.txt", "delete": True},
            {"path": "docs/a.txt", "edits": [{"old_text": "not there", "new_text": "x"}]},
        ],
    )
    assert code == "not_found"
    assert "Change 4 of 4" in text
    assert {path.name: path.read_text() for path in files.folder.iterdir()} == {"a.txt": "a", "b.txt": "b"}
    assert (await files.fails("apply", changes=[{"path": "docs/a.txt"}]))[0] == "invalid"
    assert (await files.fails("apply", changes=[]))[0] == "invalid"
    stale = {"path": "docs/a.txt", "content": "x", "if_sha256": "0" * 64}
    assert (await files.fails("apply", changes=[{"path": "docs/c.txt", "content": "c"}, stale]))[0] == "conflict"
    assert not (files.folder / "c.txt").exists()


async def test_what_can_go_is_shown_first_and_removed_only_when_confirmed(files: Any) -> None:
    files.put("same.txt", "twice")
    files.put("f/same too.txt", "twice")
    os.utime(files.folder / "same.txt", (1e9, 1e9))
    for name in ("old.tmp", "f/old.cache", "new.tmp", "~$gone.docx", "~$here.docx", "here.docx"):
        files.put(name, name)
    for name in ("old.tmp", "f/old.cache"):
        os.utime(files.folder / name, (1e9, 1e9))
    found = await files("leftovers")
    assert [(each["path"], each["why"], each["of"]) for each in found["found"]] == [
        ("docs/f/old.cache", "temporary", ""),
        ("docs/f/same too.txt", "duplicate", "docs/same.txt"),
        ("docs/old.tmp", "temporary", ""),
        ("docs/~$gone.docx", "orphaned", "docs/gone.docx"),
    ]
    assert (files.folder / "old.tmp").exists()
    wanted = [each["path"] for each in found["found"]] + ["docs/none.txt"]
    assert (await files.fails("clean_up", paths=wanted, confirm=4))[0] == "invalid"
    started = await files("clean_up", paths=wanted, confirm=5)
    job = await ended(files, started["job_id"])
    assert job["counters"] == {"files": 4, "bytes": found["bytes"], "errors": 1}
    assert "docs/none.txt" in job["notes"][0]
    assert (await files("leftovers"))["found"] == []
    await files("restore", path="docs/old.tmp")
    assert (files.folder / "old.tmp").read_text() == "old.tmp"


async def test_old_temporary_files_go_by_themselves_under_the_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning, "FIRST_SECONDS", 0)
    folder = tmp_path / "docs"
    folder.mkdir()
    (tmp_path / "home").mkdir()
    for name in ("a.tmp", "b.cache", "c.scratch", "new.tmp"):
        (folder / name).write_text(name)
    for name in ("a.tmp", "b.cache", "c.scratch"):
        os.utime(folder / name, (1e9, 1e9))
    flags = {"roots": [str(folder)]}
    async with connected(build_server, "files", tmp_path / "home", flags=flags):
        with anyio.fail_after(PATIENCE):
            while (folder / "a.tmp").exists() or (folder / "b.cache").exists():
                await anyio.sleep(0.05)
        assert (folder / "c.scratch").exists()
        assert (folder / "new.tmp").exists()
    (tmp_path / "home" / "homeport.toml").write_text('[files]\ncleanup_days = 0\ncleanup_suffixes = [".scratch"]\n')
    async with connected(build_server, "files", tmp_path / "home", flags=flags):
        with anyio.fail_after(PATIENCE):
            while (folder / "c.scratch").exists():
                await anyio.sleep(0.05)
        assert (folder / "new.tmp").exists()


async def test_a_change_of_the_settings_holds_in_the_running_server(files: Any) -> None:
    files.put("big.txt", "x" * (2 << 20))
    edit = {"path": "docs/big.txt", "edits": [{"old_text": "no such text", "new_text": "y"}]}
    assert (await files.fails("edit", **edit))[0] == "not_found"
    (files.home / "homeport.toml").write_text('[files]\ntext_mb = 1\nupload_refused = [".md"]\n')
    assert (await files.fails("edit", **edit))[0] == "too_large"
    given = [{"name": "a.md", "content": ""}, {"name": "a.exe", "content": ""}]
    result = await files("upload", folder="docs", files=given)
    assert {each["name"]: each["code"] for each in result["files"]} == {"a.md": "unsupported", "a.exe": ""}


async def test_a_sync_finds_what_changed_unseen_and_a_conflict_is_resolved(files: Any) -> None:
    await files("write", path="docs/a.txt", content="first")
    files.put("b.txt", "b")
    await ended(files, (await files("sync"))["job_id"])
    state = await files("sync_state")
    assert (state["files"], state["conflicts"]) == (2, [])
    for name in ("a", "c", "d"):
        await files("write", path=f"docs/{name}.txt", content=f"by homeport {name}", overwrite=True)
    await ended(files, (await files("sync"))["job_id"])
    for name in ("a", "c", "d"):
        await files("write", path=f"docs/{name}.txt", content=f"again by homeport {name}", overwrite=True)
        files.put(f"{name}.txt", f"by somebody else {name}")
    (files.folder / "b.txt").unlink()
    job = await ended(files, (await files("sync", path="docs"))["job_id"])
    assert {name: job["counters"][name] for name in ("created", "changed", "deleted", "conflicts")} == {
        "created": 0,
        "changed": 3,
        "deleted": 1,
        "conflicts": 3,
    }
    [content] = (await files.client.read_resource("files://sync")).contents
    assert [each["path"] for each in json.loads(content.text)["conflicts"]] == [f"docs/{n}.txt" for n in "acd"]
    await files("resolve", path="docs/a.txt", keep="homeport")
    await files("resolve", path="docs/c.txt", keep="both")
    left = await files("resolve", path="docs/d.txt", keep="disk")
    assert left["conflicts"] == []
    assert (files.folder / "a.txt").read_text() == "again by homeport a"
    assert (files.folder / "c.txt").read_text() == "by somebody else c"
    assert (files.folder / "c (Homeport).txt").read_text() == "again by homeport c"
    assert (files.folder / "d.txt").read_text() == "by somebody else d"
    assert (await files.fails("resolve", path="docs/d.txt", keep="disk"))[0] == "not_found"


async def test_a_waiting_job_is_cancelled_and_its_resource_says_so(files: Any) -> None:
    for number in range(300):
        files.put(f"{number}.tmp", "x")
    names = [f"docs/{number}.tmp" for number in range(300)]
    job = (await files("clean_up", paths=names, confirm=300))["job_id"]
    assert (await files("cancel_job", job_id=job))["state"] == "cancelled"
    [content] = (await files.client.read_resource(f"files://jobs/{job}")).contents
    assert json.loads(content.text)["state"] == "cancelled"
    assert len(list(files.folder.iterdir())) > 0


async def test_a_job_tells_its_subscribers_how_far_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(60):
        (folder / f"{number}.tmp").write_text("x")
    names = [f"docs/{number}.tmp" for number in range(60)]
    async with connected(build_server, "files", tmp_path / "home", flags={"roots": [str(folder)]}) as client:
        await client.call_tool("clean_up", {"paths": names[:30], "confirm": 30})
        second = await client.call_tool("clean_up", {"paths": names[30:], "confirm": 30})
        job = f"files://jobs/{second.structured_content['job_id']}"
        with anyio.fail_after(PATIENCE):
            async with client.listen(resource_subscriptions=[job]) as heard:
                while True:
                    assert str((await anext(heard)).uri) == job
                    row = json.loads((await client.read_resource(job)).contents[0].text)
                    if row["state"] == "completed":
                        break
    assert (row["done"], row["total"], row["counters"]["files"]) == (30, 30, 30)


async def test_a_file_and_several_files_are_given_out_whole(files: Any) -> None:
    data = os.urandom(3 << 20)
    files.put("big.bin", data)
    files.put("f/a.txt", "a")

    async def whole(paths: list[str]) -> tuple[str, bytes, list[str]]:
        content, cursor, failed = b"", "", []
        while True:
            part = await files("download", paths=paths, cursor=cursor)
            content += base64.b64decode(part["content"])
            failed += part["failed"]
            if not (cursor := part["next"]):
                return part["name"], content, failed

    assert await whole(["docs/big.bin"]) == ("big.bin", data, [])
    name, packed, failed = await whole(["docs/big.bin", "docs/f", "docs/none.txt"])
    archive = zipfile.ZipFile(io.BytesIO(packed))
    assert (name, sorted(archive.namelist())) == ("files.zip", ["big.bin", "f/a.txt"])
    assert archive.read("big.bin") == data
    assert len(failed) == 1
    assert (await files.fails("download", paths=["docs/none.txt", "docs/no.txt"]))[0] == "not_found"


async def test_a_thumbnail_is_made_once_and_is_a_resource(files: Any) -> None:
    Image.new("RGB", (1000, 500), "teal").save(files.folder / "a.png")
    [content] = (await files.client.read_resource("files://thumbnails/docs/a.png")).contents
    image = Image.open(io.BytesIO(base64.b64decode(content.blob)))
    assert image.size == (320, 160)
    [kept] = [path for path in (files.home / "files" / "thumbnails").rglob("*") if path.is_file()]
    at = kept.stat().st_mtime_ns
    assert (await files("thumbnail", path="docs/a.png"))["image"].startswith("data:")
    assert kept.stat().st_mtime_ns == at
    files.put("a.txt", "a")
    assert (await files.fails("thumbnail", path="docs/a.txt"))[0] == "unsupported"


async def test_marks_and_last_use_survive_a_restart_and_come_back_from_a_backup(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text("a")

    async def call(client: Any, tool: str, **arguments: Any) -> Any:
        result = await client.call_tool(tool, arguments)
        assert not result.is_error, result.content
        return result.structured_content

    flags = {"roots": [str(folder)]}
    async with connected(build_server, "files", tmp_path / "home", flags=flags) as client:
        await call(client, "tag", paths=["docs/a.txt"], add=["reports"], category="contracts")
        await call(client, "write", path="docs/a.txt", content="b", overwrite=True)
        await call(client, "read", path="docs/a.txt")
        [backup] = (await call(client, "back_up"))["backups"]
    async with connected(build_server, "files", tmp_path / "home", flags=flags) as client:
        info = await call(client, "info", path="docs/a.txt")
        assert (info["tags"], info["category"], info["accessed_by"]) == (["reports"], "contracts", "mcp")
        await call(client, "rename_tag", tag="reports")
        await call(client, "move", source="docs/a.txt", target="docs/b.txt")
        refused = await client.call_tool("restore_backup", {"name": backup["name"], "confirm": "yes"})
        assert refused.is_error
        await call(client, "restore_backup", name=backup["name"], confirm=backup["name"])
        info = await call(client, "info", path="docs/b.txt")
        assert (info["tags"], info["category"]) == (["reports"], "contracts")
        assert info["versions"] >= 2


@given(st.text(min_size=1, max_size=30).filter(lambda name: "/" not in name))
def test_a_lock_or_backup_file_names_its_owner(name: str) -> None:
    if not owner_of(name):
        assert owner_of(f"{name}~") == name
        assert owner_of(f"~${name}") in (name, name.removesuffix("~"))
        assert owner_of(f".~lock.{name}#") == name
