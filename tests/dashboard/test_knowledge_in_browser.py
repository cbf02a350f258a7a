"""The Knowledge page in a real browser: a long library, a document's parts, upload, query tester, keyboard, live."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import anyio
import pytest
from playwright.sync_api import FrameLocator, Locator, Page, expect
from starlette.requests import Request

from .accessibility import sound
from .conftest import Site

pytestmark = pytest.mark.browser
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


def row(view: FrameLocator, title: str) -> Locator:
    return view.locator(".table-row", has_text=title)


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES, f"{name}.png")))


def test_a_long_library_keeps_only_the_rows_in_sight(site: Site, page: Page) -> None:
    stored(site, 180)
    view = opened(site, page)
    expect(row(view, "Minutes 0000")).to_be_visible()
    picture(page, "library")
    last = row(view, "Minutes 0179")
    for _ in range(60):
        view.locator(".pane").first.evaluate("pane => { pane.scrollTop = pane.scrollHeight }")
        page.wait_for_timeout(50)
        if last.count():
            break
    expect(last).to_be_visible()
    last.press("ArrowUp")
    expect(row(view, "Minutes 0178")).to_be_focused()
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
    expect(view.locator(".facts").first).to_contain_text("text/markdown")
    picture(page, "document")
    page.keyboard.press("ArrowRight")
    expect(view.locator(".chunk")).to_contain_text("zebra")
    page.keyboard.press("ArrowRight")
    field = view.get_by_label("team", exact=True)
    field.fill("blue")
    with page.expect_response(lambda answer: answer.request.method == "POST"):
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
    expect(row(view, "umbrella.txt")).to_be_visible()


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
    expect(row(view, "Minutes 0000")).to_be_visible()


def test_several_documents_are_moved_and_removed_at_once(site: Site, page: Page) -> None:
    stored(site, 4)
    view = opened(site, page)
    for number in (1, 2):
        view.get_by_label(f"Choose Minutes 000{number}").check()
    view.get_by_label("Move to collection").select_option("reports")
    view.get_by_label("Collection", exact=True).select_option("reports")
    expect(view.locator(".virtual")).to_have_count(2)


def test_a_row_tells_all_and_its_menu_does_all(site: Site, page: Page) -> None:
    """Columns, sorting, re-embed, preview, move, delete, and the way to the file."""
    tool(site, "add_folder", path=str(site.folder))
    tool(site, "sync_folder", path=str(site.folder))
    [mail, _] = stored(site, 2)
    view = opened(site, page)
    lease = row(view, "lease.txt")
    expect(lease).to_be_visible()
    for text in ("TXT", "Folder", "default"):
        expect(lease).to_contain_text(text)
    expect(lease.locator(".state")).to_have_text(re.compile("Pending|Embedded"))
    expect(lease.locator(".col.size")).to_have_text(re.compile(r"KB$"))
    expect(lease.locator(".col.chunks")).to_have_text(re.compile(r"^\d+$"))
    today = page.evaluate("new Date().toLocaleDateString([], { dateStyle: 'medium' })")
    for column in ("added", "updated"):
        expect(lease.locator(f".col.{column}")).to_have_text(today)
    picture(page, "table")
    view.get_by_role("button", name="Sort by size").click()
    expect(view.locator(".table-row").first).to_contain_text("lease.txt")
    view.get_by_role("button", name="Actions for Minutes 0000").click()
    menu = view.get_by_role("menu")
    expect(menu.get_by_role("menuitem", name="Open file location")).to_have_count(0)
    picture(page, "menu")
    menu.get_by_label("Move Minutes 0000 to").select_option("emails")
    expect(row(view, "Minutes 0000").locator(".col.collection")).to_have_text("emails")
    assert tool(site, "show_document", document_id=mail)["collection"] == "emails"
    view.get_by_role("button", name="Actions for Minutes 0001").click()
    menu.get_by_role("menuitem", name="Preview chunks").click()
    expect(view.locator(".chunk")).to_contain_text("zebra number 1")
    view.get_by_role("button", name="Close document").click()
    view.get_by_role("button", name="Actions for Minutes 0001").click()
    menu.get_by_role("menuitem", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(row(view, "Minutes 0001")).to_have_count(0)
    view.get_by_role("button", name="Actions for lease.txt").click()
    menu.get_by_role("menuitem", name="Re-embed").click()
    expect(page.get_by_text("It is being embedded anew.")).to_be_visible()
    view.get_by_role("button", name="Actions for lease.txt").click()
    menu.get_by_role("menuitem", name="Open file location").click()
    files = page.frame_locator("iframe")
    expect(files.get_by_text("notes.md")).to_be_visible()
    assert "/files?" in page.url


def test_the_header_counts_warns_and_opens_everything(site: Site, page: Page) -> None:
    stored(site, 2)
    view = opened(site, page)
    line = view.locator(".stats-line")
    expect(line).to_contain_text("2 documents / 2 chunks embedded")
    expect(line).to_contain_text("MiniLM-L6-v2 (384d)")
    expect(line).to_contain_text(re.compile(r"KB on disk, [\d.]+ [MG]B free \([\d.]+ % used\)"))
    stored_more = {"text": "One more.", "title": "More"}
    tool(site, "add", **stored_more)
    expect(line).to_contain_text("3 documents / 3 chunks embedded")
    view.get_by_role("button", name="Rebuild Index").click()
    page.get_by_role("dialog").get_by_role("button", name="Rebuild").click()
    expect(line).to_contain_text("rebuilt")
    view.get_by_role("button", name="Settings").click()
    dialog = view.get_by_role("dialog")
    dialog.get_by_label("index_folder", exact=True).fill("relative/folder")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("not an absolute path")
    dialog.get_by_label("index_folder", exact=True).fill("")
    dialog.get_by_label("watch_on", exact=True).uncheck()
    picture(page, "settings")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    chosen = {each["name"]: each["value"] for each in tool(site, "show_settings")["settings"]}
    assert chosen["watch_on"] is False
    (site.folder / "broken.pdf").write_bytes(b"%PDF-1.4 broken")
    tool(site, "add_folder", path=str(site.folder))
    tool(site, "sync_folder", path=str(site.folder))
    expect(view.locator(".note.warn", has_text="1 documents could not be read")).to_be_visible()
    (site.folder / "broken.pdf").unlink()
    view.get_by_role("button", name="Cleanup").click()
    expect(view.get_by_role("dialog")).to_contain_text("its file is gone")
    view.get_by_role("dialog").get_by_role("button", name="Remove these").click()
    expect(view.locator(".note.warn", has_text="could not be read")).to_have_count(0)


def test_a_document_shows_what_it_is_and_its_chunks(site: Site, page: Page) -> None:
    text = "# Harbour\n\nThe harbour of the town opens at dawn. Ships enter the harbour of the town with the tide.\n\n"
    text += "## Fees\n\nFees of the harbour are paid at the office. A pear is a fruit.\n\n" + "Quay and crane. " * 200
    made = tool(site, "add", text=text, title="Harbour rules", metadata={"author": "Ada"})
    view = opened(site, page, f"?document={made['document_id']}")
    head = view.locator(".doc-head")
    expect(head.locator(".kind")).to_have_text("MD")
    expect(head.locator(".state")).to_have_text(re.compile("Pending|Embedded"))
    for part in ("Harbour rules", "KB", "added", "rag://documents/"):
        expect(head).to_contain_text(part)
    view.get_by_role("tab", name="Overview").click()
    expect(view.locator(".summary")).to_contain_text("harbour")
    facts = view.locator(".facts")
    expect(facts.first).to_contain_text("English")
    expect(facts.first).to_contain_text("text/markdown")
    expect(facts.nth(1)).to_contain_text("Chunks")
    expect(facts.nth(2)).to_contain_text("Words")
    expect(view.get_by_role("button", name="Fees")).to_be_visible()
    picture(page, "overview")
    view.get_by_role("tab", name="Chunks").click()
    chunk = view.locator(".chunk").first
    expect(chunk.locator(".tag")).to_have_text(re.compile(r"^#\d+$"))
    expect(chunk).to_contain_text("author: Ada")
    expect(chunk.locator("small")).to_contain_text(str(2026))
    whole = chunk.locator("pre")
    expect(whole).to_be_hidden()
    chunk.locator("summary").click()
    expect(whole).to_be_visible()
    picture(page, "chunks")
    many = view.locator(".chunk").count()
    view.get_by_label("Search in the chunks").fill("pear is a")
    expect(view.locator(".chunk")).to_have_count(1)
    assert many > 1
    expect(view.get_by_role("button", name="Open in File Viewer")).to_be_disabled()
    with page.expect_download() as export:
        view.get_by_role("button", name="Export Document").click()
    assert "Quay and crane" in Path(export.value.path()).read_text("utf-8")
    view.get_by_role("button", name="Re-embed Document").click()
    expect(page.get_by_text("It is being embedded anew.")).to_be_visible()
    view.get_by_role("button", name="Remove from Index").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(view.get_by_text("Nothing indexed yet")).to_be_visible()


def test_the_home_page_shows_how_the_knowledge_base_is(site: Site, page: Page) -> None:
    stored(site, 2)
    tool(site, "search", query="zebra")
    tool(site, "list_queries")
    page.goto(site.url)
    card = page.get_by_role("region", name="Knowledge base")
    for part in (
        "Documents",
        "2",
        "Chunks",
        "% embedded",
        "Index",
        "kB",
        "Searches",
        "ms",
        "Model",
        "Rebuilt",
        "never",
    ):
        expect(card).to_contain_text(part)
    picture(page, "home")
    stored(site, 3)
    expect(card.locator("dd").first).to_have_text("3")


def test_a_file_of_a_document_opens_in_the_file_viewer(site: Site, page: Page) -> None:
    tool(site, "add_folder", path=str(site.folder))
    tool(site, "sync_folder", path=str(site.folder))
    view = opened(site, page)
    row(view, "notes.md").click()
    view.get_by_role("button", name="Open in File Viewer").click()
    expect(page.frame_locator("iframe").get_by_text("Call the bank about the lease.").first).to_be_visible()
    assert "/files?" in page.url


def test_a_query_is_tested_with_filter_and_answered_by_an_agent(site: Site, page: Page) -> None:
    stored(site, 12)
    tool(site, "add", text="The zebra policy.", title="Policy", metadata={"category": "policies"})
    view = opened(site, page)
    view.get_by_role("button", name="Test Query").click()
    dialog = view.get_by_role("dialog")
    dialog.get_by_label("Query").fill("zebra")
    slider = dialog.get_by_label("Top K").first
    assert (slider.get_attribute("min"), slider.get_attribute("max")) == ("1", "10")
    slider.fill("3")
    expect(dialog.get_by_label("Use Reranker")).not_to_be_checked()
    dialog.get_by_label("Include Agent Explanation").check()
    dialog.get_by_role("button", name="Search").click()
    expect(dialog.locator(".hit-card")).to_have_count(3)
    expect(dialog).to_contain_text(re.compile(r"3 hits, \w+, [\d.]+ ms"))
    expect(dialog.get_by_role("region", name="Answer of an agent")).to_contain_text("The lease ends on")
    name, given = site.world.calls[-1]
    assert (name, given["tools"], "The zebra" in given["prompt"]) == ("run_start", ["none"], True)
    picture(page, "answered")
    dialog.get_by_label("Display Embedding Similarity").uncheck()
    dialog.get_by_label("Include Agent Explanation").uncheck()
    dialog.get_by_label("Metadata filter").first.fill("category = 'policies'")
    dialog.get_by_role("button", name="Search").click()
    expect(dialog.locator(".hit-card")).to_have_count(1)
    expect(dialog.locator(".hit-card")).to_contain_text("Policy")
    expect(dialog).not_to_contain_text("lexical_rank")


def test_a_slow_request_does_not_undo_what_a_later_one_watches(
    site: Site, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    done: list[str] = []
    read = Request.json

    async def slow_at_first(request: Request) -> Any:
        if not request.url.path.startswith("/live/"):
            return await read(request)
        begun.append(request.url.path)
        if len(begun) == 1:
            await anyio.sleep(1)
        found = await read(request)
        done.append(request.url.path)
        return found

    monkeypatch.setattr(Request, "json", slow_at_first)
    stored(site, 1)
    view = opened(site, page)
    expect(row(view, "Minutes 0000")).to_be_visible()
    while len(done) < 2:  # that of the page, and that of the view in it
        page.wait_for_timeout(50)
    tool(site, "add", text="A new zebra.", title="Fresh zebra")
    expect(row(view, "Fresh zebra")).to_be_visible()


def test_searches_are_suggested_saved_and_tell_of_new_documents(site: Site, page: Page) -> None:
    stored(site, 1)
    tool(site, "search", query="zebra crossing")
    view = opened(site, page)
    view.get_by_label("Search passages").fill("zeb")
    expect(view.locator("#ideas option[value='zebra crossing']")).to_have_count(1)
    view.get_by_label("Search passages").fill("Minuts")  # codespell:ignore
    expect(view.locator("#ideas option[value='Minutes 0000']")).to_have_count(1)
    view.get_by_label("Search passages").fill("")
    view.get_by_role("button", name="Test Query").click()
    view.get_by_role("dialog").get_by_label("Query").fill("zebra")
    view.get_by_role("dialog").get_by_role("button", name="Save").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("Zebras")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_text("Zebras is saved.")).to_be_visible()
    view.get_by_role("dialog").get_by_role("button", name="Close").click()
    tool(site, "add", text="A new zebra.", title="Fresh zebra")
    expect(view.get_by_text("The saved search “Zebras” found 1 new document.")).to_be_visible()
    picture(page, "saved")
    view.get_by_role("button", name="Show", exact=True).click()
    expect(view.locator(".hit-card").first).to_be_visible()
    expect(view.get_by_text("found 1 new document")).to_have_count(0)
    view.get_by_role("button", name="Searches").click()
    expect(view.get_by_role("dialog")).to_contain_text("Zebras")
    expect(view.get_by_role("dialog")).to_contain_text("zebra crossing")
    picture(page, "searches")


def test_similar_documents_are_a_graph_to_walk_through(site: Site, page: Page) -> None:
    for title, text in (
        ("Tyres", "The car needs new tyres."),
        ("Wheels", "Tyres of an automobile wear out."),
        ("Roses", "Roses want water."),
    ):
        tool(site, "add", text=text, title=title, document_id=title.lower())
    view = opened(site, page, "?document=tyres")
    expect(view.locator(".stats-line")).to_contain_text("3 chunks embedded")
    view.get_by_role("tab", name="Relationships").click()
    node = view.locator(".graph .node", has_text="Wheels")
    expect(node).to_be_visible()
    expect(view.locator(".graph .node")).to_have_count(2)
    view.get_by_label("Least similarity").fill("0")
    expect(view.locator(".graph .node")).to_have_count(3)
    picture(page, "relations")
    node.focus()
    page.keyboard.press("Enter")
    expect(view.locator(".doc-head h2")).to_have_text("Wheels")
    expect(view.locator(".graph .center")).to_contain_text("Wheels")


def test_memories_are_seen_and_forgotten(site: Site, page: Page) -> None:
    view = opened(site, page)
    view.get_by_role("button", name="Memory").click()
    expect(view.get_by_role("dialog")).to_contain_text("Nothing is remembered.")


def test_the_page_is_accessible(site: Site, page: Page) -> None:
    [document, *_] = stored(site, 5)
    view = opened(site, page, f"?document={document}")
    view.get_by_role("tab", name="Chunks").click()
    expect(view.locator(".chunk")).to_be_visible()
    picture(page, "page")
    sound(page)
