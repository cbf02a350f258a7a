"""Workflows in a real browser, over the whole product with a scripted model."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.patience import PATIENCE

from .accessibility import sound
from .product import follow, homeport, program

pytestmark = pytest.mark.browser
SUGGESTED = {
    "format": "homeport.workflow/1",
    "name": "x",
    "start": "list",
    "variables": {"folder": {"type": "text", "default": "workspace"}},
    "nodes": {
        "list": {"kind": "tool", "tool": "files__list", "arguments": {"path": "{{ folder }}"}, "next": "each"},
        "each": {"kind": "loop", "over": "{{ list.entries }}", "body": "ask", "next": "find"},
        "ask": {"kind": "agent", "prompt": "Describe {{ item.path }}"},
        "find": {"kind": "rag", "query": "roof", "next": "sure"},
        "sure": {"kind": "approval", "question": "Finish?", "next": "end"},
        "end": {"kind": "end", "result": "{{ each.count }} files."},
    },
}
MODEL = [
    {"when": "list my files", "replies": [f"Here it is: {json.dumps(SUGGESTED)}"]},
    {"when": "Describe", "replies": ["A file."]},
    {"when": "Say what came", "replies": ["Nothing came."]},
]


@pytest.fixture(scope="module")
def signed_in(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Generator[tuple[BrowserContext, str]]:
    """A browser that is signed in to a product with a model and two files, and the product's address."""
    folder = tmp_path_factory.mktemp("product")
    (folder / "script.json").write_text(json.dumps(MODEL), "utf-8")
    (folder / "home" / "workspace").mkdir(parents=True)
    for name in ("roof.txt", "shed.txt"):
        (folder / "home" / "workspace" / name).write_text("tight", "utf-8")
    (folder / "home" / "homeport.toml").write_text('[models]\ndefault = "ollama/qwen3:8b"\n', "utf-8")
    arguments = ["homeport_shared.testing.model", "--script", str(folder / "script.json"), "--key", "good"]
    with program(arguments, {}, r'"ollama": "([^"]+)"') as model, homeport(folder / "home", 0, model) as url:
        context = browser.new_context(viewport={"width": 1360, "height": 900})
        context.set_default_timeout(1_000 * PATIENCE)
        context.new_page().goto(url)
        yield context, url
        context.close()


@pytest.fixture
def page(signed_in: tuple[BrowserContext, str]) -> Generator[Page]:
    """The list of workflows in a tab of its own."""
    context, url = signed_in
    page = context.new_page()
    page.goto("/".join([*url.split("/")[:3], "workflows"]))
    yield page
    page.close()


def at(page: Page, path: str) -> str:
    return "/".join([*page.url.split("/")[:3], path])


