"""Each view in another client than Homeport: one that shows MCP Apps with the reference half of the protocol.

The servers run alone, by stdio, as in a desktop client.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp import Client, StdioServerParameters
from playwright.sync_api import Browser, FrameLocator, Page, expect
from tests.dashboard.conftest import browser as browser
from tests.dashboard.product import homeport
from tests.node import environment, installed
from tests.patience import PATIENCE

from homeport_shared.views import SHOWS_VIEWS

HERE = Path(__file__).parent
ESBUILD = HERE.parents[1] / "shared" / "web" / "node_modules" / ".bin" / "esbuild"
CAPABILITIES: dict[str, Any] = {"serverTools": {}, "downloadFile": {}, "message": {"text": {}}}
expect.set_options(timeout=1_000 * PATIENCE)
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.subprocess]


@pytest.fixture(scope="module")
def client_script(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of a client that shows MCP Apps."""
    installed(HERE)
    made = tmp_path_factory.mktemp("client") / "client.js"
    command = [ESBUILD, HERE / "apps_host.js", "--bundle", "--format=iife", f"--outfile={made}", "--log-level=warning"]
    subprocess.run(command, env=environment(), check=True)
    return made.read_text("utf-8")


@contextmanager
def client_of(*arguments: str, **environment: str) -> Generator[tuple[BlockingPortal, Client]]:
    """A client that shows pages, of a Python program that serves by stdio."""
    parameters = StdioServerParameters(command=sys.executable, args=[*arguments], env={**os.environ, **environment})
    client = Client(parameters, extensions=[SHOWS_VIEWS])
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(client):
        yield portal, client


def alone(name: str, home: Path, *arguments: str) -> AbstractContextManager[tuple[BlockingPortal, Client]]:
    """A server that runs alone, and a client of it."""
    return client_of("-c", f"from homeport_{name}.server import main; main()", "--home", str(home), *arguments)


@pytest.fixture
def shown(browser: Browser, client_script: str) -> Generator[Callable[..., tuple[Page, FrameLocator]]]:
    """Return what opens the view of a tool, as a conversation shows it."""
    context = browser.new_context(viewport={"width": 900, "height": 1000})

    def show(portal: BlockingPortal, client: Client, tool: str, **given: Any) -> tuple[Page, FrameLocator]:
        tools = {each.name: each for each in portal.call(client.list_tools).tools}
        uri = tools[tool].meta["ui"]["resourceUri"]
        (content,) = portal.call(client.read_resource, uri).contents
        page = context.new_page()
        page.set_default_timeout(1_000 * PATIENCE)

        def call(params: dict[str, Any]) -> dict[str, Any]:
            result = portal.call(partial(client.call_tool, params["name"], params.get("arguments")))
            return result.model_dump(mode="json", by_alias=True, exclude_none=True)

        page.expose_function("callTool", call)
        page.add_script_tag(content=client_script)
        page.evaluate("([html, ...given]) => show(html, ...given)", [content.text, tool, given, CAPABILITIES])
        return page, page.frame_locator("iframe")

    yield show
    context.close()


def test_files_are_browsed_changed_and_taken_back(tmp_path: Path, shown: Callable[..., Any]) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "plan.md").write_text("# Plan\n\nSow in March.\n", "utf-8")
    with alone("files", tmp_path / "home", str(documents)) as server:
        page, view = shown(*server, "show_files", path="documents")
        expect(view.locator("[data-path='documents/plan.md']")).to_be_visible()
        assert page.locator("iframe").bounding_box()["height"] == 640  # a page needs its height
        view.locator("[data-path='documents/plan.md']").click()
        expect(view.get_by_role("paragraph").filter(has_text="Sow in March.")).to_be_visible()
        for name in ["Vectorize", "Attach to chat"]:  # other servers do that
            expect(view.get_by_role("button", name=name)).to_have_count(0)
        view.get_by_role("button", name="Download").click()
        page.wait_for_function("seen.downloads.length")
        (saved,) = page.evaluate("seen.downloads")
        assert saved["resource"]["uri"] == "file:///plan.md"

        view.get_by_role("button", name="Delete").click()
        view.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(view.locator("[data-path='documents/plan.md']")).to_have_count(0)
        view.get_by_role("button", name="Undo").click()
        expect(view.locator("[data-path='documents/plan.md']")).to_be_visible()

        (documents / "seed.txt").write_text("beans", "utf-8")  # seen, though this client tells no news
        expect(view.locator("[data-path='documents/seed.txt']")).to_be_visible()
        view.get_by_role("button", name="Full screen").click()
        expect(view.get_by_role("button", name="Full screen")).to_have_count(0)
        assert page.locator("iframe").bounding_box()["height"] == 1000


def test_a_page_opens_through_the_host_too_and_may_not_do_what_is_for_persons(
    tmp_path: Path, shown: Callable[..., Any]
) -> None:
    documents, home = tmp_path / "documents", tmp_path / "home"
    for folder in (documents, home):
        folder.mkdir()
    (documents / "plan.md").write_text("# Plan\n\nSow in March.\n", "utf-8")
    (home / "homeport.toml").write_text(f"[files]\nroots = ['{documents}']\n", "utf-8")
    with homeport(home, 0, "http://127.0.0.1:9"):
        with client_of("-m", "homeport", "serve", "--stdio", HOMEPORT_HOME=str(home)) as server:
            _, view = shown(*server, "files__show_files", path="documents")
            view.locator("[data-path='documents/plan.md']").click()
            expect(view.get_by_role("paragraph").filter(has_text="Sow in March.")).to_be_visible()
            view.get_by_role("button", name="Manage Locations").click()
            view.get_by_label("Path of the folder").fill(str(home))
            view.get_by_role("button", name="Add folder").click()
            expect(view.get_by_role("dialog").get_by_role("alert")).to_contain_text("files__add_root")


def test_passages_are_found_read_and_a_refusal_is_said(tmp_path: Path, shown: Callable[..., Any]) -> None:
    with alone("rag", tmp_path / "home") as (portal, client):
        text = "The lighthouse of Brevik was lit in 1931.\n"
        added = portal.call(client.call_tool, "add", {"text": text, "title": "Brevik"})
        _, view = shown(portal, client, "show_knowledge", q="lighthouse")
        view.locator(".hit-card").click()
        expect(view.locator(".line.hit")).to_contain_text("1931")
        portal.call(client.call_tool, "delete", {"document_ids": [added.structured_content["document_id"]]})
        view.get_by_role("button", name="Re-embed Document").click()
        expect(view.get_by_role("alert").filter(has_text=added.structured_content["document_id"])).to_be_visible()


def test_a_job_is_made(tmp_path: Path, shown: Callable[..., Any]) -> None:
    with alone("scheduler", tmp_path / "home") as server:
        _, view = shown(*server, "show_automation")
        view.get_by_role("button", name="New automation").first.click()
        form = view.get_by_role("dialog", name="New automation")
        form.get_by_label("Name", exact=True).fill("Morning")
        form.get_by_label("Action").select_option("emit")
        form.get_by_label("Kind of event").last.fill("day.begun")
        expect(form.get_by_text("Next runs:")).to_be_visible()
        form.get_by_role("button", name="Activate immediately").click()
        expect(view.get_by_role("row", name="Morning").first).to_contain_text("day.begun")
        expect(view.get_by_role("status").filter(has_text="Morning is saved.")).to_be_visible()
