"""The frame around every page in a real browser: keyboard, themes, live stream, views, sizes, accessibility."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Frame, Page, expect

import homeport_dashboard

from .accessibility import sound
from .conftest import Site

pytestmark = pytest.mark.browser
PAGES = (
    "/",
    "/chat",
    "/chat/c001",
    "/approvals",
    "/setup?step=model",
    "/setup?step=folder",
    "/setup?step=question",
    "/servers",
    "/servers/clock",
    "/tools/clock__now",
    "/files?path=documents/lease.txt",
    "/knowledge",
    "/automation",
)
DIST = Path(homeport_dashboard.__file__).parent / "static" / "dist"


def filled(site: Site) -> None:
    """Give every page something to show."""

    async def fill() -> None:
        chat = site.world.new_chat("About the lease")
        site.world.message(chat, "user", "When does it end?")
        await site.world.begin(chat)
        site.world.new_approval("clock__wipe")
        site.world.message(
            site.world.new_chat("Broken"),
            "assistant",
            "",
            state="failed",
            error={"code": "unavailable", "message": "Down.", "hint": "Up."},
        )

    site.run(fill)


def frames(page: Page) -> Iterator[Frame]:
    """Wait until views are drawn, then give every frame."""
    if page.locator("[data-view]").count():
        expect(page.locator("[data-view]")).to_have_class(re.compile("ready"))
        expect(page.frame_locator("iframe").locator(":is(.list, .lines, .empty):visible").first).to_be_visible()
    yield from page.frames


def test_every_page_passes_the_accessibility_rules(site: Site, page: Page) -> None:
    filled(site)
    for path in PAGES:
        page.goto(site.url + path)
        expect(page.locator("[data-link-state]")).to_have_attribute("data-link-state", "on")
        assert [*frames(page)]
        sound(page)


def test_nothing_needs_sideways_scrolling_at_320_pixels(site: Site, context: BrowserContext) -> None:
    filled(site)
    page = context.new_page()
    page.set_viewport_size({"width": 320, "height": 640})
    wide = {}
    for path in PAGES:
        page.goto(site.url + path)
        for frame in frames(page):
            extra = frame.evaluate("document.documentElement.scrollWidth - innerWidth")
            if extra > 0:
                wide[f"{path} {frame.url}"] = extra
    assert wide == {}


def test_the_palette_finds_and_opens_by_keyboard_alone(site: Site, page: Page) -> None:
    page.goto(site.url)
    page.keyboard.press("Control+k")
    search = page.get_by_role("combobox")
    expect(search).to_be_focused()
    search.press_sequentially("approv")
    expect(page.get_by_role("option").first).to_contain_text("Approvals")
    page.keyboard.press("Enter")
    page.wait_for_url("**/approvals")
    page.keyboard.press("Control+k")
    page.get_by_role("combobox").fill("what time")
    expect(page.get_by_role("option").first).to_contain_text("What time is it")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="What time is it")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_question_is_asked_and_answered_by_keyboard_alone(site: Site, page: Page) -> None:
    site.world.ask_before = "clock__wipe"
    page.goto(site.url)
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == "Chat":
            break
    page.keyboard.press("Enter")
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    page.keyboard.type("Wipe it")
    page.keyboard.press("Enter")
    approve = page.locator(".call").get_by_role("button", name="Approve")
    expect(approve).to_be_visible()
    for _ in range(60):
        page.keyboard.press("Shift+Tab")
        if approve.evaluate("node => node === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.locator(".sources a")).to_have_count(2)


def test_a_theme_chosen_in_one_tab_shows_in_all_and_in_their_views(site: Site, context: BrowserContext) -> None:
    first, second = context.new_page(), context.new_page()
    first.goto(site.url)
    second.goto(f"{site.url}/files")
    expect(second.locator("[data-view]")).to_have_class(re.compile("ready"))
    first.get_by_label("Theme").first.click()
    first.get_by_role("button", name="High contrast").click()
    expect(second.locator("html")).to_have_attribute("data-theme", "contrast")
    expect(second.frame_locator("iframe").locator("html")).to_have_attribute("data-theme", "contrast")
    first.reload()
    expect(first.locator("html")).to_have_attribute("data-theme", "contrast")


def test_twelve_tabs_hear_of_a_change_over_one_stream(site: Site, context: BrowserContext) -> None:
    tabs = [context.new_page() for _ in range(12)]
    for tab in tabs:
        tab.goto(site.url)
        expect(tab.locator("[data-link-state]")).to_have_attribute("data-link-state", "on")

    async def change() -> None:
        site.world.mode = "CLOUD"
        site.world.new_approval("clock__wipe")
        await site.world.touch("homeport://mode", "approval://pending")

    site.run(change)
    for tab in tabs:
        expect(tab.locator(".mode")).to_have_text("CLOUD")
        expect(tab.locator(".toast")).to_contain_text("waits for your approval")


def test_a_page_catches_up_after_the_stream_was_lost(site: Site, page: Page) -> None:
    page.goto(site.url)
    expect(page.locator("[data-link-state]")).to_have_attribute("data-link-state", "on")

    async def lose() -> None:
        site.world.mode = "HYBRID"

    site.run(lose)
    site.portal.call(site.close_streams)
    expect(page.locator(".mode")).to_have_text("HYBRID")


def test_the_view_of_any_server_is_a_page(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/servers/files/view?path=documents/notes.md")
    expect(page.frame_locator("iframe").locator(".rendered")).to_contain_text("Call the bank")
    page.goto(f"{site.url}/servers/clock/view")
    expect(page.get_by_text("has no page of its own")).to_be_visible()


def test_files_are_browsed_read_and_linked(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/files")
    view = page.frame_locator("iframe")
    view.get_by_role("button", name="documents", exact=True).click()
    view.get_by_role("button", name="lease.txt").first.click()
    expect(view.locator(".lines")).to_contain_text("Clause 40: the rent of part 40")
    page.wait_for_url("**/files?path=documents%2Flease.txt")
    page.goto(f"{site.url}/files?path=documents/lease.txt&line=77")
    expect(view.locator(".line.hit")).to_contain_text("Clause 77")
    expect(view.locator(".line.hit")).to_be_in_viewport()


def test_a_file_that_appears_is_shown_without_reload(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/files?path=documents")
    view = page.frame_locator("iframe")
    expect(view.locator("[data-path='documents/notes.md']").first).to_be_visible()

    async def write() -> None:
        client = site.world.upstreams["files"]
        result = await client.call_tool("write", {"path": "documents/new.txt", "content": "hello"})
        assert not result.is_error, result.content

    site.run(write)
    expect(view.locator("[data-path='documents/new.txt']").first).to_be_visible()


def test_a_file_is_deleted_after_a_question_and_restored(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/files?path=documents/notes.md")
    view = page.frame_locator("iframe")
    view.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(view.locator(".said")).to_contain_text("It can be restored.")
    assert not (site.folder / "notes.md").exists()
    expect(view.locator("[data-path$='notes.md']")).to_have_count(0)
    view.get_by_role("button", name="Undo").click()
    expect(view.locator("[data-path$='notes.md']")).to_be_visible()
    assert (site.folder / "notes.md").exists()


def test_a_hostile_file_name_and_content_stay_text(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/files?path=documents")
    view = page.frame_locator("iframe")
    view.get_by_role("button", name="<img src=x").first.click()
    expect(view.locator(".lines")).to_contain_text("<script>alert(1)</script>")
    expect(view.locator("img")).to_have_count(0)


def test_knowledge_is_searched_and_a_citation_opens_at_its_place(site: Site, page: Page) -> None:
    async def index() -> dict[str, Any]:
        rag = site.world.upstreams["rag"]
        text = "\n\n".join(f"Part {n}. Nothing of note." for n in range(80)) + "\n\nThe zebra crossing closes in May.\n"
        return (await rag.call_tool("add", {"text": text, "title": "Minutes"})).structured_content

    document = site.run(index)["document_id"]
    page.goto(f"{site.url}/knowledge?q=zebra&mode=lexical")
    view = page.frame_locator("iframe")
    view.locator(".hit-card").first.click()
    expect(view.locator(".line.hit", has_text="zebra crossing")).to_be_visible()
    expect(view.locator(".line.hit").first).to_be_in_viewport()
    page.goto(f"{site.url}/open?uri=x&document={document}&line=161")
    expect(view.locator(".line.hit")).to_contain_text("zebra crossing")


def test_a_view_reaches_neither_the_page_nor_the_network_nor_other_servers(
    site: Site, page: Page, problems: list[str]
) -> None:
    page.goto(f"{site.url}/files")
    list(frames(page))
    frame = page.frames[1]
    assert frame.evaluate("origin") == "null"
    assert (
        frame.evaluate("() => { try { return parent.document.title } catch (e) { return e.name } }") == "SecurityError"
    )
    assert frame.evaluate("url => fetch(url).then(() => 'reached', e => e.name)", f"{site.url}/shell") == "TypeError"
    ask = """call => new Promise(done => { addEventListener('message', e => e.data.id === 'x' && done(e.data));
        parent.postMessage({jsonrpc: '2.0', id: 'x', method: call[0], params: call[1]}, '*'); })"""
    other = frame.evaluate(ask, ["tools/call", {"name": "homeport__set_mode", "arguments": {"mode": "CLOUD"}}])
    assert "may not call" in other["error"]["message"]
    assert "may not read" in frame.evaluate(ask, ["resources/read", {"uri": "homeport://status"}])["error"]["message"]
    assert site.world.mode == "LOCAL"
    problems.clear()  # the refusals above are also written to the console


def test_a_view_that_stays_silent_is_replaced_by_a_way_on(site: Site, page: Page) -> None:
    page.clock.install()
    page.route("**/views/frame/**", lambda route: route.fulfill(body="<p>nothing</p>", content_type="text/html"))
    page.goto(f"{site.url}/files")
    page.clock.run_for(8500)
    expect(page.get_by_text("did not start")).to_be_visible()
    expect(page.get_by_role("link", name="Use its tools as forms")).to_be_visible()


def test_set_up_leads_from_model_and_folder_to_a_first_answer(site: Site, page: Page) -> None:
    site.world.setup["done"] = False
    page.goto(f"{site.url}/setup")
    page.get_by_role("button", name="ollama/llama3.2:3b").click()
    page.get_by_role("textbox", name="Folder").fill("nowhere")
    page.get_by_role("button", name="Add folder").click()
    expect(page.locator(".toast")).to_contain_text("There is no folder nowhere.")
    page.get_by_role("textbox", name="Folder").fill("/home/ada/papers")
    page.get_by_role("button", name="Add folder").click()
    page.get_by_role("textbox", name="Question").fill("When does the lease end?")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator(".sources a")).to_have_count(2)
    assert site.world.model == "ollama/llama3.2:3b"
    assert site.world.setup["done"]


def test_first_loads_stay_within_their_size(site: Site, page: Page) -> None:
    loaded: list[str] = []
    page.on("response", lambda answer: loaded.append(answer.url) if "/static/dist/" in answer.url else None)
    sizes = {}
    for path in ("/", "/approvals", "/setup", "/chat", "/files"):
        loaded.clear()
        page.goto(site.url + path)
        expect(page.locator("[data-link-state]")).to_have_attribute("data-link-state", "on")
        names = {re.sub(r"\?.*", "", url).rpartition("/dist/")[2] for url in loaded} - {""}
        sizes[path] = sum(len(gzip.compress((DIST / name).read_bytes(), 9)) for name in names)
    assert sizes["/"] > 10_000
    assert {path: size for path, size in sizes.items() if size > (100_000 if path == "/chat" else 60_000)} == {}
