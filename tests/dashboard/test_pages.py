"""Pages over HTTP: what they show, their links, and what they say when something fails."""

from __future__ import annotations

import re

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from homeport_shared.errors import HomeportError

from .conftest import BASE, Desk

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/", "Dashboard"),
        ("/chat", "Chat"),
        ("/approvals", "Approvals"),
        ("/setup", "Set-up"),
        ("/servers", "Servers"),
        ("/servers/clock", "Clock"),
        ("/tools/clock__now", "What time is it"),
    ],
)
async def test_every_page_has_menu_breadcrumbs_content_and_version(desk: Desk, path: str, title: str) -> None:
    page = (await desk.client.get(path)).text
    assert f"<title>{title} · Homeport</title>" in page
    assert 'aria-label="Breadcrumbs"' in page
    assert 'aria-label="Pages"' in page
    assert "Homeport 0.1.0" in page
    assert len(re.findall("<h1", page)) == 1


async def test_the_current_page_is_marked_in_the_menu(desk: Desk) -> None:
    page = (await desk.client.get("/approvals")).text
    assert re.findall(r'href="(\S+)" aria-current="page"', page) == ["/approvals"]


async def test_a_chat_and_a_filter_reopen_by_their_address(desk: Desk) -> None:
    chat = desk.world.new_chat("About the lease", archived=True)
    desk.world.message(chat, "user", "When does it end?")
    assert "When does it end?" in (await desk.client.get(f"/chat/{chat['id']}")).text
    assert "About the lease" not in (await desk.client.get("/chat")).text
    assert "About the lease" in (await desk.client.get("/chat?archived=1&q=lease")).text


