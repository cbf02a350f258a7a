"""The Automation page in a real browser: a job from its form to its history, live, by keyboard, in every theme."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import FrameLocator, Page, expect

from .accessibility import sound
from .conftest import Site

pytestmark = pytest.mark.browser
PICTURES = os.environ.get("HOMEPORT_PICTURES", "")


@pytest.fixture
def view(site: Site, page: Page) -> FrameLocator:
    """The page over a scheduler that may call the files server."""
    may_call_files(site)
    return opened(site, page)


def may_call_files(site: Site) -> None:
    """Let the scheduler call the files server in a process of its own."""
    home = site.folder.parent / "home"
    command = str(Path(sys.executable).with_name("homeport-files"))
    entry = {"command": command, "args": [str(site.folder)], "env": {"HOMEPORT_HOME": str(home / "alone")}}
    (home / "mcp.json").write_text(json.dumps({"mcpServers": {"files": entry}}), encoding="utf-8")


def opened(site: Site, page: Page) -> FrameLocator:
    page.goto(f"{site.url}/automation")
    return page.frame_locator("iframe")


def tool(site: Site, name: str, **arguments: Any) -> dict[str, Any]:
    async def call() -> dict[str, Any]:
        result = await site.world.upstreams["scheduler"].call_tool(name, arguments)
        assert not result.is_error, result.content
        return result.structured_content

    return site.run(call)


def add(site: Site, name: str, enabled: bool = True, **fields: Any) -> dict[str, Any]:
    action = fields.pop("action", {"tool": "files__list", "arguments": {"path": "documents"}})
    return tool(site, "add_job", definition={"name": name, "action": action, **fields}, enabled=enabled)["job"]


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES, f"{name}.png")))


def test_a_job_is_made_checked_run_and_looked_at(site: Site, page: Page, view: FrameLocator) -> None:
    expect(view.get_by_text("Nothing is automated yet")).to_be_visible()
    picture(page, "automation-empty")
    view.get_by_role("button", name="New automation").first.click()
    form = view.get_by_role("dialog", name="New automation")
    form.get_by_label("Name", exact=True).fill("Morning list")
    form.get_by_label("Day", exact=True).select_option("Monday")
    form.get_by_label("Hour", exact=True).select_option("07")
    expect(form.get_by_label("Cron expression")).to_have_value("0 7 * * 1")
    expect(form.locator(".checked")).to_contain_text("07:00:00+00:00")
    form.get_by_role("button", name="Validate configuration").click()
    expect(form.locator(".checked")).to_contain_text(
        "calls a tool, gives an agent a prompt, runs a workflow, or emits an event"
    )
    form.get_by_label("Tool", exact=True).fill("files__list")
    form.get_by_label("Arguments (JSON)").fill('{"path": "documents"}')
    form.get_by_role("button", name="Validate configuration").click()
    expect(form.locator(".checked")).to_contain_text("This works.")
    picture(page, "automation-form")
    form.get_by_role("button", name="Activate immediately").click()
    expect(view.get_by_role("heading", name="Morning list")).to_be_visible()
    expect(view.locator(".countdown summary")).to_contain_text("Next job in")
    view.locator("footer").get_by_role("button", name="Run now").click()
    expect(view.locator("tr[data-look=good]")).to_contain_text("completed")
    view.get_by_role("tab", name="Overview").press("ArrowRight")
    expect(view.get_by_label("Schedule")).to_have_value("0 7 * * 1")
    view.get_by_label("Schedule").fill("61 7 * * 1")
    view.get_by_role("button", name="Validate schedule").click()
    expect(view.locator(".problem")).to_contain_text("Bad minute")
    view.get_by_role("tab", name="Parameters").click()
    field, checked, saving = (
        view.get_by_label("Arguments as JSON"),
        view.locator("#arguments-checked"),
        view.get_by_role("button", name="Save parameters"),
    )
    expect(field).to_have_value('{\n  "path": "documents"\n}')
    expect(saving).to_be_disabled()
    for wrong, why in (('{"path": ', "This is no JSON"), ("[1]", "Arguments are an object")):
        field.fill(wrong)
        expect(checked).to_contain_text(why)
        expect(saving).to_be_disabled()
    field.fill('{"path": "documents/none"}')
    expect(checked).to_have_text("This works.")
    expect(view.get_by_role("button", name="files__list")).to_be_visible()
    picture(page, "automation-parameters")
    saving.click()
    view.get_by_role("button", name="Run now").last.click()
    expect(view.locator("tr[data-look=bad]")).to_contain_text("failed")
    view.get_by_role("tab", name="Logs").click()
    expect(view.locator(".runs li")).to_have_count(2)
    view.locator(".runs").get_by_role("button", name="Details").first.click()
    expect(view.locator(".runs pre").first).to_contain_text("documents/none")
    picture(page, "automation-logs")
    with page.expect_download() as download:
        view.get_by_role("button", name="CSV").click()
    assert "completed" in download.value.path().read_text("utf-8")
    view.get_by_label("State of runs").select_option("failed")
    expect(view.locator(".runs li")).to_have_count(1)
    view.get_by_role("tab", name="Performance").click()
    expect(view.locator(".facts").last).to_contain_text("50 % of 2")


def test_the_defaults_are_set_where_the_jobs_are(site: Site, page: Page, view: FrameLocator) -> None:
    job = {"name": "Brought in", "action": {"event": "a.b"}}
    document = {"name": "jobs.json", "mimeType": "application/json",
                "buffer": json.dumps({"format": "homeport.jobs/1", "jobs": [job]}).encode()}  # fmt: skip
    with page.expect_file_chooser() as chooser:
        view.get_by_role("button", name="Import").click()
    chooser.value.set_files(document)
    expect(view.locator("tbody tr")).to_contain_text("Brought in")
    for name in ("New automation", "Pause all", "Export"):
        expect(view.get_by_role("button", name=name)).to_be_visible()
    expect(view.get_by_label("Run a job now").get_by_role("option")).to_have_text(["Run job now …", "Brought in"])
    view.get_by_role("button", name="Configure defaults").click()
    form = view.get_by_role("dialog", name="Settings of the scheduler")
    form.get_by_label("max_agents").fill("0")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_role("alert")).to_contain_text("max_agents")
    form.get_by_label("max_agents").fill("3")
    form.get_by_label("enabled").uncheck()
    picture(page, "automation-settings")
    form.get_by_role("button", name="Save").click()
    expect(form).to_have_count(0)
    expect(view.locator(".bar .state")).to_have_text("Paused")
    assert tool(site, "status")["status"]["why"] == "Off by its settings."
    kept = {each["name"]: each["value"] for each in tool(site, "show_settings")["settings"]}
    assert (kept["max_agents"], kept["enabled"]) == (3, False)


def test_jobs_are_paused_switched_found_and_changed_in_bulk(site: Site, page: Page, view: FrameLocator) -> None:
    for name in ("Backup", "Digest", "Inbox"):
        add(site, name, trigger={"cron": "0 9 * * *"}, enabled=name != "Inbox")
    expect(view.locator("tbody tr")).to_have_count(3)  # they came while the page was open
    expect(view.locator(".bar .state")).to_have_text("Running")
    view.get_by_role("button", name="Pause all").click()
    expect(view.locator(".bar .state")).to_have_text("Paused")
    expect(view.locator(".countdown summary")).to_have_text("Nothing starts by itself")
    view.get_by_role("button", name="Resume all").click()
    expect(view.locator(".bar .state")).to_have_text("Running")
    view.get_by_role("switch", name="Inbox is on").check()
    expect(view.locator("tr", has_text="Inbox")).not_to_have_attribute("data-look", "off")
    view.get_by_label("Search jobs").fill("dig")
    expect(view.locator("tbody tr")).to_have_count(1)
    view.get_by_label("Search jobs").fill("")
    view.get_by_label("Choose Backup").check()
    view.get_by_label("Choose Digest").check()
    expect(view.get_by_text("2 chosen")).to_be_visible()
    picture(page, "automation-bulk")
    view.locator(".bulk").get_by_role("button", name="Disable").click()
    expect(view.locator("tr[data-look=off]")).to_have_count(2)
    view.get_by_label("Run a job now").select_option("Inbox")
    expect(view.locator("tr", has_text="Inbox")).to_contain_text("completed")
    view.locator("tr", has_text="Inbox").get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(view.locator("tbody tr")).to_have_count(2)
    with page.expect_download() as download:
        view.get_by_role("button", name="Export").first.click()
    document = json.loads(download.value.path().read_text("utf-8"))
    assert [job["name"] for job in document["jobs"]] == ["Backup", "Digest"]


def test_the_page_is_accessible_and_readable(site: Site, page: Page) -> None:
    may_call_files(site)
    job = add(site, "Digest", trigger={"cron": "0 9 * * 1-5"}, description="Every working day", retries=2)
    add(site, "Wait for failures", trigger={"event": "job.failed"}, action={"event": "alarm.raised"})
    tool(site, "run_job", job="Wait for failures")
    view = opened(site, page)
    expect(view.locator("tr[data-look=good]")).to_have_count(1)
    picture(page, "automation-table")
    view.get_by_role("button", name="Digest").click()
    expect(view.get_by_role("heading", name="Digest")).to_be_visible()
    expect(page).to_have_url(re.compile(job["id"]))
    picture(page, "automation")
    sound(page)
