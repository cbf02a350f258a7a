"""The long work of the real servers in the list of a whole host."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.subscriptions import ResourceUpdated
from tests.patience import PATIENCE

from homeport_host.host import open_host

pytestmark = pytest.mark.anyio


@pytest.mark.slow
async def test_the_work_of_every_server_is_in_the_one_list_with_its_progress(tmp_path: Path) -> None:
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "old.tmp").write_text("")
    (folder / "lease.txt").write_text("The lease ends in June.", encoding="utf-8")
    async with open_host(tmp_path / "home") as host:
        assert {"files", "rag"} <= set((await host.call("homeport__task_filters", {}))["servers"])
        async with Client(host.person_server()) as client:
            async with client.listen(resource_subscriptions=["task://recent"]) as news:
                added = await host.call("homeport__add_folder", {"path": str(folder)})
                with anyio.fail_after(PATIENCE):
                    assert await anext(aiter(news)) == ResourceUpdated(uri="task://recent")
            listed = await client.read_resource("files://jobs/recent")
            assert "jobs" in json.loads(listed.contents[0].text)
            for uri in ("job://recent", "rag+job://recent"):
                assert "jobs" in json.loads((await client.read_resource(uri)).contents[0].text)
        cleaned = await host.call("files__clean_up", {"paths": ["papers/old.tmp"], "confirm": 1})

        async def row(task: str) -> dict[str, Any]:
            rows = (await host.call("homeport__list_tasks", {}))["rows"]
            return next(each for each in rows if each["id"] == task)

        for task, kind in ((f"rag:{added['job_id']}", "knowledge"), (f"files:{cleaned['job_id']}", "file")):
            with anyio.fail_after(PATIENCE):
                while (found := await row(task))["state"] != "completed":
                    await anyio.sleep(0.05)
            assert (found["type"], found["progress"]["percent"], found["finished"] != "") == (kind, 100.0, True)
            shown = (await host.call("homeport__task_get", {"task_id": task}))["task"]
            assert (shown["id"], shown["title"]) == (task, found["title"])
            assert [shown[when] for when in ("created", "finished")] == [
                found[when] for when in ("created", "finished")
            ]
