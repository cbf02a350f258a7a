"""The views of servers, without a browser: their frame, what they are handed, and what they may call and read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.dashboard.house import BASE, House

pytestmark = pytest.mark.anyio


async def called(house: House, server: str, name: str, /, **arguments: Any) -> dict[str, Any]:
    """Call a tool as a view does, through its page."""
    body = {"name": name, "arguments": arguments}
    return (await house.browser.post(f"/views/{server}/call", json=body, headers={"Origin": BASE})).json()


@pytest.mark.parametrize(
    ("path", "title", "frame"),
    [("/files", "Files", "files/"), ("/knowledge", "Knowledge", "rag/"), ("/automation", "Automation", "scheduler/")],
)
async def test_a_view_gets_a_sandbox_and_what_its_address_says(house: House, path: str, title: str, frame: str) -> None:
    page = await house.page(path, path="docs")
    [sandbox] = page.all("iframe")
    assert sandbox.attributes["title"] == title
    assert "allow-same-origin" not in (sandbox.attributes["sandbox"] or "")
    assert (sandbox.attributes["data-src"] or "").startswith(f"/views/frame/{frame}")
    launch = json.loads(page.all("[data-view]")[0].attributes["data-launch"] or "")
    assert launch["arguments"] == {"path": "docs"}
    assert "structuredContent" in launch["result"]


async def test_the_view_of_any_server_opens_below_the_server(house: House) -> None:
    page = await house.page("/servers/files/view")
    assert page.all("[data-view]")[0].attributes["data-server"] == "files"
    assert page.links("nav[aria-label=Breadcrumbs] a")["files"] == "/servers/files"


async def test_a_server_without_a_view_leads_to_its_tools(house: House) -> None:
    page = await house.page("/servers/web/view")
    assert page.texts("main .empty-title") == ["web has no page of its own"]
    assert page.links("main .empty a") == {"Open tools": "/servers/web"}


async def test_a_view_calls_the_tools_of_its_server_by_their_own_names(house: House) -> None:
    (house.docs / "seen.txt").write_text("seen", "utf-8")
    for name in ("list", "files__list"):
        answer = await called(house, "files", name, path="docs")
        assert "docs/seen.txt" in [entry["path"] for entry in answer["structuredContent"]["entries"]], name


async def test_a_view_reaches_neither_the_host_nor_another_server(house: House) -> None:
    for name in ("homeport__set_mode", "rag__search", "none"):
        answer = await called(house, "files", name)
        assert answer["error"]["code"] == "denied", name
        assert answer["error"]["hint"] == "Use the tool from Chat instead."


async def test_a_view_is_told_which_approval_its_call_waits_for(house: House) -> None:
    arguments = {"collection": "letters", "confirm": "letters"}
    await called(house, "rag", "create_collection", name="letters")
    answer = await called(house, "rag", "delete", **arguments)
    assert answer["isError"]
    assert answer["approval"]["arguments"] == arguments
    await house.act("homeport__decide_approval", approval_id=answer["approval"]["id"], approve=True)
    answer = await called(house, "rag", "delete", **arguments)
    assert not answer["isError"], answer


async def test_a_view_reads_resources_of_its_own_server_only(house: House) -> None:
    (house.docs / "read.txt").write_text("to be read", "utf-8")
    own = (await house.browser.get("/views/files/read", params={"uri": "files://docs/read.txt"})).json()
    assert "to be read" in own["contents"][0]["text"]
    for uri in ("rag://stats", "homeport://status", "ui://rag/knowledge.html"):
        foreign = await house.browser.get("/views/files/read", params={"uri": uri})
        assert foreign.json()["error"]["message"] == f"This view may not read {uri}."
        assert foreign.status_code == 403


async def test_a_frame_that_no_server_has_is_not_found(house: House) -> None:
    page = await house.ask("/views/frame/files/none.html")
    assert page.status == 404
    assert "Unknown resource" in page.text()
