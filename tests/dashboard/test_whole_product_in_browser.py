"""What a newcomer sees: the whole product as a process, a scripted model, a third-party server, a real browser."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.patience import PATIENCE

from .product import follow, homeport, program

pytestmark = pytest.mark.browser
MODEL = [
    {
        "when": "lease",
        "replies": [
            {"calls": [{"name": "rag__search", "arguments": {"query": "lease ends", "mode": "lexical"}}]},
            "It **ends on 30 June 2027** [1].",
        ],
    },
    {
        "when": "tidy",
        "replies": [
            {
                "calls": [
                    {
                        "name": "files__write",
                        "arguments": {"path": "papers/lease.txt", "content": "Tidy.", "overwrite": True},
                    }
                ]
            },
            "I tidied up.",
        ],
    },
    {"when": "wipe", "replies": [{"calls": [{"name": "diary__wipe", "arguments": {"day": "Monday"}}]}, "{result}"]},
]
DIARY = '''
from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations

server = MCPServer("diary")


@server.tool(annotations=ToolAnnotations(destructive_hint=True))
def wipe(day: str) -> str:
    """Delete a day for good."""
    return f"{day} is gone."


server.run("stdio")
'''


def ask(page: Page, text: str) -> None:
    """Say something in a new chat."""
    follow(page.get_by_role("link", name="Chat", exact=True).first)
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def test_a_newcomer_comes_from_nothing_to_a_cited_answer_and_a_restart_loses_nothing(
    tmp_path: Path, browser: Browser
) -> None:
    papers, home = tmp_path / "papers", tmp_path / "home"
    papers.mkdir()
    (papers / "lease.txt").write_text("Nothing.\n\n" * 90 + "The lease ends on 30 June 2027.\n", "utf-8")
    (tmp_path / "script.json").write_text(json.dumps(MODEL), "utf-8")
    (tmp_path / "diary.py").write_text(DIARY, "utf-8")
    home.mkdir()
    diary = {"command": sys.executable, "args": [str(tmp_path / "diary.py")]}
    (home / "mcp.json").write_text(json.dumps({"mcpServers": {"diary": diary}}), "utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    page = browser.new_page()
    page.set_default_timeout(1_000 * PATIENCE)
    arguments = ["homeport_shared.testing.model", "--script", str(tmp_path / "script.json"), "--key", "good"]
    with program(arguments, {}, r'"ollama": "([^"]+)"') as model:
        with homeport(home, port, model) as url:
            page.goto(url)
            expect(page.get_by_role("heading", name="Set up Homeport")).to_be_visible()
            _enter_a_key(page)
            _choose_folder_and_ask(page, papers)
            _take_back_what_an_agent_wrote(page, papers / "lease.txt")
            ask(page, "wipe Monday")
            page.locator(".call").get_by_role("button", name="Approve").click()
            expect(page.locator(".markdown")).to_contain_text("Monday is gone.")
        expect(page.locator("[data-link-state]")).to_have_attribute("data-link-state", "off")
        with homeport(home, port, model):
            expect(page.locator("[data-link-state]")).to_have_attribute("data-link-state", "on")
            page.reload()
            expect(page.locator(".markdown")).to_contain_text("Monday is gone.")
            page.get_by_role("link", name="Dashboard").click()
            expect(page.locator("#home-live")).to_contain_text("wipe Monday")
    page.close()


def _take_back_what_an_agent_wrote(page: Page, file: Path) -> None:
    before = file.read_bytes()
    ask(page, "tidy my papers")
    page.get_by_role("button", name="Undo file changes").click()
    expect(page.locator(".toast").last).to_contain_text("Taken back: 1 change.")
    assert file.read_bytes() == before


def _enter_a_key(page: Page) -> None:
    for key, answer in (("bad", "OpenRouter refused the call"), ("good", "The key works.")):
        page.get_by_label("OpenRouter key").fill(key)
        page.get_by_role("button", name="Save key").click()
        expect(page.locator(".toast").last).to_contain_text(answer)
    expect(page.get_by_label("Cloud model")).to_be_visible()


def _choose_folder_and_ask(page: Page, papers: Path) -> None:
    expect(page.get_by_role("button", name="nomic-embed-text")).to_have_count(0)
    page.get_by_role("button", name="ollama/qwen3:8b").click()
    page.get_by_role("textbox", name="Folder").fill(str(papers))
    page.get_by_role("button", name="Add folder").click()
    page.wait_for_url("**/setup?step=question")
    page.get_by_role("link", name="Knowledge").click()
    expect(page.frame_locator("iframe").locator(".pane").first).to_contain_text("lease.txt")
    page.go_back()
    page.get_by_role("textbox", name="Question").fill("When does the lease end?")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator(".markdown strong")).to_have_text("ends on 30 June 2027")
    page.locator(".markdown .cite").click()
    passage = page.frame_locator("iframe").locator(".line.hit")
    expect(passage.filter(has_text="30 June 2027")).to_have_count(1)
    expect(passage.first).to_be_in_viewport()
