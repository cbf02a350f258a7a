"""Jobs of the scheduler that keep files and knowledge in order: at their time, and when a file changes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.patience import PATIENCE

from homeport_host.governance.calls import Caller
from homeport_host.host import Host, open_host

pytestmark = [pytest.mark.anyio]


@pytest.fixture
async def host(tmp_path: Path) -> AsyncGenerator[Host]:
    """A host with the root `docs`, which the knowledge base may read."""
    folder, home = tmp_path / "docs", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    (folder / "lease.txt").write_text("The rent is paid on the first day of each month.\n")
    (home / "homeport.toml").write_text(f'[files]\nroots = ["docs={folder}"]\n\n[rag]\nfolders = ["{folder}"]\n')
    async with open_host(home) as host:
        yield host


async def add(host: Host, name: str, tool: str, arguments: Any, trigger: Any) -> None:
    definition = {"name": name, "action": {"tool": tool, "arguments": arguments}, "trigger": trigger}
    await host.call("scheduler__add_job", {"definition": definition})


async def completed(host: Host, job: str) -> dict[str, Any]:
    """Return the first run of a job that has ended, which went well."""
    with anyio.fail_after(PATIENCE):
        while True:
            runs = (await host.call("scheduler__list_runs", {"job": job}))["runs"]
            if over := [run for run in runs if run["state"] in {"completed", "failed"}]:
                assert over[-1]["state"] == "completed", over[-1]
                return over[-1]
            await anyio.sleep(0.05)


async def done(host: Host, server: str, kind: str) -> dict[str, Any]:
    """Return the latest job of a kind of a server, which went well, once there is one that has ended."""
    with anyio.fail_after(PATIENCE):
        while True:
            jobs = (await host.call(f"{server}__jobs", {}))["jobs"]
            if over := [job for job in jobs if job["kind"] == kind and job["state"] in {"completed", "failed"}]:
                assert over[0]["state"] == "completed", over[0]
                return over[0]
            await anyio.sleep(0.05)


@pytest.mark.slow
async def test_the_index_is_rebuilt_at_its_time(host: Host) -> None:
    await host.call("rag__add", {"text": "The rent is paid monthly.", "title": "Rent"})
    await add(host, "Index Rebuild", "rag__rebuild", {}, {"every": "1s"})
    assert (await completed(host, "Index Rebuild"))["cause"] == "schedule"
    job = await done(host, "rag", "rebuild")
    assert (job["done"], job["total"]) == (1, 1)
    [row] = [each for each in (await host.call("scheduler__list_jobs", {}))["jobs"] if each["name"] == "Index Rebuild"]
    assert (row["trigger"], row["when"]) == ("interval", "every 1s")


async def test_files_are_synced_at_their_time_by_a_job_that_a_person_saved(host: Host) -> None:
    await add(host, "Sync", "files__sync", {}, {"every": "1s"})
    await completed(host, "Sync")
    assert (await done(host, "files", "sync"))["done"] == 1
    assert (await host.call("files__sync_state", {}))["files"] == 1
    definition = {"name": "Of an agent", "action": {"tool": "files__sync"}}
    refused = await host.dispatcher.call_tool(
        Caller("chat", "assistant"), "scheduler__add_job", {"definition": definition}
    )
    assert "only a job that a person saves can call it" in str(refused["content"])


@pytest.mark.slow
async def test_changed_uploaded_and_tagged_files_start_jobs(host: Host, tmp_path: Path) -> None:
    only = {"event": "file.*", "where": {"data.path": "docs/*.md"}}
    await add(host, "RAG incremental index update", "rag__sync_folder", {"path": str(tmp_path / "docs")}, only)
    log = {"path": "docs/{{event.kind}}.log", "content": "{{event.data.path}} {{event.data.tags}}", "overwrite": True}
    await add(host, "Tagged", "files__write", log, {"event": "file.tagged"})
    await add(host, "Uploaded", "files__write", {**log, "content": "x"}, {"event": "upload.finished"})
    with anyio.fail_after(PATIENCE):
        while "new.md" not in {d["title"] for d in (await host.call("rag__browse_documents", {}))["documents"]}:
            (tmp_path / "docs" / "new.md").write_text("By another program.\n")  # again: nobody may watch yet
            await anyio.sleep(0.5)
    assert (await completed(host, "RAG incremental index update"))["cause"] == "event"

    await host.call("files__tag", {"paths": ["docs/lease.txt"], "add": ["contracts"]})
    await completed(host, "Tagged")
    assert "docs/lease.txt" in (tmp_path / "docs" / "file.tagged.log").read_text()
    piece = {"name": "up.txt", "content": "dXA="}
    await host.call("files__upload", {"folder": "docs", "files": [piece], "vectorize": False})
    await completed(host, "Uploaded")
    assert (tmp_path / "docs" / "upload.finished.log").exists()