def act(page: Page, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool, as a page does."""
    headers = {"Content-Type": "application/json", "Origin": "/".join(page.url.split("/")[:3])}
    return page.request.post(at(page, f"act/{tool}"), data=json.dumps(arguments), headers=headers).json()["result"]


def test_a_workflow_is_suggested_tried_run_followed_changed_and_rolled_back(page: Page) -> None:
    act(page, "rag__add", text="The roof is tight since May.", title="The roof")
    expect(page.get_by_text("No workflows yet")).to_be_visible()
    page.get_by_role("button", name="New workflow").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Name").fill("Files")
    form.get_by_label("What should happen").fill("list my files and describe each")
    form.get_by_role("button", name="Save as draft").click()
    detail = page.locator("#workflow-detail")
    expect(detail.get_by_role("heading", name="Files")).to_be_visible()
    sound(page)
    follow(detail.get_by_role("link", name="Steps"))
    expect(detail.locator(".workflow-nodes > li")).to_have_count(6)
    expect(detail.locator('[data-kind="agent"]')).to_have_attribute("data-depth", "1")
    detail.get_by_role("button", name="Dry run").click()
    page.get_by_role("dialog").get_by_role("button", name="Start").click()
    run = page.locator("#workflow-run")
    expect(run.locator("header .state")).to_have_text("completed")
    expect(run.locator('[data-kind="agent"] .state')).to_have_text("shown")

    page.go_back()
    detail.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Start").click()
    follow(run.get_by_role("link", name="Graph"))
    node = {
        name: run.get_by_role("link", name=name) for name in ("Agent ask", "Knowledge find", "Approval sure", "End end")
    }
    expect(run.locator("header .state")).to_have_text("waiting")  # the page follows the run by itself
    expect(run.locator("header .reason")).to_have_text("sure Asks a person: Finish? Open approvals")
    expect(node["Agent ask"]).to_have_attribute("data-state", "completed")
    expect(node["Approval sure"]).to_have_attribute("data-state", "waiting")
    expect(node["End end"]).not_to_have_attribute("data-state", "completed")
    sound(page)
    whole = run.locator("svg").first.get_attribute("viewBox")
    run.locator(".workflow-canvas").focus()
    page.keyboard.press("+")
    expect(run.locator("svg").first).not_to_have_attribute("viewBox", whole or "")
    page.keyboard.press("0")
    run_page = page.url
    follow(run.get_by_role("link", name="Open approvals"))
    expect(page.get_by_role("link", name="Open the task")).to_have_attribute("href", re.compile("^/tasks/"))
    page.get_by_role("button", name="Approve").click()
    page.go_back()
    expect(run.locator("header .state")).to_have_text("completed")
    node["Agent ask"].click()
    step = run.get_by_role("region", name="Data of the step")
    expect(step.get_by_role("heading", name="each[1]/ask")).to_be_visible()
    expect(step).to_contain_text("Completed after")
    follow(step.get_by_role("link", name="each[0]/ask"))
    expect(step.get_by_role("heading", name="each[0]/ask")).to_be_visible()
    expect(step).to_contain_text("A file.")
    step.get_by_role("button", name="Agent assistant").click()
    expect(page.get_by_role("dialog").get_by_label("Its file")).to_have_value(re.compile("assistant"))
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    node["Knowledge find"].click()
    follow(step.get_by_role("link", name="Open as task"))
    expect(page).to_have_url(re.compile("/tasks/.+~find"))
    expect(page.get_by_role("heading", name="find", exact=True)).to_be_visible()
    page.go_back()
    follow(step.get_by_role("link", name="The roof"))
    expect(page).to_have_url(re.compile("/knowledge.document="))
    page.go_back()
    follow(run.get_by_role("link", name="Output"))
    expect(run.get_by_role("region", name="Output")).to_contain_text("2 files.")
    with page.expect_download() as downloaded:
        run.get_by_role("button", name="Download").click()
    assert downloaded.value.path().read_text("utf-8") == "2 files."
    follow(run.get_by_role("link", name="Logs"))
    log = run.get_by_role("region", name="Log")
    expect(log.locator("details:visible")).to_have_count(8)
    log.get_by_label("Least severity").select_option("warning")
    expect(log.locator("details:visible")).to_have_count(1)
    expect(log.locator("details:visible")).to_contain_text("Asks a person: Finish?")
    log.get_by_label("Least severity").select_option("")
    log.get_by_label("Search the log").fill("each[1]")
    expect(log.locator("details:visible")).to_have_count(1)
    with page.expect_download() as downloaded:
        log.get_by_role("button", name="Export").click()
    assert "each[1]/ask\tCompleted after" in downloaded.value.path().read_text("utf-8")
    sound(page)

    page.goto(at(page, "workflows"))
    expect(page.locator(".workflow-counts")).to_have_text("0 Active / 1 Draft / 0 Scheduled")
    follow(page.get_by_role("link", name="Files", exact=True).last)
    expect(detail.get_by_role("region", name="About").get_by_role("link", name="files__list")).to_be_visible()
    runs = detail.get_by_role("region", name="Runs")
    expect(runs.locator("li")).to_have_count(2)
    follow(runs.get_by_role("link", name="Last 5 runs"))
    expect(runs.get_by_role("link", name="Show more")).to_be_visible()
    detail.get_by_role("button", name="Activate").click()
    expect(detail.get_by_text("Active", exact=True)).to_be_visible()
    follow(detail.get_by_role("link", name="JSON"))
    text = detail.get_by_label("The whole workflow as JSON")
    text.fill(text.input_value().replace("files__list", "files__lost"))
    detail.get_by_role("button", name="Check").click()
    expect(detail.locator(".workflow-checked")).to_contain_text("There is no tool 'files__lost'")
    detail.get_by_role("button", name="Save version 2").click()
    expect(detail.get_by_role("button", name="Run", exact=True)).to_be_disabled()
    expect(detail.locator(".workflow-problem")).to_contain_text("files__lost")
    follow(detail.get_by_role("link", name="Versions"))
    follow(detail.get_by_role("link", name="Compare"))
    expect(detail.locator(".workflow-changes")).to_contain_text("nodes.list.tool")
    detail.get_by_role("button", name="Make 1 current").click()
    expect(detail.locator(".workflow-runs li")).to_have_count(3)
    follow(detail.get_by_role("link", name="Steps"))
    expect(detail.get_by_role("button", name="Run", exact=True)).to_be_enabled()
    page.goto(run_page.replace("workflow-runs", "tasks").split("?")[0])
    expect(page.get_by_role("link", name="Open origin")).to_have_attribute("href", re.compile("^/workflow-runs/"))


def test_workflows_are_scheduled_bound_chosen_from_the_table_and_deleted(page: Page) -> None:
    page.get_by_role("button", name="New workflow").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Name").first.fill("On files")
    form.get_by_label("What it is for").first.fill("Say what came")
    form.get_by_label("Tags").fill("files, daily")
    form.get_by_label("Visibility").select_option("private")
    form.get_by_label("Type").first.select_option("event")
    form.get_by_role("textbox", name="Trigger").fill("file.created")
    form.get_by_label("Only when").fill('{"data.path": "*.pdf"}')
    form.get_by_role("button", name="Add a parameter").click()
    form.locator(".workflow-variable").get_by_label("Name").fill("path")
    form.locator(".workflow-variable").get_by_label("Default").fill("none")
    form.get_by_role("button", name="Add a parameter").click()
    key = form.locator(".workflow-variable").nth(1)
    key.get_by_label("Name").fill("shop")
    key.get_by_label("Type").select_option("API key")
    key.get_by_label("Default").fill("sk-very-secret")
    form.get_by_role("button", name="Save & activate").click()
    expect(key.get_by_label("Default")).to_have_js_property("validity.patternMismatch", True)  # a value stays here
    key.get_by_label("Default").fill("SHOP_API_KEY")
    with page.expect_popup() as entry:
        key.get_by_role("button", name="Enter the key").click()
    entry.value.get_by_label("Value").fill("sk-very-secret")
    entry.value.get_by_role("button", name="Save").click()
    expect(entry.value.get_by_role("heading", name="Saved")).to_be_visible()
    entry.value.close()
    form.get_by_role("button", name="Add a parameter").click()
    mind = form.locator(".workflow-variable").nth(2)
    mind.get_by_label("Name").fill("mind")
    mind.get_by_label("Type").select_option("model")
    expect(page.locator('#workflow-models option[value="ollama/qwen3:8b"]')).to_have_count(1)
    mind.get_by_label("Default").fill("ollama/qwen3:8b")
    form.get_by_role("button", name="Add a parameter").click()
    form.locator(".workflow-variable").nth(3).get_by_label("Name").fill("folder")
    form.locator(".workflow-variable").nth(3).get_by_label("Type").select_option("file path")
    form.locator(".workflow-variable").nth(3).get_by_label("Default").fill("workspace")
    expect(form.get_by_label("Entry point")).to_have_value("ask")
    sound(page)
    form.get_by_role("button", name="Save & activate").click()
    detail = page.locator("#workflow-detail")
    expect(detail.get_by_text("Event-triggered", exact=True)).to_be_visible()
    expect(detail.get_by_text("Private", exact=True)).to_be_visible()
    expect(detail.get_by_text("Active", exact=True)).to_be_visible()
    expect(detail.get_by_role("link", name="on file.created")).to_be_visible()  # its job on the Automation page

    follow(detail.get_by_role("link", name="Parameters"))
    expect(detail.get_by_label("Default")).to_have_count(4)
    expect(detail.get_by_label("Default").last).to_have_value("SHOP_API_KEY")  # folder, mind, path, shop
    for button in ("first", "first", "last"):
        getattr(detail.get_by_role("button", name="Remove the parameter"), button).click()
    bound = detail.get_by_label("path", exact=True)
    bound.fill("{{event.data.path}}")
    detail.get_by_label("Type").select_option("number")
    detail.get_by_role("button", name="Save version 2").click()
    expect(page.locator(".toast")).to_contain_text("The default of path is not a number")
    detail.get_by_label("Type").select_option("text")
    detail.get_by_label("Default").fill("nothing")
    sound(page)
    detail.get_by_role("button", name="Save version 2").click()
    expect(detail.get_by_role("button", name="Save version 3")).to_be_visible()
    expect(bound).to_have_value("{{event.data.path}}")
    expect(detail.get_by_label("Default")).to_have_value("nothing")
    detail.get_by_role("button", name="Settings").click()
    form.get_by_label("Type").first.select_option("cron")
    form.get_by_role("textbox", name="Trigger").fill("0 9 * * 1-5")
    form.get_by_role("button", name="Save & activate").click()
    expect(detail.get_by_text("Scheduled", exact=True)).to_be_visible()
    expect(detail.get_by_text("next run")).to_be_visible()
    follow(detail.get_by_role("link", name="Overview"))
    expect(detail.get_by_role("region", name="About")).to_contain_text("Say what came")
    expect(detail.get_by_role("region", name="Statistics")).to_contain_text("Runs0")
    detail.get_by_role("link", name="0 9 * * 1-5").click()  # its job on the Automation page; they are one
    job = page.frame_locator("iframe")
    job.get_by_role("tab", name="Parameters").click()
    expect(job.get_by_label("Arguments as JSON")).to_have_value('{\n  "path": "{{event.data.path}}"\n}')
    job.get_by_role("tab", name="Schedule").click()
    job.get_by_label("Schedule").fill("0 10 * * 1-5")
    job.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".toast")).to_contain_text("The schedule is saved.")
    job.get_by_role("tab", name="Parameters").click()
    job.get_by_role("region", name="Job", exact=True).get_by_role("button", name="On files").click()
    page.wait_for_url("**/workflows/*")  # with its scripts; a tab of the view, too, changes the address
    expect(detail.get_by_role("link", name="0 10 * * 1-5")).to_be_visible()
    detail.get_by_role("button", name="Settings").click()
    expect(form.get_by_role("textbox", name="Trigger")).to_have_value("0 10 * * 1-5")
    form.get_by_role("button", name="Cancel").click()

    page.goto(at(page, "workflows"))
    page.get_by_role("button", name="Use Daily digest").click()
    expect(detail.get_by_role("heading", name="Daily digest")).to_be_visible()
    page.goto(at(page, "workflows?q=daily"))
    rows = page.locator("tr[data-row]")
    expect(rows).to_have_count(2)
    expect(page.locator(".workflow-counts")).to_have_text("1 Active / 1 Draft / 1 Scheduled")
    row = rows.filter(has_text="On files")
    row.click(button="right")
    row.get_by_role("button", name="Disable").click()
    expect(page.locator(".workflow-counts")).to_have_text("0 Active / 2 Draft / 1 Scheduled")
    expect(row.get_by_role("cell").nth(8)).to_have_text("–")  # no next run: its trigger starts no draft
    on = act(page, "scheduler__change_jobs", names=["On files"], action="enable")
    assert on["changed"] == [] and "is a draft" in on["failed"][0]
    row.get_by_label("Select On files").check()
    page.get_by_role("button", name="Run selected").click()
    expect(row.locator(".state").first).to_have_text("completed")
    sound(page)
    row.get_by_text("Scheduled").click()
    expect(detail.get_by_role("heading", name="On files")).to_be_visible()
    expect(detail.get_by_role("region", name="Runs")).to_contain_text("completed")
    page.goto(at(page, "workflows?q=daily"))
    row.get_by_text("Scheduled").dblclick()
    expect(detail.get_by_role("region", name="Graph")).to_be_visible()
    page.goto(at(page, "workflows?q=daily"))
    page.get_by_label("Select all").check()
    page.locator("[data-bulk-act=delete]").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.wait_for_url(at(page, "workflows"))  # all of them are deleted then
    page.goto(at(page, "workflows?q=daily"))
    expect(page.get_by_text("Nothing fits")).to_be_visible()
