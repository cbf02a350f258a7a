"""Tasks and Executions in a real browser, over the whole product with a scripted model."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import anyio
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from sqlalchemy import insert
from tests.patience import PATIENCE

import homeport_host.host  # noqa: F401 (every table is known then)
from homeport_host.agents.runs import Run
from homeport_host.agents.runs import runs as table
from homeport_host.database import Database

from .accessibility import sound
from .product import follow, homeport, program

pytestmark = pytest.mark.browser
PLAN = {"title": "Sum up", "prompt": "Sum up the new mails.", "type": "mail", "cron": "0 9 * * 1", "tags": ["mail"]}


def writing(name: str) -> dict[str, Any]:
    """A call that writes a file; once, as it does not replace one."""
    return {"calls": [{"name": "files__write", "arguments": {"path": f"docs/{name}.txt", "content": "dry"}}]}


MODEL = [
    {"when": "every Monday", "replies": [json.dumps(PLAN)]},
    {"when": "shorter", "replies": ["Tight."]},
    {"when": "roof", "replies": ["The roof is tight."]},
    {"when": "cellar", "replies": [writing("cellar"), "The cellar is dry."]},
    {"when": "barn", "replies": [writing("barn"), "The barn is dry."]},
]


@contextmanager
def product(folder: Path, browser: Browser) -> Generator[BrowserContext]:
    """A product with a model, and a browser that is signed in to it."""
    (folder / "script.json").write_text(json.dumps(MODEL), "utf-8")
    (folder / "home").mkdir(exist_ok=True)
    (folder / "docs").mkdir()
    settings = f'[models]\ndefault = "ollama/qwen3:8b"\n[files]\nroots = ["docs={(folder / "docs").as_posix()}"]\n'
    (folder / "home" / "homeport.toml").write_text(settings, "utf-8")
    arguments = ["homeport_shared.testing.model", "--script", str(folder / "script.json"), "--key", "good"]
    with program(arguments, {}, r'"ollama": "([^"]+)"') as model, homeport(folder / "home", 0, model) as url:
        context = browser.new_context(viewport={"width": 1360, "height": 860})
        context.set_default_timeout(1_000 * PATIENCE)
        context.request.get(url, max_redirects=0)  # its cookie is the pages', too
        context.new_page().goto("/".join([*url.split("/")[:3], "tasks"]))
        yield context
        context.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Generator[BrowserContext]:
    """One product for the stories of this file: starting it takes longer than they do."""
    with product(tmp_path_factory.mktemp("tasks"), browser) as context:
        yield context


@pytest.fixture
def page(shared: BrowserContext) -> Page:
    """The list of tasks, empty."""
    page = shared.pages[0]
    page.goto("/".join([*page.url.split("/")[:3], "tasks"]))
    clear(page)
    return page


def clear(page: Page) -> None:
    page.get_by_role("button", name="Clear completed").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No tasks yet")).to_be_visible()


async def keep(where: Path, runs: list[Run]) -> None:
    """Store runs as an earlier day left them."""
    database = Database(where)
    await database.open()
    rows = [asdict(run) for run in runs]
    await database.write(lambda connection: connection.execute(insert(table), rows))
    await database.aclose()


def fill(page: Page, prompt: str, *, priority: str = "Normal", tags: str = "", review: bool = False) -> Locator:
    """Open the dialog for a new task and fill it in."""
    page.goto("/".join([*page.url.split("/")[:3], "tasks"]))
    page.get_by_role("button", name="New task").click()
    form = page.get_by_role("dialog", name="New task")
    form.get_by_label("What is to be done").fill(prompt)
    form.get_by_label("Priority").select_option(priority)
    form.get_by_text("Files, tools, tags").click()
    form.get_by_label("Tags").fill(tags)
    form.get_by_label("I accept the result").set_checked(review)
    return form


def start(page: Page, prompt: str, *, state: str = "completed", **how: Any) -> None:
    follow(fill(page, prompt, **how).get_by_role("button", name="Create & run"))
    expect(page.locator("#task-detail header .state")).to_have_text(state)


def test_tasks_are_started_followed_repeated_found_and_deleted(page: Page) -> None:
    start(page, "Look at the roof", priority="High", tags="house")
    detail, table = page.locator("#task-detail"), page.locator("#task-list")
    rows = table.locator(".task-row")
    expect(detail).to_contain_text("The roof is tight.")
    expect(detail).to_contain_text("High")
    expect(table.locator(".task-counts")).to_have_text("0 Running / 1 Completed / 0 Failed / 0 Queued")

    start(page, "Look at the cellar")
    follow(detail.get_by_role("link", name="Log"))
    expect(detail.locator(".task-log")).to_contain_text("files__write ok")
    detail.get_by_label("Search the log").fill("the answer is")
    expect(detail.locator(".task-log li:visible")).to_have_count(1)
    with page.expect_download() as download:
        detail.get_by_role("link", name="Download").click()
    assert "the answer is complete" in download.value.path().read_text("utf-8")
    follow(detail.get_by_role("link", name="Resources"))
    expect(detail).to_contain_text("Processor")
    sound(page)

    follow(detail.get_by_role("button", name="Retry"))
    expect(rows).to_have_count(3)
    expect(rows.locator('[data-depth="1"]')).to_have_count(1)
    expect(detail.get_by_role("link", name="View parent task")).to_be_visible()
    detail.get_by_role("button", name="Rename").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("Once more")
    page.get_by_role("dialog").get_by_role("button", name="Rename").click()
    expect(table.get_by_role("link", name="Once more")).to_be_visible()
    detail.get_by_role("button", name="Edit tags").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("damp, cellar")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(table.get_by_role("link", name="#damp")).to_be_visible()

    follow(table.get_by_role("link", name="#house"))
    expect(rows).to_have_count(1)
    follow(page.get_by_role("link", name="Executions"))
    page.get_by_label("Search titles and prompts").fill("cellar look")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(rows).to_have_count(2)
    table.get_by_label("Select all").check()
    table.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Nothing fits")).to_be_visible()
    page.goto(page.url.partition("/executions")[0] + "/tasks")
    expect(rows).to_have_count(1)
    clear(page)


def test_a_task_is_written_down_checked_kept_reviewed_and_made_a_workflow(page: Page) -> None:
    detail, table = page.locator("#task-detail"), page.locator("#task-list")
    form = fill(page, " ", review=True)
    form.get_by_role("button", name="Validate task").click()
    expect(form.locator("[data-problems]")).to_contain_text("prompt: Write what is to be done")
    form.get_by_label("What is to be done").fill("Look at the roof")
    form.get_by_label("When").select_option("recurring")
    form.get_by_label("Cron").fill("every day")
    form.get_by_role("button", name="Validate task").click()
    expect(form.locator("[data-problems]")).to_contain_text("schedule:")
    form.get_by_label("When").select_option("now")
    form.get_by_role("button", name="Validate task").click()
    expect(form.locator("[data-problems]")).to_contain_text("Nothing speaks against it.")
    sound(page)
    form.get_by_role("button", name="Save draft").click()
    expect(detail.locator("header .state")).to_have_text("paused")
    expect(page.get_by_role("contentinfo").get_by_role("status")).to_have_text("Live")
    detail.get_by_role("button", name="Tell me").click()
    page.get_by_role("dialog", name="Tell me when").get_by_label("it is completed").check()
    sound(page)
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.locator(".toast")).to_contain_text("You will be told.")
    detail.get_by_role("button", name="Tell me").click()
    expect(page.get_by_role("dialog").get_by_label("it is completed")).to_be_checked()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    detail.get_by_role("button", name="Start").click()
    expect(detail.locator("header .state")).to_have_text("waiting")
    detail.get_by_role("button", name="Send back").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("Make it shorter")
    page.get_by_role("dialog").get_by_role("button", name="Send back").click()
    expect(detail.locator(".task-answer")).to_have_text("Tight.")
    detail.get_by_role("button", name="Accept").click()
    expect(detail.locator("header .state")).to_have_text("completed")
    expect(page.locator("[data-notifications]")).to_have_text("1")
    page.get_by_text("Statistics", exact=True).click()
    expect(page.locator("#task-figures")).to_contain_text("Success rate")
    page.get_by_label("Grouped by").select_option("state")
    expect(page.locator("#task-figures")).to_contain_text("1/1")
    sound(page)

    table.locator(".task-row").first.click(button="right")
    menu = page.get_by_role("menu", name="Task")
    expect(menu.get_by_role("menuitem")).to_have_text(["Open", "View logs", "Inspect inputs", "Retry", "Delete"])
    page.keyboard.press("ArrowDown")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(detail.locator(".task-log")).to_contain_text("sent back by")
    detail.get_by_role("button", name="Promote to workflow").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("Roof")
    page.get_by_role("dialog").get_by_role("button", name="Make it").click()
    expect(page.get_by_role("heading", name="Roof")).to_be_visible()

    form = fill(page, "")
    form.get_by_label("Say it in one sentence").fill("every Monday at 9, sum up the new mails")
    form.get_by_role("button", name="Fill in").click()
    expect(form.get_by_label("What is to be done")).to_have_value("Sum up the new mails.")
    expect(form.get_by_label("Cron")).to_have_value("0 9 * * 1")
    form.get_by_role("button", name="Create & run").click()
    expect(page.get_by_role("link", name="Scheduled", exact=True)).to_have_attribute("aria-current", "true")
    expect(table.locator(".task-row")).to_contain_text("Sum up")


def test_an_execution_keeps_its_steps_its_log_and_what_it_made(page: Page) -> None:
    start(page, "Look at the barn")
    detail, table = page.locator("#task-detail"), page.locator("#task-list")
    rows = table.locator(".task-row")
    follow(detail.get_by_role("link", name="Progress"))
    expect(detail.locator("progress")).to_have_attribute("value", "100.0")
    expect(detail.locator(".task-timeline")).to_contain_text("files__write")
    expect(detail.locator(".call-name")).to_have_text("files__write")
    follow(detail.get_by_role("link", name="Artifacts"))
    file = detail.locator("[data-artifact]").filter(has_text="barn.txt")
    file.get_by_role("button", name="Preview").click()
    expect(file.locator("[data-shown]")).to_have_text("dry")
    expect(file.get_by_role("link", name="Open in Files page")).to_have_attribute("href", "/files?path=docs%2Fbarn.txt")
    with page.expect_download() as download:
        file.get_by_role("link", name="Download").click()
    assert (download.value.suggested_filename, download.value.path().read_text("utf-8")) == ("barn.txt", "dry")
    sound(page)

    follow(page.get_by_role("link", name="Executions"))
    follow(rows.first)  # an execution with its steps, log and artifacts as they were recorded
    follow(detail.get_by_role("link", name="Progress"))
    expect(detail.locator(".task-timeline")).to_contain_text("files__write")
    follow(detail.get_by_role("link", name="Log"))
    expect(detail.locator(".task-log")).to_contain_text("the answer is complete")
    follow(detail.get_by_role("link", name="Artifacts"))
    expect(detail.get_by_text("answer.md").first).to_be_visible()
    with page.expect_download() as download:
        detail.locator("[data-artifact]").filter(has_text="answer.md").get_by_role("link", name="Download").click()
    assert download.value.path().read_text("utf-8") == "The barn is dry."
    detail.get_by_role("button", name="Retry").click()
    expect(rows).to_have_count(2)
    expect(detail.get_by_role("link", name="View parent task")).to_be_visible()


@pytest.fixture
def long_list(tmp_path: Path, browser: Browser) -> Generator[Page]:
    """Three thousand answers in one chat, in a product of their own."""
    at = "2026-11-{:02}T{:02}:{:02}:00.000Z"
    kept: list[Run] = []
    for n in range(3_000):
        made = at.format(1 + n // 1440, n // 60 % 24, n % 60)
        kept.append(
            Run(f"{n:032}", "chat", "assistant", "ollama/x", "Ask", "chat1", "completed", made, made, made, "Yes.",
                title=f"Question {n}", type="chat")
        )  # fmt: skip
    with ThreadPoolExecutor() as threads:  # this thread has Playwright's event loop
        threads.submit(anyio.run, keep, tmp_path / "home" / "host" / "host.db", kept).result()
    with product(tmp_path, browser) as context:
        yield context.pages[0]


def test_a_list_of_thousands_is_drawn_in_windows_that_follow_the_reader(long_list: Page) -> None:
    page = long_list
    table = page.locator("#task-list")
    rows, scroll = table.locator(".task-row"), table.locator(".task-rows")
    expect(table.locator(".task-counts")).to_contain_text("3000 Completed")
    expect(rows.first).to_contain_text("Question 2999")
    assert rows.count() <= 100
    heads = ["Task", "Type", "Agent", "Status", "Progress", "Start / duration", "Priority", "Created by"]
    assert [head for head in table.locator("th").all_inner_texts() if head in heads] == heads
    expect(rows.first.get_by_role("cell", name="100 %")).to_have_attribute("title", "100 %")
    for name in ("View logs", "Inspect inputs"):
        expect(rows.first.get_by_role("link", name=name)).to_be_visible()
    colours = "row => getComputedStyle(row.querySelector('.task-state')).color === getComputedStyle(probe).color"
    page.evaluate("""() => {
        const probe = Object.assign(document.createElement('i'), { id: 'probe' });
        probe.style.color = 'var(--color-text-info)';
        document.body.append(probe);
    }""")
    assert rows.first.evaluate(colours), "what is completed is blue"
    rows.first.get_by_role("checkbox").check()
    scroll.evaluate("part => { part.scrollTop = part.scrollHeight }")
    expect(rows.last).to_contain_text("Question 0")
    rows.last.scroll_into_view_if_needed()
    expect(rows.last).to_be_in_viewport()
    assert rows.last.bounding_box()["height"] == 56, "the window is found by this height"
    assert rows.count() <= 100
    expect(table.locator("[data-chosen]")).to_have_text("1 selected")
    scroll.evaluate("part => { part.scrollTop = part.scrollHeight / 2 }")
    expect(table.get_by_text("Question 1500", exact=True)).to_be_attached()
    scroll.evaluate("part => { part.scrollTop = 0 }")
    expect(rows.first.get_by_role("checkbox")).to_be_checked()
    follow(page.get_by_role("link", name="Workflow", exact=True))
    expect(page.get_by_text("Nothing fits")).to_be_visible()
    follow(page.get_by_role("link", name="Manual", exact=True))
    expect(page.get_by_text("Nothing fits")).to_be_visible()
    follow(page.get_by_role("navigation", name="Which kind").get_by_role("link", name="Chat", exact=True))
    follow(rows.first)
    origin = page.locator("#task-detail").get_by_role("link", name="Open origin")
    expect(origin).to_have_attribute("href", re.compile(r"^/chat/chat1#run-0+2999$"))
    follow(page.get_by_role("navigation", name="Breadcrumbs").get_by_role("link", name="Tasks"))
    rows.first.get_by_text("Normal").dblclick()
    expect(page).to_have_url(re.compile(r"/chat/chat1#run-0+2999$"))
