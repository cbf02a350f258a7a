"""Workflows in a real browser, over the whole product with a scripted model."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from .product import homeport, program

pytestmark = pytest.mark.browser
SUGGESTED = {
    "format": "homeport.workflow/1",
    "name": "x",
    "start": "list",
    "variables": {"folder": {"type": "text", "default": "workspace"}},
    "nodes": {
        "list": {"kind": "tool", "tool": "files__list", "arguments": {"path": "{{ folder }}"}, "next": "each"},
        "each": {"kind": "loop", "over": "{{ list.entries }}", "body": "ask", "next": "sure"},
        "ask": {"kind": "agent", "prompt": "Describe {{ item.path }}"},
        "sure": {"kind": "approval", "question": "Finish?", "next": "end"},
        "end": {"kind": "end", "result": "{{ each.count }} files."},
    },
}
MODEL = [
    {"when": "list my files", "replies": [f"Here it is: {json.dumps(SUGGESTED)}"]},
    {"when": "Describe", "replies": ["A file."]},
]
RULES = "['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice']"


@pytest.fixture
def page(tmp_path: Path, browser: Browser) -> Generator[Page]:
    """A browser that is signed in to a product with a model and two files."""
    (tmp_path / "script.json").write_text(json.dumps(MODEL), "utf-8")
    (tmp_path / "home" / "workspace").mkdir(parents=True)
    for name in ("roof.txt", "shed.txt"):
        (tmp_path / "home" / "workspace" / name).write_text("tight", "utf-8")
    (tmp_path / "home" / "homeport.toml").write_text('[models]\ndefault = "ollama/qwen3:8b"\n', "utf-8")
    arguments = ["homeport_shared.testing.model", "--script", str(tmp_path / "script.json"), "--key", "good"]
    with program(arguments, {}, r'"ollama": "([^"]+)"') as model, homeport(tmp_path / "home", 0, model) as url:
        page = browser.new_page(viewport={"width": 1360, "height": 900})
        page.set_default_timeout(40_000)
        page.goto(url)
        yield page
        page.close()


def at(page: Page, path: str) -> str:
    return "/".join([*page.url.split("/")[:3], path])


def sound(page: Page) -> None:
    """No theme has an accessibility problem."""
    page.emulate_media(reduced_motion="reduce")
    for theme in ("light", "dark", "contrast"):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        found = Axe().run(page, options=f"{{runOnly: {{type: 'tag', values: {RULES}}}}}")
        assert [(one["id"], [node["html"][:90] for node in one["nodes"]]) for one in found["violations"]] == []


@pytest.mark.timeout(240)
def test_a_workflow_is_suggested_tried_run_followed_changed_and_rolled_back(page: Page) -> None:
    page.goto(at(page, "workflows"))
    expect(page.get_by_text("No workflows yet")).to_be_visible()
    sound(page)
    page.get_by_role("button", name="New workflow").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Name").fill("Files")
    form.get_by_label("What should happen").fill("list my files and describe each")
    form.get_by_role("button", name="Create draft").click()
    detail = page.locator("#workflow-detail")
    expect(detail.get_by_role("heading", name="Files")).to_be_visible()
    expect(detail.locator(".workflow-nodes > li")).to_have_count(5)
    expect(detail.locator('[data-kind="agent"]')).to_have_attribute("data-depth", "1")
    sound(page)

    detail.get_by_role("button", name="Dry run").click()
    page.get_by_role("dialog").get_by_role("button", name="Start").click()
    run = page.locator("#workflow-run")
    expect(run.locator("header .state")).to_have_text("completed")
    expect(run.locator('[data-kind="agent"] .state')).to_have_text("shown")

    page.go_back()
    detail.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Start").click()
    expect(run.locator("header .state")).to_have_text("waiting")  # the page follows the run by itself
    run.get_by_role("link", name="Open approvals").click()
    page.get_by_role("button", name="Approve").click()
    page.go_back()
    expect(run.locator("header .state")).to_have_text("completed")
    expect(run.locator(".workflow-result")).to_contain_text("2 files.")
    run.get_by_role("link", name="Data of each[1]/ask").click()
    expect(run.locator(".workflow-step")).to_contain_text("A file.")
    sound(page)

    run_page = page.url
    page.goto(at(page, "workflows"))
    expect(page.locator(".workflow-counts")).to_have_text("0 Active / 1 Draft / 0 Scheduled")
    page.get_by_role("link", name="Files", exact=True).last.click()
    page.wait_for_load_state()
    detail.get_by_role("button", name="Activate").click()
    expect(detail.get_by_text("Active", exact=True)).to_be_visible()
    detail.get_by_role("link", name="JSON").click()
    text = detail.get_by_label("The whole workflow as JSON")
    text.fill(text.input_value().replace("files__list", "files__lost"))
    detail.get_by_role("button", name="Check").click()
    expect(detail.locator(".workflow-checked")).to_contain_text("There is no tool 'files__lost'")
    detail.get_by_role("button", name="Save version 2").click()
    expect(detail.get_by_role("button", name="Run", exact=True)).to_be_disabled()
    expect(detail.locator(".workflow-problem")).to_contain_text("files__lost")
    detail.get_by_role("link", name="Versions").click()
    detail.get_by_role("link", name="Compare").click()
    expect(detail.locator(".workflow-changes")).to_contain_text("nodes.list.tool")
    sound(page)
    detail.get_by_role("button", name="Make 1 current").click()
    expect(detail.locator(".workflow-runs li")).to_have_count(3)
    detail.get_by_role("link", name="Steps").click()
    expect(detail.get_by_role("button", name="Run", exact=True)).to_be_enabled()
    detail.get_by_role("link", name="Runs").click()
    expect(detail.locator(".workflow-runs").first.locator("li")).to_have_count(2)

    page.goto(run_page.replace("workflow-runs", "tasks").split("?")[0])
    expect(page.get_by_role("link", name="Open steps")).to_be_visible()
    page.goto(at(page, "workflows"))
    page.get_by_role("button", name="Use Daily digest").click()
    expect(detail.get_by_role("heading", name="Daily digest")).to_be_visible()
    detail.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator(".workflow-rows tbody tr")).to_have_count(1)