async def test_an_unknown_page_and_an_unknown_chat_say_what_to_do(desk: Desk) -> None:
    answer = await desk.client.get("/nowhere", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "Choose one in the menu." in answer.text
    assert "There is no chat c404." in (await desk.client.get("/chat/c404")).text


async def test_one_failed_part_leaves_the_rest_of_the_page(desk: Desk) -> None:
    desk.world.new_chat("Still here")
    desk.world.fail["status"] = HomeportError("unavailable", "The status cannot be read.", "Try again.")
    page = (await desk.client.get("/")).text
    assert "The status cannot be read." in page
    assert "Try again" in page
    assert "Still here" in page


async def test_a_page_that_fails_in_an_unforeseen_way_says_so_in_the_shell(desk: Desk) -> None:
    async def broken(_request: Request) -> Response:
        raise ZeroDivisionError

    desk.app.router.routes.insert(0, Route("/broken", broken))
    transport = httpx2.ASGITransport(app=desk.app, raise_app_exceptions=False, client=("127.0.0.1", 50000))
    async with httpx2.AsyncClient(transport=transport, base_url=BASE, cookies=desk.client.cookies) as browser:
        answer = await browser.get("/broken", headers={"Accept": "text/html"})
        assert answer.status_code == 500
        assert "nobody foresaw: ZeroDivisionError" in answer.text
        assert "/chat" in answer.text, "the menu is there"
        assert (await browser.get("/broken")).json()["error"]["code"] == "internal"


async def test_the_first_start_leads_to_set_up_until_it_is_done_or_skipped(desk: Desk) -> None:
    desk.world.setup["done"] = False
    assert (await desk.client.get("/")).headers["location"] == "/setup"
    await desk.act("homeport__finish_setup", {"skipped": True})
    assert (await desk.client.get("/")).status_code == 200
    assert "Where should answers come from?" in (await desk.client.get("/setup?step=model")).text, "it can be repeated"


async def test_set_up_without_a_model_ends_with_a_search_instead_of_a_question(desk: Desk) -> None:
    asked = (await desk.client.get("/setup?step=question")).text
    assert "Ask your first question" in asked
    assert re.search(r"\d+ documents can be searched", asked)
    desk.world.model = ""
    searched = (await desk.client.get("/setup?step=question")).text
    assert "Search your documents" in searched
    assert "data-first-question" not in searched


async def test_the_commands_of_the_host_itself_come_last(desk: Desk) -> None:
    own = [each["server"] == "homeport" for each in (await desk.client.get("/chat/commands")).json()]
    assert own == sorted(own)


async def test_search_finds_pages_commands_documents_and_chats(desk: Desk) -> None:
    desk.world.new_chat("Clock repairs")
    groups = (await desk.client.get("/search?q=clock")).json()["groups"]
    found = {group["title"]: [item["href"] for item in group["items"]] for group in groups}
    assert "/tools/clock__now" in found["Commands"]
    assert found["Chats"] == ["/chat/c001"]
    everything = (await desk.client.get("/search?q=")).json()["groups"]
    assert "/approvals" in [item["href"] for item in everything[0]["items"]], "all pages"


async def test_a_tool_without_a_page_gets_a_form_and_its_result_a_table(desk: Desk) -> None:
    form = (await desk.client.get("/tools/clock__now?zone=CET")).text
    assert 'name="zone" value="CET"' in form
    assert 'type="number"' in form
    result = (await desk.act("clock__now", {"zone": "CET", "lines": 2}, params={"as": "html"})).text
    assert "<caption>Rows</caption>" in result
    assert result.count("<tr>") == 3


async def test_what_a_tool_returned_never_becomes_html(desk: Desk) -> None:
    desk.world.answer = "<img src=x onerror=alert(1)>"
    result = (await desk.act("clock__now", {"zone": "<b>", "lines": 1}, params={"as": "html"})).text
    assert "<img" not in result
    assert "<b>" not in result


async def test_a_tool_that_needs_approval_is_asked_in_place_and_then_runs(desk: Desk) -> None:
    refused = (await desk.act("clock__wipe", {"confirm": "clock"})).json()
    assert refused["error"]["code"] == "approval_required"
    assert refused["approval"]["arguments"] == {"confirm": "clock"}
    await desk.act("homeport__decide_approval", {"approval_id": refused["approval"]["id"], "approve": True})
    assert (await desk.act("clock__wipe", {"confirm": "clock"})).json()["result"] == {"wiped": True}


async def test_a_citation_opens_the_document_at_the_place(desk: Desk) -> None:
    document = await desk.client.get("/open", params={"uri": "files://a/b.pdf", "document": "d1", "chunk": "7"})
    assert document.headers["location"] == "/knowledge?document=d1&chunk=7"
    file = await desk.client.get("/open", params={"uri": "files://a/b.pdf", "line": "12"})
    assert file.headers["location"] == "/files?path=a%2Fb.pdf&line=12"
    lines = await desk.client.get("/open", params={"uri": "x", "document": "d1", "chunk": "", "place": "lines 10–18"})
    assert lines.headers["location"] == "/knowledge?document=d1&line=10&end=18"
    for uri, where in (("run://r1", "/tasks/r1"), ("workflow://Daily%20list", "/workflows/Daily%20list"),
                       ("server://files", "/servers/files")):  # fmt: skip
        assert (await desk.client.get("/open", params={"uri": uri})).headers["location"] == where
    for uri in ("javascript:alert(1)", "run://"):
        assert (await desk.client.get("/open", params={"uri": uri})).status_code == 404


async def test_a_body_that_is_no_object_is_refused_in_words(desk: Desk) -> None:
    answer = await desk.client.post("/act/clock__now", content=b"[1", headers={"Origin": "http://127.0.0.1:8642"})
    assert answer.status_code == 400
    assert "not JSON" in answer.json()["error"]["message"]


@pytest.mark.parametrize("theme", ["light", "dark", "contrast", "system"])
async def test_the_theme_is_known_before_the_page_is_drawn(desk: Desk, theme: str) -> None:
    desk.client.cookies.set("homeport_theme", theme)
    assert f'data-theme="{theme}"' in (await desk.client.get("/")).text


async def test_a_theme_that_does_not_exist_is_ignored(desk: Desk) -> None:
    desk.client.cookies.set("homeport_theme", "x><script>")
    assert 'data-theme="system"' in (await desk.client.get("/")).text
