"""The file page in a real browser: any number of rows, previews, uploads, changes and their undo, by keyboard."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from PIL import Image
from playwright.sync_api import FrameLocator, Page, expect

from homeport_files import knowledge

from .accessibility import sound
from .conftest import Site
from .product import drag

pytestmark = pytest.mark.browser


def opened(site: Site, page: Page, path: str) -> FrameLocator:
    page.goto(f"{site.url}/files?path={path}")
    view = page.frame_locator("iframe")
    expect(view.locator(":is([data-path], .doc-head, .empty):visible").first).to_be_visible()
    return view


def tag(site: Site, paths: list[str], name: str) -> None:
    called(site, "tag", paths=paths, add=[name])


def allow(site: Site) -> None:
    """Let the knowledge base read the folder, as a person would have."""

    async def call() -> None:
        await site.world.upstreams["rag"].call_tool("add_folder", {"path": str(site.folder)})

    site.run(call)


def read(site: Site, path: str) -> None:
    called(site, "read", path=path)


def called(site: Site, tool: str, **arguments: Any) -> None:
    async def call() -> None:
        result = await site.world.upstreams["files"].call_tool(tool, arguments, meta={"io.homeport/agent": "librarian"})
        assert not result.is_error, result.content

    site.run(call)


def put_picture(site: Site) -> None:
    Image.new("RGB", (640, 320), "teal").save(site.folder / "teal.png")


def put_pages(site: Site) -> None:
    document = pypdfium2.PdfDocument.new()
    for _ in range(3):
        document.new_page(300, 400)
    out = io.BytesIO()
    document.save(out)
    (site.folder / "pages.pdf").write_bytes(out.getvalue())


def test_ten_thousand_files_are_scrolled_sorted_and_filtered_with_few_elements(site: Site, page: Page) -> None:
    for number in range(10_000):
        (site.folder / f"{number:05}.csv").write_text("x" * (number % 7), "utf-8")
    view = opened(site, page, "documents")
    expect(view.get_by_text("10,003 entries")).to_be_visible()
    view.locator("[data-path]").first.focus()
    page.keyboard.press("End")
    expect(view.get_by_role("button", name="notes.md").first).to_be_focused()
    assert view.locator("[data-path]").count() < 100
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    expect(view.locator("[data-path='documents/00001.csv']")).to_be_focused()
    view.get_by_label("Sort by").select_option("size")
    view.get_by_role("button", name="Ascending").click()
    expect(view.locator("[data-path]").first).to_contain_text("lease.txt")
    view.get_by_label("Type").select_option("text")
    expect(view.get_by_text("3 entries")).to_be_visible()


def test_filters_of_type_tag_days_and_size_hold_together(site: Site, page: Page) -> None:
    for name, data in (("a.csv", b"x" * 3000), ("b.csv", b"x"), ("c.pdf", b"%PDF-"), ("d.docx", b"PK")):
        (site.folder / name).write_bytes(data)
    put_picture(site)
    os.utime(site.folder / "b.csv", (1e9, 1e9))
    tag(site, ["documents/a.csv", "documents/b.csv", "documents/c.pdf"], "reports")
    view = opened(site, page, "documents")

    def shown(*names: str) -> None:
        expect(view.locator(".rows [data-path]")).to_have_count(len(names))
        for name in names:
            expect(view.locator(f".rows [data-path={json.dumps(f'documents/{name}')}]")).to_be_visible()

    for value, names in {
        "pdf": ["c.pdf"],
        "docx": ["d.docx"],
        "img": ["teal.png"],
        "txt": ["lease.txt", "<img src=x onerror=alert(1)>.txt"],
        "csv": ["a.csv", "b.csv"],
    }.items():
        view.get_by_label("Type").select_option(value)
        shown(*names)
    view.get_by_label("Type").select_option("")
    view.get_by_label("Tag", exact=True).select_option("reports")
    shown("a.csv", "b.csv", "c.pdf")
    view.get_by_label("From MB").fill("0.001")
    view.get_by_label("From MB").press("Tab")
    shown("a.csv")
    view.get_by_label("From MB").fill("")
    view.get_by_label("Until").fill("2001-09-09")
    view.get_by_label("Until").press("Tab")
    shown("b.csv")
    view.get_by_role("button", name="Clear filters").click()
    expect(view.locator(".rows [data-path]")).to_have_count(8)


def test_the_list_has_its_columns_and_each_row_its_actions(site: Site, page: Page) -> None:
    tag(site, ["documents/notes.md"], "reports")
    read(site, "documents/notes.md")
    view = opened(site, page, "documents")
    head = ["Name", "Type", "Size", "Modified", "Vectorized", "Tags", "Accessed by"]
    expect(view.locator(".pane > .columns span").filter(has_text="Accessed by")).to_be_visible()
    assert [text for text in view.locator(".pane > .columns span").all_inner_texts() if text] == head
    row = view.locator("li", has=view.locator("[data-path='documents/notes.md']"))
    for text in ("MD", "40 B", "No", "reports", "librarian"):
        expect(row).to_contain_text(text)
    row.get_by_role("button", name="Actions").click()
    choices = view.get_by_role("menu").get_by_role("menuitem")
    assert choices.all_inner_texts() == ["Preview", "Vectorize", "Tag/Categorize", "Download", "Delete"]
    view.get_by_role("menuitem", name="Preview").click()
    expect(view.locator(".doc-head")).to_contain_text("notes.md")
    view.get_by_role("button", name="Close file").click()
    row.get_by_role("button", name="Actions").click()
    view.get_by_role("menuitem", name="Tag/Categorize").click()
    view.get_by_label("Add tags").fill("contracts")
    view.get_by_label("Category").fill("Legal")
    view.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("legal:")
    expect(row).to_contain_text("contracts")
    row.get_by_role("button", name="Actions").click()
    with page.expect_download() as started:
        view.get_by_role("menuitem", name="Download").click()
    assert started.value.suggested_filename == "notes.md"
    assert started.value.path().read_bytes() == (site.folder / "notes.md").read_bytes()
    view.get_by_label("Select notes.md").check()
    view.get_by_label("Select lease.txt").check()
    with page.expect_download() as started:
        view.get_by_role("button", name="Download selected").click()
    assert sorted(zipfile.ZipFile(started.value.path()).namelist()) == ["lease.txt", "notes.md"]
    view.get_by_label("Select lease.txt").uncheck()
    row.get_by_role("button", name="Actions").click()
    view.get_by_role("menuitem", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
    assert not (site.folder / "notes.md").exists()


def test_the_tree_shows_totals_and_offers_four_things_to_do(
    site: Site, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knowledge, "TRIES", 2)  # nobody waits for a knowledge base that does not come
    (site.folder / "reports" / "2026").mkdir(parents=True)
    (site.folder / "reports" / "2026" / "a.txt").write_text("12345", "utf-8")
    (site.folder / "letters").mkdir()
    view = opened(site, page, "documents")
    reports = view.locator("[data-folder='documents/reports']")
    expect(reports).to_contain_text(re.compile(r"1 file · 5 B · \d"))
    expect(reports).to_have_attribute("aria-expanded", "false")
    reports.focus()
    page.keyboard.press("ArrowRight")
    deep = view.locator("[data-folder='documents/reports/2026']")
    expect(deep).to_be_visible()
    deep.locator(".branch").click(button="right")
    choices = view.get_by_role("menu").locator("button")
    assert choices.all_inner_texts() == ["New Folder", "Rename", "Delete", "Mark for Indexing"]
    choices.filter(has_text="Rename").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("2027")
    page.keyboard.press("Enter")
    moved = view.locator("[data-folder='documents/reports/2027']")
    expect(moved).to_be_visible()
    drag(moved, view.locator("[data-folder='documents/letters'] .branch"))
    expect(view.get_by_text("2027 moved to documents/letters.")).to_be_visible()
    assert (site.folder / "letters" / "2027" / "a.txt").is_file()
    drag(view.locator("[data-path='documents/lease.txt']"), reports.locator(".branch").first)
    expect(view.get_by_text("lease.txt moved to documents/reports.")).to_be_visible()
    reports.focus()
    page.keyboard.press("ContextMenu")
    view.get_by_role("menuitem", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(reports).to_have_count(0)
    assert not (site.folder / "reports").exists()
    letters = view.locator("[data-folder='documents/letters']")
    letters.locator(".branch").first.click(button="right")
    view.get_by_role("menuitem", name="New Folder").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("2028")
    page.keyboard.press("Enter")
    expect(view.get_by_text("2028 was made.")).to_be_visible()
    assert (site.folder / "letters" / "2028").is_dir()
    letters.locator(".branch").first.click(button="right")
    view.get_by_role("menuitemcheckbox", name="Mark for Indexing").click()
    expect(letters.locator(".tag").first).to_have_text("0 indexed, stopped")
    expect(letters.locator(".tag").first).to_have_attribute("title", re.compile("No folder may be read yet"))
    allow(site)
    called(site, "index_folder", path="documents/letters")
    (site.folder / "letters" / "b.txt").write_text("a letter", "utf-8")
    expect(letters.locator(".tag").first).to_have_text("2 indexed")


def test_the_grid_shows_pictures_in_a_chosen_size_and_is_remembered(site: Site, page: Page) -> None:
    put_picture(site)
    view = opened(site, page, "documents")
    view.get_by_role("button", name="Grid", exact=True).click()
    card = view.locator("[data-path='documents/teal.png']")
    expect(card.locator("img")).to_be_visible()
    expect(view.locator("[data-path='documents/notes.md']")).to_contain_text("MD")
    card.hover()
    expect(view.locator(".hover img")).to_be_visible()
    before = card.bounding_box()
    view.get_by_label("Grid size").fill("240")
    expect(view.locator(".virtual").first).to_have_css("height", "304px")
    after = card.bounding_box()
    assert before and after and after["width"] > before["width"]
    view = opened(site, page, "documents")
    expect(view.locator("[data-path='documents/teal.png'] img")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 800})
    expect(view.locator(".left summary")).to_be_visible()
    assert view.locator("body").evaluate("body => body.scrollWidth <= innerWidth")


def test_locations_are_shown_added_and_refused_and_storage_stands_in_the_header(
    site: Site, page: Page, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "there.txt").write_text("there", "utf-8")
    view = opened(site, page, "documents")
    expect(view.get_by_role("status", name="Storage")).to_contain_text(
        re.compile(r"[\d.]+ GB used / [\d.]+ GB available \(\d+ %\)")
    )
    offered = view.locator("header .does button").all_inner_texts()
    five = {"Upload Files", "Vectorize", "Sync Folder", "Clean Temp Files", "Manage Locations"}
    assert five <= set(offered)
    expect(view.get_by_text("Space runs short.")).to_have_count(0)
    (site.folder.parent / "home" / "homeport.toml").write_text("[files]\nlow_space_gb = 1e9\n")
    (site.folder / "one-more.txt").write_text("a change, after which the header is drawn anew")
    expect(view.get_by_text("Space runs short.")).to_be_visible()
    view.get_by_role("button", name="Manage Locations").click()
    box = view.get_by_role("dialog")
    expect(box).to_contain_text(str(site.folder.resolve()))
    box.get_by_label("Path of the folder").fill(str(tmp_path / "none"))
    box.get_by_role("button", name="Add folder").click()
    expect(box.get_by_role("alert")).to_contain_text("There is no folder")
    box.get_by_label("Path of the folder").fill(str(other))
    box.get_by_role("button", name="Add folder").click()
    expect(box.locator("li", has_text=str(other))).to_be_visible()
    box.locator("li", has_text=str(other)).get_by_role("button", name="Open").click()
    expect(view.locator("[data-path='other/there.txt']")).to_be_visible()
    expect(view.get_by_role("navigation", name="Folder path")).to_contain_text("other")
    page.goto(f"{site.url}/files?path=../outside")
    expect(page.get_by_text("is not inside the folders").first).to_be_visible()


def test_disk_and_page_follow_each_other_and_sync_and_cleanup_report(site: Site, page: Page) -> None:
    view = opened(site, page, "documents")
    (site.folder / "from-disk").mkdir()
    (site.folder / "from-disk" / "new.txt").write_text("new", "utf-8")
    expect(view.locator("[data-path='documents/from-disk']")).to_be_visible()
    (site.folder / "notes.md").rename(site.folder / "renamed.md")
    expect(view.locator("[data-path='documents/renamed.md']")).to_be_visible()
    expect(view.locator("[data-path='documents/notes.md']")).to_have_count(0)
    (site.folder / "from-disk" / "new.txt").unlink()
    (site.folder / "from-disk").rmdir()
    expect(view.locator("[data-path='documents/from-disk']")).to_have_count(0)
    view.get_by_role("button", name="Sync Folder").click()
    expect(view.get_by_text("0 conflicts")).to_be_visible()
    (site.folder / "old.tmp").write_text("old", "utf-8")
    os.utime(site.folder / "old.tmp", (1e9, 1e9))
    view.get_by_role("button", name="Clean Temp Files").click()
    box = view.get_by_role("dialog")
    expect(box).to_contain_text("documents/old.tmp")
    box.get_by_role("button", name="Remove the selected files").click()
    assert (site.folder / "old.tmp").exists(), "removed before it was confirmed"
    box.get_by_role("button", name="Really remove 1 files?").click()
    expect(box.get_by_role("status").first).to_contain_text("1 files removed, 3 B freed, 0 errors")
    assert not (site.folder / "old.tmp").exists()
    box.get_by_role("button", name="Close", exact=True).click()
    view.get_by_role("button", name="Clean Temp Files").click()
    box.get_by_label("Days").fill("0")
    expect(box).to_contain_text("1 of them, 3 B, are older than 0 days")
    box.get_by_role("button", name="Remove these versions").click()
    expect(box).to_contain_text("No earlier contents are kept.")
    box.get_by_role("button", name="Close", exact=True).click()
    called(site, "write", path="documents/lease.txt", content="ours", overwrite=True)
    (site.folder / "lease.txt").write_text("theirs", "utf-8")
    view.get_by_role("button", name="Sync Folder").click()
    expect(box).to_contain_text("documents/lease.txt")
    box.get_by_role("button", name="Keep both").click()
    expect(box).to_contain_text("No conflicts.")
    assert (site.folder / "lease.txt").read_text("utf-8") == "theirs"
    assert (site.folder / "lease (Homeport).txt").read_text("utf-8") == "ours"


def test_files_are_vectorized_with_progress_and_found_by_meaning(site: Site, page: Page) -> None:
    allow(site)
    view = opened(site, page, "documents")
    view.get_by_label("Select lease.txt").check()
    view.get_by_label("Select notes.md").check()
    view.get_by_role("button", name="Vectorize selected").click()
    expect(view.get_by_text("2 vectorized")).to_be_visible(timeout=60_000)
    row = view.locator("li", has=view.locator("[data-path='documents/notes.md']"))
    expect(row).to_contain_text("Yes")
    page.goto(f"{site.url}/knowledge")
    expect(page.frame_locator("iframe").get_by_role("button", name="lease").first).to_be_visible()
    view = opened(site, page, "documents")
    view.get_by_label("Search in").select_option("meaning")
    view.get_by_label("Search files").fill("rent clause")
    expect(view.locator("[data-path='documents/lease.txt']").first).to_be_visible()


def test_a_picture_is_shown_and_made_larger(site: Site, page: Page) -> None:
    put_picture(site)
    view = opened(site, page, "documents/teal.png")
    image = view.get_by_role("img", name="Picture, 640 by 320 pixels")
    expect(image).to_be_visible()
    before = image.bounding_box()
    view.get_by_role("button", name="Larger").click()
    after = image.bounding_box()
    assert before
    assert after
    assert after["width"] > before["width"]
    for _ in range(3):
        view.get_by_role("button", name="Larger").click()
    canvas = view.get_by_role("group", name="Picture")
    box = canvas.bounding_box()
    assert box
    page.mouse.move(box["x"] + 200, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 50, box["y"] + 60, steps=4)
    page.mouse.up()
    assert canvas.evaluate("box => [box.scrollLeft, box.scrollTop]") == [150, 40]
    with page.expect_download() as started:
        view.get_by_role("button", name="Download").click()
    assert started.value.path().read_bytes() == (site.folder / "teal.png").read_bytes()


def test_pages_of_a_pdf_are_turned_by_keyboard(site: Site, page: Page) -> None:
    put_pages(site)
    view = opened(site, page, "documents/pages.pdf")
    view.get_by_role("group", name="Page").focus()
    page.keyboard.press("ArrowRight")
    expect(view.get_by_role("img", name="Page 2 of 3")).to_be_visible()
    view.get_by_role("button", name="Text").click()
    expect(view.get_by_text("no text layer")).to_be_visible()


def test_a_table_is_paged_sorted_and_filtered(site: Site, page: Page) -> None:
    lines = ["name,price", *(f"item {number},{number}" for number in range(250))]
    (site.folder / "prices.csv").write_text("\n".join(lines), "utf-8")
    view = opened(site, page, "documents/prices.csv")
    expect(view.get_by_text("1–100 of 250")).to_be_visible()
    view.get_by_role("button", name="Next rows").click()
    expect(view.get_by_text("101–200 of 250")).to_be_visible()
    view.get_by_role("button", name="price", exact=True).click()
    view.get_by_role("button", name="price", exact=True).click()
    expect(view.locator("tbody tr").first).to_contain_text("item 249")
    view.get_by_label("Filter price").fill(">245")
    expect(view.locator("tbody tr")).to_have_count(4)


def test_code_is_coloured_and_other_files_show_their_bytes(site: Site, page: Page) -> None:
    (site.folder / "a.py").write_text('def f():\n    """Two\n    lines."""\n    return "<b>"\n', "utf-8")
    (site.folder / "a.bin").write_bytes(b"\x7fELF\0\0\0\0" + bytes(100))
    view = opened(site, page, "documents/a.py")
    expect(view.locator(".hljs-keyword").first).to_have_text("def")
    expect(view.locator(".line")).to_have_count(4)
    expect(view.locator(".line").last).to_contain_text('"<b>"')
    view = opened(site, page, "documents/a.bin")
    expect(view.locator(".hex")).to_contain_text(".ELF")


def test_names_show_what_they_hide_and_a_file_without_a_preview_can_still_be_handled(site: Site, page: Page) -> None:
    """A mark turns the direction of what follows it, so that an .exe would look like a .txt."""
    (site.folder / "bill\u202etxt.exe").write_text("no bill")
    (site.folder / "torn.pdf").write_bytes(b"%PDF-1.4 torn")
    view = opened(site, page, "documents")
    expect(view.locator(".title", has_text=r"bill\u202etxt.exe")).to_be_visible()
    view.get_by_text(r"bill\u202etxt.exe").click()
    expect(view.get_by_role("heading", name=r"bill\u202etxt.exe")).to_be_visible()
    view.locator('[data-path="documents/torn.pdf"]').first.click()
    expect(view.get_by_text("torn.pdf is damaged")).to_be_visible()
    count, looks = view.locator(".order p").bounding_box(), view.get_by_role("button", name="List").bounding_box()
    assert count and looks
    assert count["x"] + count["width"] <= looks["x"] or count["y"] + count["height"] <= looks["y"], "not on each other"
    view.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(view.get_by_text("1 of 1 deleted")).to_be_visible()
    assert not (site.folder / "torn.pdf").exists()


def test_markdown_is_shown_as_it_is_meant_and_as_its_source(site: Site, page: Page) -> None:
    tasks = "- [x] sown\n- [ ] reaped\n\n3. three\n"
    (site.folder / "m.md").write_text(
        f"# Title\n\n{tasks}\n[go](javascript:alert(1)) ![p](http://x/y.png) <b>raw</b>\n", "utf-8"
    )
    view = opened(site, page, "documents/m.md")
    expect(view.locator(".rendered h1")).to_have_text("Title")
    expect(view.locator(".rendered :is(a[href], img, b)")).to_have_count(0)
    expect(view.get_by_role("listitem").filter(has_text="sown").get_by_role("checkbox", name="Done")).to_be_checked()
    expect(view.get_by_role("checkbox", name="To do")).not_to_be_checked()
    expect(view.locator(".rendered ol")).to_have_attribute("start", "3")
    view.get_by_role("button", name="Source").click()
    expect(view.locator(".lines")).to_contain_text("[go](javascript:alert(1))")


def test_files_are_uploaded_with_a_reason_for_each_that_is_not(site: Site, page: Page) -> None:
    view = opened(site, page, "documents")
    big = b"0123456789" * 120_000
    same = (site.folder / "notes.md").read_bytes()
    files: list[Any] = [
        {"name": "big.bin", "mimeType": "application/octet-stream", "buffer": big},
        {"name": "copy.md", "mimeType": "text/markdown", "buffer": same},
        {"name": "run.exe", "mimeType": "application/octet-stream", "buffer": b"MZ"},
    ]
    view.get_by_role("button", name="Upload Files").click()
    expect(view.get_by_label("Vectorize after the upload")).to_be_checked()
    expect(view.get_by_label("Overwrite existing files")).not_to_be_checked()
    view.get_by_label("Vectorize after the upload").uncheck()
    view.get_by_label("Files to upload").set_input_files(files)
    view.get_by_label("Destination folder").fill("documents/inbox")
    view.get_by_label("Category").fill("contracts")
    view.get_by_label("Tags", exact=True).fill("reports, 2026")
    view.get_by_role("dialog").get_by_role("button", name="Upload", exact=True).click()
    expect(view.get_by_text("1 of 3 uploaded, 2 not")).to_be_visible()
    expect(view.locator(".upload", has_text="run.exe")).to_contain_text("which is not taken")
    expect(view.locator(".upload", has_text="copy.md")).to_contain_text("same content as documents/notes.md")
    assert (site.folder / "inbox" / "big.bin").read_bytes() == big
    view.get_by_role("button", name="Upload anyway").click()
    expect(view.get_by_text("2 of 3 uploaded, 1 not")).to_be_visible()
    view.get_by_role("button", name="Close", exact=True).click()
    view.locator("[data-path='documents/inbox']").click()
    row = view.locator("li", has=view.locator("[data-path$='copy.md']"))
    expect(row).to_contain_text("contracts:")
    expect(row).to_contain_text("reports")
    assert not (site.folder / "inbox" / "run.exe").exists()


def test_a_dropped_file_is_uploaded_and_taken_back(site: Site, page: Page) -> None:
    view = opened(site, page, "documents")
    view.get_by_role("region", name="Folder").evaluate("""pane => {
        const data = new DataTransfer();
        data.items.add(new File(["dropped"], "dropped.txt"));
        pane.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    }""")
    view.get_by_label("Vectorize after the upload").uncheck()
    view.get_by_label("Overwrite existing files").check()
    view.get_by_role("dialog").locator(".drop").evaluate("""zone => {
        const data = new DataTransfer();
        data.items.add(new File(["new notes"], "notes.md"));
        zone.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    }""")
    view.get_by_role("dialog").get_by_role("button", name="Upload", exact=True).click()
    expect(view.get_by_text("2 of 2 uploaded")).to_be_visible()
    assert (site.folder / "notes.md").read_text("utf-8") == "new notes"
    expect(view.locator("[data-path$='dropped.txt']")).to_be_visible()
    view.get_by_role("button", name="Close", exact=True).click()
    view.get_by_role("button", name="Undo").click()
    expect(view.get_by_text("Taken back.")).to_be_visible()
    expect(view.locator("[data-path$='dropped.txt']")).to_have_count(0)
    assert not (site.folder / "dropped.txt").exists()
    assert (site.folder / "notes.md").read_text("utf-8").startswith("# Notes")


def test_a_folder_is_made_and_a_file_renamed_and_taken_back_by_keyboard(site: Site, page: Page) -> None:
    view = opened(site, page, "documents")
    view.get_by_role("button", name="New folder").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_role("textbox")).to_be_focused()
    page.keyboard.type("letters")
    page.keyboard.press("Enter")
    expect(view.locator("[data-path$='letters']")).to_be_visible()
    view.locator("[data-path$='lease.txt']").focus()
    page.keyboard.press("F2")
    expect(page.get_by_role("dialog").get_by_role("textbox")).to_be_focused()
    page.keyboard.type("rent.txt")
    page.keyboard.press("Enter")
    expect(view.locator("[data-path$='rent.txt']")).to_be_visible()
    view.locator("[data-path$='rent.txt']").focus()
    page.keyboard.press("Control+z")
    expect(view.locator("[data-path$='lease.txt']")).to_be_visible()
    assert not (site.folder / "rent.txt").exists()


def test_selected_files_are_moved_deleted_and_taken_back(site: Site, page: Page) -> None:
    view = opened(site, page, "documents")
    view.get_by_label("Select lease.txt").check()
    view.get_by_label("Select notes.md").check()
    view.get_by_role("button", name="Move selected").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("documents/old")
    page.get_by_role("dialog").get_by_role("button", name="Move").click()
    expect(view.locator("[data-path$='/old']")).to_be_visible()
    assert {path.name for path in (site.folder / "old").iterdir()} == {"lease.txt", "notes.md"}
    view.get_by_label("Select old").check()
    view.get_by_role("button", name="Delete selected").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(view.locator("[data-path$='/old']")).to_have_count(0)
    view.get_by_role("button", name="Undo").click()
    expect(view.locator("[data-path$='/old']")).to_be_visible()
    assert (site.folder / "old" / "notes.md").is_file()


def test_what_a_bulk_operation_could_not_do_is_said_file_by_file(site: Site, page: Page) -> None:
    view = opened(site, page, "documents")
    view.get_by_label("Select lease.txt").check()
    view.get_by_label("Select notes.md").check()
    (site.folder / "lease.txt").unlink()
    view.get_by_role("button", name="Tag selected").click()
    view.get_by_label("Add tags").fill("reports")
    view.get_by_role("button", name="Save").click()
    expect(page.locator(".toast").last).to_contain_text("documents/lease.txt")
    expect(view.locator("li", has=view.locator("[data-path$='notes.md']"))).to_contain_text("reports")
    (site.folder / "lease.txt").write_text("here again", "utf-8")
    view.get_by_label("Select lease.txt").check()
    view.get_by_label("Select notes.md").check()
    (site.folder / "lease.txt").unlink()
    view.get_by_role("button", name="Delete selected").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(view.get_by_text("1 of 2 deleted.")).to_be_visible()
    expect(page.locator(".toast").last).to_contain_text("documents/lease.txt")


def test_the_search_bar_finds_names_contents_and_tags_within_the_filters(site: Site, page: Page) -> None:
    (site.folder / "lease.csv").write_text("clause,bank\n", "utf-8")
    tag(site, ["documents/notes.md"], "reports")
    view = opened(site, page, "documents")

    def found(mode: str, query: str, *names: str) -> None:
        view.get_by_label("Search in").select_option(mode)
        view.get_by_label("Search files").fill(query)
        expect(view.locator(".list [data-path]")).to_have_count(len(names))
        shown = {row.get_attribute("data-path") for row in view.locator(".list [data-path]").all()}
        assert shown == {f"documents/{name}" for name in names}

    found("name", "lease", "lease.csv", "lease.txt")
    found("tag", "report", "notes.md")
    found("content", "Bank", "lease.csv", "notes.md")
    view.get_by_label("Type").select_option("csv")
    expect(view.locator(".list [data-path]")).to_have_count(1)
    view.locator(".list [data-path]").click()
    expect(view.locator(".hit")).to_contain_text("clause,bank")


def test_an_agent_summarises_a_file_answers_about_it_and_lists_its_entities(site: Site, page: Page) -> None:
    site.world.answer = "The rent is *due* monthly."
    view = opened(site, page, "documents/lease.txt")
    view.get_by_text("Ask an agent").click()
    view.get_by_role("button", name="Summarize Document").click()
    expect(view.locator(".questions .note")).to_have_text("The rent is due monthly.")
    site.world.answer = "On the first."
    view.get_by_label("Ask about this file").fill("When is it due?")
    view.get_by_role("button", name="Ask", exact=True).click()
    expect(view.locator(".questions .note").nth(1)).to_contain_text("On the first.")
    site.world.answer = "Names: none."
    view.get_by_role("button", name="Extract Entities").click()
    expect(view.locator(".questions .note").nth(2)).to_have_text("Names: none.")
    asked = [given for name, given in site.world.calls if name == "run_start"]
    assert [given["tools"] for given in asked] == [["files__read"]] * 3
    assert all("documents/lease.txt" in given["prompt"] for given in asked)
    assert "When is it due?" in asked[1]["prompt"]


def test_a_file_is_attached_to_a_chat_which_then_opens(site: Site, page: Page) -> None:
    view = opened(site, page, "documents/notes.md")
    view.get_by_role("button", name="Attach to chat").click()
    view.get_by_role("dialog").get_by_role("button", name="Attach", exact=True).click()
    page.wait_for_url("**/chat/*")
    assert ("chat_attach", "notes.md") in [(name, given.get("name")) for name, given in site.world.calls]


def test_the_page_and_every_kind_of_preview_pass_the_accessibility_rules(site: Site, page: Page) -> None:
    put_picture(site)
    put_pages(site)
    (site.folder / "t.csv").write_text("a,b\n1,2\n", "utf-8")
    (site.folder / "c.py").write_text("def f():  # comment\n    return 'x', 1\n", "utf-8")
    for name in ("", "teal.png", "pages.pdf", "t.csv", "c.py", "notes.md"):
        view = opened(site, page, f"documents/{name}".rstrip("/"))
        expect(view.locator("[data-folder='documents']")).to_be_visible()
        shown = ":is(.canvas, table, .lines, .rendered)" if name else ".rows [data-path]"
        expect(view.locator(f"{shown}:visible").first).to_be_visible()
        sound(page)
