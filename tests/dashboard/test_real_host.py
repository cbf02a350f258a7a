"""The pages over the real host, its servers and a scripted model: from a folder to a cited answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from tests.patience import PATIENCE

from homeport_host.host import open_host
from homeport_shared.testing.model import ModelDouble, Reply, call

from .house import BASE, pages_of

pytestmark = pytest.mark.anyio


async def act(browser: httpx2.AsyncClient, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool as a page does."""
    answer = (await browser.post(f"/act/{tool}", json=arguments, headers={"Origin": BASE})).json()
    assert "error" not in answer, answer
    return answer["result"]


async def events_until_done(browser: httpx2.AsyncClient, run: str) -> list[dict[str, Any]]:
    """Read a run's events until its last."""
    found: list[dict[str, Any]] = []
    with anyio.fail_after(PATIENCE):
        while not found or found[-1]["kind"] != "done":
            after = found[-1]["seq"] if found else 0
            found += (await browser.get(f"/runs/{run}/events", params={"after": after})).json()["events"]
            await anyio.sleep(0.05)
    return found


@pytest.mark.slow
async def test_a_first_start_leads_from_a_folder_to_an_answer_with_its_tool_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "lease.txt").write_text("The lease ends on 30 June 2027.\n", "utf-8")
    script = [
        Reply(calls=[call("rag__search", query="lease end", mode="lexical")]),
        Reply("It ends on 30 June 2027 [1]."),
    ]
    async with ModelDouble(script) as double:
        monkeypatch.setenv("OLLAMA_HOST", double.ollama_url)
        async with open_host(tmp_path / "home") as host, pages_of(host) as browser:
            assert (await browser.get("/")).headers["location"] == "/setup"
            assert "ollama/qwen3:8b" in (await browser.get("/setup?step=model")).text
            await act(browser, "homeport__set_model", name="ollama/qwen3:8b")
            await act(browser, "homeport__add_folder", path=str(folder))
            assert "papers" in (await browser.get("/setup?step=folder")).text
            sent = await act(browser, "homeport__chat_send", text="When does the lease end?")
            events = await events_until_done(browser, sent["run_id"])
            assert {"text", "call", "done"} <= {event["kind"] for event in events}
            page = (await browser.get(f"/chat/{sent['session_id']}")).text
            assert "It ends on 30 June 2027" in page
            assert "rag__search" in page
            await act(browser, "homeport__finish_setup")
            for path in (
                "/",
                "/approvals",
                "/servers",
                "/servers/files",
                "/tools/files__list",
                "/files",
                "/knowledge",
                "/automation",
            ):
                answer = await browser.get(path)
                assert answer.status_code == 200, path
                assert 'class="problem"' not in answer.text, path


async def test_the_view_of_a_server_is_served_through_the_gateway(tmp_path: Path) -> None:
    async with open_host(tmp_path / "home") as host, pages_of(host) as browser:
        page = (await browser.get("/files")).text
        address = page.partition('data-src="')[2].partition('"')[0]
        frame = await browser.get(address)
        assert frame.headers["content-security-policy"].startswith("sandbox allow-scripts")
        assert "<title>Files</title>" in frame.text
