"""Events, subscriptions and notifications in a real browser, over the whole product with a scripted model."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.patience import PATIENCE

from .accessibility import sound
from .product import follow, homeport, program

pytestmark = pytest.mark.browser
DRAFT = {
    "subscription": {
        "name": "Sum up PDFs",
        "kind": "file.created",
        "where": {"data.path": "*.pdf"},
        "start": {"prompt": "Sum up {{event.data.path}}."},
    }
}
MODEL = [
    {"when": "Draft", "replies": [json.dumps(DRAFT)]},
    {"when": "PDF comes", "replies": [json.dumps(DRAFT)]},
    {"when": "Sum up", "replies": ["It is about boats."]},
]


@pytest.fixture
def page(tmp_path: Path, browser: Browser) -> Generator[Page]:
    """A browser that is signed in to a product with a model."""
    (tmp_path / "script.json").write_text(json.dumps(MODEL), "utf-8")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "homeport.toml").write_text('[models]\ndefault = "ollama/qwen3:8b"\n', "utf-8")
    arguments = ["homeport_shared.testing.model", "--script", str(tmp_path / "script.json"), "--key", "good"]
    with program(arguments, {}, r'"ollama": "([^"]+)"') as model, homeport(tmp_path / "home", 0, model) as url:
        page = browser.new_page(viewport={"width": 1360, "height": 860})
        page.set_default_timeout(1_000 * PATIENCE)
        page.goto(url)
        yield page
        page.close()


def call(page: Page, tool: str, arguments: dict[str, object]) -> None:
    """Call a tool as the page's own scripts do."""
    page.evaluate(
        "async ([tool, body]) => (await fetch(`/act/${tool}`, {method: 'POST', body,"
        " headers: {'Content-Type': 'application/json'}})).json()",
        [tool, json.dumps(arguments)],
    )


def test_an_automation_is_drafted_tried_followed_replayed_and_switched_off(page: Page) -> None:
    base = "/".join(page.url.split("/")[:3])
    page.goto(f"{base}/events?tab=subscriptions")
    page.get_by_role("button", name="New subscription").first.click()
    form = page.get_by_role("dialog", name="New subscription")
    form.get_by_text("Describe it in plain words").click()
    form.get_by_label("What should happen, and when").fill("When a PDF comes, sum it up.")
    form.get_by_role("button", name="Draft it").click()
    expect(form.get_by_label("Name")).to_have_value("Sum up PDFs")
    expect(form.get_by_label("Only where")).to_have_value("data.path = *.pdf")
    expect(form.get_by_text("Look at it, then save.")).to_be_visible()
    sound(page)
    form.get_by_role("button", name="Save").click()
    row = page.get_by_role("row", name="Sum up PDFs")
    expect(row).to_contain_text("assistant: Sum up {{event.data.path}}.")
    sound(page)

    page.get_by_role("button", name="Try an event").click()
    trial = page.get_by_role("dialog", name="Try an event")
    trial.get_by_label("Type").fill("file.created")
    trial.get_by_role("button", name="Try", exact=True).click()
    expect(trial.get_by_text("It would start 1 of 1:")).to_be_visible()
    expect(trial.get_by_text("Sum up workspace/example.pdf.")).to_be_visible()
    trial.get_by_role("button", name="Close").last.click()

    written = {"path": "workspace/boats.pdf", "content": "no real PDF"}
    call(page, "files__write", written)
    expect(row).to_contain_text("1 completed")
    follow(page.get_by_role("link", name="What happened"))
    page.get_by_label("Type").fill("file.*")
    page.get_by_role("button", name="Filter").click()
    follow(page.get_by_role("link", name="file.created"))
    detail = page.get_by_role("region", name="Details")
    chain = detail.get_by_role("list")
    expect(chain).to_contain_text("Sum up PDFs")
    expect(chain).to_contain_text("It is about boats.")
    expect(chain).to_contain_text("run.completed")
    sound(page)
    detail.get_by_role("button", name="Replay").click()
    page.get_by_role("dialog").get_by_role("button", name="Replay").click()
    expect(chain.locator(".state", has_text="completed")).to_have_count(2)

    follow(page.get_by_role("link", name="Subscriptions"))
    page.get_by_role("switch", name="Sum up PDFs is on").uncheck()
    call(page, "files__write", {**written, "path": "workspace/more.pdf"})
    follow(page.get_by_role("link", name="Figures"))
    expect(page.get_by_role("row", name="file.created")).to_contain_text("2")
    sound(page)


def test_the_bell_tells_of_a_failed_job_at_once_and_is_read(page: Page) -> None:
    page.goto("/".join([*page.url.split("/")[:3], "events"]))
    action = {"tool": "files__read", "arguments": {"path": "workspace/none.txt"}}
    call(page, "scheduler__add_job", {"definition": {"name": "Read it", "action": action}})
    call(page, "scheduler__run_job", {"job": "Read it"})
    expect(page.get_by_text("There is a new notification.")).to_be_visible()
    expect(page.locator("[data-notifications]")).to_have_text("1")
    page.locator(".notices-menu summary").click()
    told = page.get_by_role("group", name="Notifications")
    expect(told.get_by_role("link", name="The job Read it failed")).to_be_visible()
    sound(page)
    told.get_by_role("button", name="Mark all as read").click()
    expect(page.locator("[data-notifications]")).to_be_hidden()
    follow(told.get_by_role("link", name="The job Read it failed"))
    page.wait_for_url("**/automation")
