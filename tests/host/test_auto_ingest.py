"""Watched folders in a host: the scheduler's job `Auto-ingest` takes them in, and shows and switches it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.patience import PATIENCE

from homeport_host.host import Host, open_host

pytestmark = [pytest.mark.anyio]
JOB = "Auto-ingest"


async def until(wanted: Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(PATIENCE):
        while not await wanted():
            await anyio.sleep(0.1)


async def titles(host: Host) -> set[str]:
    return {each["title"] for each in (await host.call("rag__list_documents", {}))["documents"]}


async def jobs(host: Host) -> list[dict[str, Any]]:
    return (await host.call("scheduler__list_jobs", {"query": JOB}))["jobs"]


async def counted(host: Host) -> list[str]:
    """Return the results of the runs of the job that completed."""
    runs = (await host.call("scheduler__list_runs", {"job": JOB, "state": "completed"}))["runs"]
    return [run["detail"] for run in runs]


@pytest.mark.slow
async def test_watched_folders_are_taken_in_by_a_job_that_counts_and_can_be_switched_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOMEPORT_MODEL_DIR", str(tmp_path / "no model"))
    folder, home = tmp_path / "documents", tmp_path / "home"
    for each in (folder, home):
        each.mkdir()
    (folder / "first.txt").write_text("an umbrella")
    (home / "homeport.toml").write_text(f'[rag]\nfolders = ["{folder}"]\nwatch = ["{folder}"]\nwatch_seconds = 3600\n')
    async with open_host(home) as host:

        async def has(*names: str) -> bool:
            return await titles(host) == set(names)

        await until(lambda: has("first.txt"))
        [job] = await jobs(host)
        assert (job["enabled"], job["when"], job["what"]) == (True, "every 3600s", "rag__auto_ingest")
        (folder / "second.txt").write_text("a raincoat")
        await until(lambda: has("first.txt", "second.txt"))

        async def shown() -> bool:
            return sum('"new":1' in text.replace(" ", "") for text in await counted(host)) == 2

        await until(shown)

        await host.call("scheduler__change_jobs", {"names": [JOB], "action": "disable"})
        runs = len((await host.call("scheduler__list_runs", {"job": JOB}))["runs"])
        (folder / "third.txt").write_text("galoshes")
        await host.call("rag__sync_folder", {"path": str(folder), "collection": "projects"})
        await until(lambda: has("first.txt", "second.txt", "third.txt"))
        assert len((await host.call("scheduler__list_runs", {"job": JOB}))["runs"]) == runs
        assert (await host.call("rag__search", {"query": "galoshes", "collections": ["default"]}))["hits"] == []
        await host.call("scheduler__change_jobs", {"names": [JOB], "action": "enable"})
        await host.call("scheduler__run_job", {"job": JOB})

        async def found() -> bool:
            return bool((await host.call("rag__search", {"query": "galoshes", "collections": ["default"]}))["hits"])

        await until(found)

        await host.call("rag__change_settings", {"values": {"watch_on": False}})
        await host.call("scheduler__run_job", {"job": JOB})

        async def gone() -> bool:
            return await jobs(host) == []

        await until(gone)
