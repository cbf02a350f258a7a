"""The file page in a real browser: any number of rows, previews, uploads, changes and their undo, by keyboard."""

from __future__ import annotations

import io
from typing import Any

import pypdfium2
import pytest
from axe_core_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import FrameLocator, Page, expect

from .conftest import Site

pytestmark = pytest.mark.browser


def opened(site: Site, page: Page, path: str) -> FrameLocator:
    page.goto(f"{site.url}/files?path={path}")
    view = page.frame_locator("iframe")
    expect(view.locator(":is([data-path], .doc-head, .empty):visible").first).to_be_visible()
    return view


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
    expect(view.get_by_role("button", name="notes.md")).to_be_focused()
    assert view.locator("[data-path]").count() < 100
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    expect(view.get_by_role("button", name="00001.csv")).to_be_focused()
    view.get_by_label("Sort by").select_option("size")
    view.get_by_role("button", name="Ascending").click()
    expect(view.locator("[data-path]").first).to_contain_text("lease.txt")
    view.get_by_text("Filters").click()
    view.get_by_label("Type").select_option("text")
    expect(view.get_by_text("3 entries")).to_be_visible()


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


def test_markdown_is_shown_as_it_is_meant_and_as_its_source(site: Site, page: Page) -> None:
    (site.folder / "m.md").write_text("# Title\n\n[go](javascript:alert(1)) ![p](http://x/y.png) <b>raw</b>\n", "utf-8")
    view = opened(site, page, "documents/m.md")
    expect(view.locator(".rendered h1")).to_have_text("Title")
    expect(view.locator(".rendered :is(a[href], img, b)")).to_have_count(0)
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
    view.get_by_label("Files to upload").set_input_files(files)
    expect(view.get_by_text("1 of 3 uploaded, 2 not")).to_be_visible()
    expect(view.locator(".upload", has_text="run.exe")).to_contain_text("which is not taken")
    expect(view.locator(".upload", has_text="copy.md")).to_contain_text("same content as documents/notes.md")
    assert (site.folder / "big.bin").read_bytes() == big
    view.get_by_role("button", name="Upload anyway").click()
    expect(view.locator("[data-path$='copy.md']")).to_be_visible()
    assert not (site.folder / "run.exe").exists()


def test_a_dropped_file_is_uploaded_and_taken_back(site: Site, page: Page) -> None:
    view = opened(site, page, "documents")
    view.locator(".pane").first.evaluate("""pane => {
        const data = new DataTransfer();
        data.items.add(new File(["dropped"], "dropped.txt"));
        pane.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    }""")
    expect(view.locator("[data-path$='dropped.txt']")).to_be_visible()
    view.get_by_role("button", name="Undo").click()
    expect(view.locator("[data-path$='dropped.txt']")).to_have_count(0)
    assert not (site.folder / "dropped.txt").exists()


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


@pytest.mark.parametrize("theme", ["light", "dark", "contrast"])
def test_every_kind_of_preview_passes_the_accessibility_rules(site: Site, page: Page, theme: str) -> None:
    put_picture(site)
    put_pages(site)
    (site.folder / "t.csv").write_text("a,b\n1,2\n", "utf-8")
    (site.folder / "c.py").write_text("def f():  # comment\n    return 'x', 1\n", "utf-8")
    page.context.add_cookies([{"name": "homeport_theme", "value": theme, "url": site.url}])
    found = {}
    for name in ("teal.png", "pages.pdf", "t.csv", "c.py", "notes.md"):
        view = opened(site, page, f"documents/{name}")
        expect(view.locator(":is(.canvas, table, .lines, .rendered):visible").first).to_be_visible()
        frame = page.frames[1]
        frame.evaluate(Axe().axe_script)
        broken = frame.evaluate(
            "async () => (await axe.run(document, {iframes: false})).violations.map(v => [v.id, v.nodes[0].html])"
        )
        if broken:
            found[name] = broken
    assert found == {}
