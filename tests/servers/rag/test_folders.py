"""Folders: ingest as a job, incremental sync, refusal outside of the allowed folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from homeport_rag.server import build_server
from homeport_shared.testing.clients import connected

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_model")]


async def finished(client: Client, job: str) -> dict[str, Any]:
    with anyio.fail_after(30):
        while True:
            found = (await client.call_tool("jobs", {"job_id": job})).structured_content
            if found["jobs"][0]["state"] in {"completed", "failed", "cancelled"}:
                return found["jobs"][0]
            await anyio.sleep(0.05)


async def test_a_folder_is_searchable_after_its_job(tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "kettle.md").write_text("# Kitchen\n\nThe kettle is blue.\n")
    async with connected(build_server, "rag", tmp_path / "home", flags={"folders": [str(documents)]}) as client:
        started = (await client.call_tool("sync_folder", {"path": str(documents)})).structured_content
        job = await finished(client, started["id"])
        assert (job["state"], job["counters"]["new"]) == ("completed", 1), job
        found = (await client.call_tool("search", {"query": "kettle"})).structured_content
        assert [hit["title"] for hit in found["hits"]] == ["kettle"]
