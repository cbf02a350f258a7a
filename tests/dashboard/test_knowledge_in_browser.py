"""The Knowledge page in a real browser: a long library, a document's parts, upload, query tester, keyboard, live."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import FrameLocator, Page, expect

from .conftest import Site

pytestmark = pytest.mark.browser
RULES = "['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice']"
PICTURES = os.environ.get("HOMEPORT_PICTURES", "")


def stored(site: Site, count: int) -> list[str]:
    """Store texts through the real knowledge server; return their ids."""

    async def add(number: int) -> str:
        rag = site.world.upstreams["rag"]
        text = f"# Part {number}\n\nThe zebra number {number} crosses the road."
        arguments = {"text": text, "title": f"Minutes {number:04}", "metadata": {"team": "red"}}
        return (await rag.call_tool("add", arguments)).structured_content["document_id"]

    return [site.run(add, number) for number in range(count)]


def tool(site: Site, name: str, **arguments: Any) -> dict[str, Any]:
    async def call() -> dict[str, Any]:
        return (await site.world.upstreams["rag"].call_tool(name, arguments)).structured_content

    return site.run(call)


def opened(site: Site, page: Page, query: str = "") -> FrameLocator:
    page.goto(f"{site.url}/knowledge{query}")
    return page.frame_locator("iframe")


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES, f"{name}.png")))


def test_a_long_library_keeps_only_the_rows_in_sight(site: Site, page: Page) -> None:
    stored(site, 180)
    view = opened(site, page)
    expect(view.get_by_role("button", name="Minutes 0000")).to_be_visible()
    picture(page, "library")
    last = view.get_by_role("button", name="Minutes 0179")
    for _ in range(60):
        view.locator(".pane").first.evaluate("pane => { pane.scrollTop = pane.scrollHeight }")
        page.wait_for_timeout(50)
        if last.count():
            break
    expect(last).to_be_visible()
    last.press("ArrowUp")
    expect(view.get_by_role("button", name="Minutes 0178")).to_be_focused()
    assert view.locator(".virtual").count() < 80


def test_filters_leave_what_fits(site: Site, page: Page) -> None:
    stored(site, 3)
    view = opened(site, page)
    expect(view.locator(".virtual")).to_have_count(3)
    view.get_by_label("Source", exact=True).select_option("upload")
    expect(view.get_by_text("No document fits these filters.")).to_be_visible()
    view.get_by_label("Source", exact=True).select_option("text")
    expect(view.locator(".virtual")).to_have_count(3)


def test_a_documents_parts_are_reached_by_keyboard_and_metadata_is_edited(site: Site, page: Page) -> None:
    [document, *_] = stored(site, 2)
    view = opened(site, page, f"?document={document}")
    expect(view.locator(".lines")).to_contain_text("The zebra number 0")
    view.get_by_role("tab", name="Text").focus()
    page.keyboard.press("ArrowRight")
    expect(view.locator(".facts")).to_contain_text("text/markdown")
    picture(page, "document")
    page.keyboard.press("ArrowRight")
    expect(view.locator(".chunk")).to_contain_text("zebra")
    page.keyboard.press("ArrowRight")
    field = view.get_by_label("team", exact=True)
    field.fill("blue")
    field.press("Tab")
    expect(view.get_by_label("team", exact=True)).to_have_value("blue")
    assert tool(site, "show_document", document_id=document)["metadata"] == {"team": "blue"}
    view.get_by_role("tab", name="Versions").click()
    expect(view.get_by_text("It has not changed")).to_be_visible()


def test_files_are_uploaded_and_a_bad_one_says_why(site: Site, page: Page, tmp_path: Path) -> None:
    good, bad = tmp_path / "umbrella.txt", tmp_path / "picture.png"
    good.write_text("The umbrella hangs here.", "utf-8")
    bad.write_bytes(b"\x89PNG")
    view = opened(site, page)
    view.get_by_role("button", name="Upload").click()
    dialog = view.get_by_role("dialog")
    dialog.get_by_label("Files").set_input_files([good, bad])
    picture(page, "upload")
    dialog.get_by_role("button", name="Upload").click()
    expect(dialog).to_contain_text("picture.png is of a kind that cannot be read")
    expect(dialog.get_by_text("umbrella.txt")).to_have_count(0)
    dialog.get_by_role("button", name="Close").click()
    expect(view.get_by_role("button", name="umbrella.txt")).to_be_visible()


def test_a_query_is_tested_and_a_missing_document_is_explained(site: Site, page: Page) -> None:
    [document, *_] = stored(site, 12)
    tool(site, "archive_documents", document_ids=[document])
    view = opened(site, page)
    view.get_by_role("button", name="Test query").click()
    dialog = view.get_by_role("dialog")
    dialog.get_by_label("Query").fill("zebra")
    page.keyboard.press("Enter")
    expect(dialog.locator(".hit-card")).to_have_count(5)
    expect(dialog).to_contain_text("lexical_rank 1")
    picture(page, "tester")
    dialog.get_by_label("Document id").fill(document)
    dialog.get_by_role("button", name="Why not found?").click()
    expect(dialog).to_contain_text("It is archived.")


def test_a_document_that_comes_in_is_shown_without_reload(site: Site, page: Page) -> None:
    view = opened(site, page)
    expect(view.get_by_text("Nothing indexed yet")).to_be_visible()
    stored(site, 1)
    expect(view.get_by_role("button", name="Minutes 0000")).to_be_visible()


def test_several_documents_are_moved_and_removed_at_once(site: Site, page: Page) -> None:
    stored(site, 4)
    view = opened(site, page)
    for number in (1, 2):
        view.get_by_label(f"Choose Minutes 000{number}").check()
    view.get_by_label("Move to collection").select_option("reports")
    view.get_by_label("Collection", exact=True).select_option("reports")
    expect(view.locator(".virtual")).to_have_count(2)


def test_memories_are_seen_and_forgotten(site: Site, page: Page) -> None:
    view = opened(site, page)
    view.get_by_role("button", name="Memory").click()
    expect(view.get_by_role("dialog")).to_contain_text("Nothing is remembered.")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_is_accessible(site: Site, page: Page, theme: str) -> None:
    [document, *_] = stored(site, 5)
    page.emulate_media(color_scheme=theme)
    view = opened(site, page, f"?document={document}")
    view.get_by_role("tab", name="Passages").click()
    expect(view.locator(".chunk")).to_be_visible()
    picture(page, f"page-{theme}")
    found = Axe().run(page.frames[1], options=f"{{runOnly: {RULES}}}")
    assert [violation["id"] for violation in found["violations"]] == []
