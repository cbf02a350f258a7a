"""Tasks and Executions in a real browser, over the whole product with a scripted model."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from .product import homeport, program

pytestmark = pytest.mark.browser
MODEL = [
    {"when": "roof", "replies": ["The roof is tight."]},
    {"when": "cellar", "replies": [{"calls": [{"name": "files__list", "arguments": {}}]}, "The cellar is dry."]},
]
RULES = "['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice']"


@pytest.fixture
def page(tmp_path: Path, browser: Browser) -> Generator[Page]:
    """A browser that is signed in to a product with a model."""
    (tmp_path / "script.json").write_text(json.dumps(MODEL), "utf-8")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "homeport.toml").write_text('[models]\ndefault = "ollama/qwen3:8b"\n', "utf-8")
    arguments = ["homeport_shared.testing.model", "--script", str(tmp_path / "script.json"), "--key", "good"]
    with program(arguments, {}, r'"ollama": "([^"]+)"') as model, homeport(tmp_path / "home", 0, model) as url:
        page = browser.new_page(viewport={"width": 1360, "height": 860})
        page.set_default_timeout(40_000)
        page.goto(url)
        yield page
        page.close()


def start(page: Page, prompt: str, *, priority: str = "Normal", tags: str = "") -> None:
    page.goto("/".join([*page.url.split("/")[:3], "tasks"]))
    page.get_by_role("button", name="New task").click()
    form = page.get_by_role("dialog", name="New task")
    form.get_by_label("What is to be done").fill(prompt)
    form.get_by_label("Priority").select_option(priority)
    form.get_by_label("Tags").fill(tags)
    form.get_by_role("button", name="Start").click()
    expect(page.locator("#task-detail .state")).to_have_text("completed", timeout=40_000)


def sound(page: Page) -> None:
    """No theme has an accessibility problem."""
    page.emulate_media(reduced_motion="reduce")  # a colour on its way to another one has no contrast
    for theme in ("light", "dark", "contrast"):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        found = Axe().run(page, options=f"{{runOnly: {{type: 'tag', values: {RULES}}}}}")
        assert [(one["id"], [node["html"][:90] for node in one["nodes"]]) for one in found["violations"]] == []


@pytest.mark.timeout(240)
def test_tasks_are_started_followed_repeated_found_and_deleted(page: Page) -> None:
    start(page, "Look at the roof", priority="High", tags="house")
    detail, table = page.locator("#task-detail"), page.locator("#task-list")
    expect(detail).to_contain_text("The roof is tight.")
    expect(detail).to_contain_text("High")
    expect(table.locator(".task-counts")).to_have_text("1 Completed")

    start(page, "Look at the cellar")
    detail.get_by_role("link", name="Progress").click()
    expect(detail.locator(".call-name")).to_have_text("files__list")
    detail.get_by_role("link", name="Log").click()
    expect(detail.locator(".task-log")).to_contain_text("files__list ok")
    detail.get_by_label("Search the log").fill("the answer")
    expect(detail.locator(".task-log li:visible")).to_have_count(1)
    with page.expect_download() as download:
        detail.get_by_role("link", name="Download").click()
    assert "the answer is complete" in download.value.path().read_text("utf-8")
    detail.get_by_role("link", name="Resources").click()
    expect(detail).to_contain_text("Prompt tokens")
    sound(page)

    detail.get_by_role("button", name="Retry").click()
    expect(table.locator("tbody tr")).to_have_count(3)
    expect(detail.get_by_role("link", name="Parent task")).to_be_visible()
    detail.get_by_role("button", name="Rename").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("Once more")
    page.get_by_role("dialog").get_by_role("button", name="Rename").click()
    expect(table.get_by_role("link", name="Once more")).to_be_visible()

    table.get_by_role("link", name="#house").click()
    expect(table.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Executions").click()
    page.get_by_label("Search titles and prompts").fill("cellar look")
    page.keyboard.press("Enter")
    expect(table.locator("tbody tr")).to_have_count(2)
    sound(page)
    table.get_by_label("Select all").check()
    table.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Nothing fits")).to_be_visible()
    page.get_by_role("link", name="Show all").click()
    expect(table.locator("tbody tr")).to_have_count(1)
