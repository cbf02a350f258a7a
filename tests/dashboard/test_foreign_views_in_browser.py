"""The view of somebody else's server, in a real browser over the whole product."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from tests.patience import PATIENCE

from .product import homeport

pytestmark = pytest.mark.browser
COUNTER = Path(__file__).parent / "fixtures" / "counter.py"


def test_a_third_partys_view_opens_and_calls_its_own_tools(tmp_path: Path, browser: Browser) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "homeport.toml").write_text("[host]\ninternet = false\n", "utf-8")
    entry = {"command": sys.executable, "args": [str(COUNTER)]}
    (home / "mcp.json").write_text(json.dumps({"mcpServers": {"counter": entry}}), "utf-8")
    with homeport(home, 0, "http://127.0.0.1:9") as url:
        page = browser.new_page()
        page.set_default_timeout(1_000 * PATIENCE)
        page.goto(url)
        page.goto("/".join([*page.url.split("/")[:3], "servers", "counter"]))
        page.get_by_role("link", name="Open its page").click()
        view = page.frame_locator("iframe")
        expect(view.locator("#count")).to_have_text("41")
        view.get_by_role("button", name="One more").click()
        question = page.get_by_role("dialog", name="counter__add_one")
        expect(question).to_be_visible()  # the tool says nothing about itself, so a person is asked
        expect(view.locator("#count")).to_have_text("41")
        question.get_by_role("button", name="Approve and run").click()
        expect(view.locator("#count")).to_have_text("42")
        page.close()
