"""Chat in a real browser: streaming, tools, approvals, stop, retry, sessions, attachments, hostile text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from playwright.sync_api import Page, expect

from homeport_shared.errors import HomeportError

from .conftest import Site
from .product import follow

pytestmark = pytest.mark.browser


def ask(page: Page, site: Site, text: str = "When does the lease end?") -> None:
    """Open a new chat and ask."""
    page.goto(f"{site.url}/chat")
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def test_an_answer_streams_in_with_its_tool_calls_and_ends_with_its_sources(site: Site, page: Page) -> None:
    site.world.gate = site.run(_event)
    ask(page, site)
    answer = page.locator("article.assistant")
    expect(answer.locator(".markdown")).to_contain_text("30 June 2027")
    expect(answer).to_have_attribute("data-state", "running")
    expect(answer.locator(".call")).to_have_attribute("data-state", "ok")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    site.run(_open_gate, site)
    expect(answer.locator(".sources a")).to_have_count(2)
    expect(answer.locator("strong").first).to_have_text("30 June 2027")
    expect(answer.locator("table")).to_contain_text("24 months")
    expect(answer.locator("code .hljs-keyword").first).to_have_text("def")
    expect(answer.locator(".cite").first).to_have_attribute(
        "href", "/open?uri=files%3A%2F%2Fdocuments%2Flease.pdf&document=d1&chunk=1&place=page%203"
    )
    answer.locator(".call summary").click()
    expect(answer.locator(".call")).to_contain_text("2 passages")
    expect(page.locator(".context")).to_contain_text("The lease runs until 30 June 2027.")
    expect(page.locator("article.user")).to_contain_text("When does the lease end?")


def test_dots_move_until_the_first_word(site: Site, page: Page) -> None:
    site.world.ask_before = "clock__wipe"
    ask(page, site)
    expect(page.locator(".dots")).to_be_visible()
    page.locator(".call").get_by_role("button", name="Approve").click()
    expect(page.locator(".markdown")).to_contain_text("30 June")
    expect(page.locator(".dots")).to_be_hidden()


def test_stop_ends_the_answer_and_keeps_what_was_written(site: Site, page: Page) -> None:
    site.world.gate = site.run(_event)
    ask(page, site)
    expect(page.locator(".markdown")).to_contain_text("30 June 2027")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("article.assistant .tag")).to_have_text("stopped")
    expect(page.locator("#spoken")).to_have_text("The answer was stopped.")
    expect(page.get_by_role("button", name="Send")).to_be_visible()


def test_a_reload_in_the_middle_continues_the_same_answer(site: Site, page: Page) -> None:
    site.world.gate = site.run(_event)
    ask(page, site)
    expect(page.locator(".markdown")).to_contain_text("30 June 2027")
    page.reload()
    expect(page.locator(".markdown strong").first).to_have_text("30 June 2027")
    site.run(_open_gate, site)
    expect(page.locator(".sources a")).to_have_count(2)
    expect(page.locator("article.assistant")).to_have_count(1)


def test_a_model_failure_is_a_system_bubble_with_retry(site: Site, page: Page) -> None:
    site.world.fail["model"] = HomeportError("unavailable", "Ollama does not answer.", "Start it with: ollama serve")
    ask(page, site)
    bubble = page.locator("article.system")
    expect(bubble).to_contain_text("Ollama does not answer. Start it with: ollama serve")
    del site.world.fail["model"]
    bubble.get_by_role("button", name="Retry").click()
    expect(page.locator(".sources a")).to_have_count(2)
    expect(page.locator("article.system")).to_have_count(0)


def test_a_message_that_could_not_be_sent_can_be_sent_again(site: Site, page: Page) -> None:
    site.world.fail["chat_send"] = HomeportError("unavailable", "No model is chosen.", "Choose one in the set-up.")
    ask(page, site)
    expect(page.locator("article.system")).to_contain_text("No model is chosen.")
    del site.world.fail["chat_send"]
    page.locator("article.system").get_by_role("button", name="Retry").click()
    expect(page.locator(".sources a")).to_have_count(2)


def test_an_approval_is_given_where_it_is_asked(site: Site, page: Page) -> None:
    site.world.ask_before = "clock__wipe"
    ask(page, site)
    call = page.locator(".call", has_text="clock__wipe")
    expect(call).to_have_attribute("data-state", "waiting")
    expect(call).to_contain_text("It deletes something.")
    expect(page.locator("[data-approvals]")).to_have_text("1")
    call.get_by_role("button", name="Deny").click()
    expect(call).to_have_attribute("data-state", "denied")
    assert ("decide_approval", {"id": "a001", "approve": False, "remember": "once"}) in site.world.calls


def test_regenerate_replaces_the_last_answer(site: Site, page: Page) -> None:
    ask(page, site)
    expect(page.locator(".sources a")).to_have_count(2)
    site.world.answer = "Another wording."
    page.get_by_role("button", name="Regenerate").click()
    expect(page.locator(".markdown")).to_have_text("Another wording.")


def test_enter_sends_shift_enter_breaks_the_line_and_the_field_grows(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/chat")
    field = page.get_by_label("Message", exact=True)
    low = field.bounding_box()
    field.press_sequentially("one")
    for _ in range(4):
        page.keyboard.press("Shift+Enter")
    high = field.bounding_box()
    assert low is not None
    assert high is not None
    assert high["height"] > low["height"] + 60
    page.get_by_label("Enter sends").uncheck()
    field.press("Enter")
    assert not site.world.calls
    page.reload()
    expect(page.get_by_label("Enter sends")).not_to_be_checked()
    page.get_by_label("Message", exact=True).fill("sent with control")
    page.keyboard.press("Control+Enter")
    expect(page.locator("article.user")).to_contain_text("sent with control")


def test_a_slash_command_runs_a_tool_without_a_model(site: Site, page: Page) -> None:
    site.world.model = ""
    page.goto(f"{site.url}/chat")
    page.get_by_label("Message", exact=True).press_sequentially("/what time")
    page.get_by_label("Message", exact=True).fill("/clock__now")
    expect(page.get_by_role("option", name="What time is it")).to_be_visible()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="What time is it")
    dialog.get_by_label("Zone").fill("CET")
    dialog.get_by_role("button", name="Run").click()
    expect(dialog.locator(".result")).to_contain_text("CET")
    page.keyboard.press("Escape")
    page.get_by_label("Message", exact=True).fill('/clock__now {"zone": "UTC"}')
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    expect(page.locator("article.assistant .result")).to_contain_text("UTC")
    page.get_by_label("Message", exact=True).fill("/clok now")
    page.keyboard.press("Enter")
    expect(page.locator(".toast")).to_contain_text("There is no command /clok.")
    expect(page.get_by_label("Message", exact=True)).to_have_value("/clok now")
    page.goto(f"{site.url}/setup?step=question")
    page.get_by_role("searchbox", name="Search").fill("lease & rent")
    page.get_by_role("button", name="Search", exact=True).click()
    page.wait_for_url("**/knowledge?q=lease%20%26%20rent")


def test_sessions_are_renamed_duplicated_archived_and_restored(site: Site, page: Page) -> None:
    site.run(_make_chat, site, "Old name")
    page.goto(f"{site.url}/chat/c001")

    def choose(action: str) -> None:
        page.locator(".session", has=page.locator("[aria-current]")).locator("summary").click()
        page.get_by_role("button", name=action, exact=True).click()

    choose("Rename")
    page.get_by_role("dialog").get_by_role("textbox").fill("New name")
    page.get_by_role("dialog").get_by_role("button", name="Rename").click()
    expect(page.locator(".session-list")).to_contain_text("New name")
    choose("Duplicate")
    expect(page.get_by_role("heading", name="New name (copy)")).to_be_visible()
    choose("Archive")
    expect(page.locator(".session-list")).not_to_contain_text("(copy)")
    follow(page.get_by_role("link", name="Show archived"))
    expect(page.locator(".session-list")).to_contain_text("New name (copy)")


def test_the_model_is_switched_within_the_conversation(site: Site, page: Page) -> None:
    ask(page, site)
    expect(page.locator(".sources a")).to_have_count(2)
    page.get_by_label("Model", exact=True).select_option("openrouter/z-ai/glm-5")
    expect(page.locator(".toast")).to_contain_text("openrouter/z-ai/glm-5 answers from now on.")
    page.reload()
    expect(page.get_by_label("Model", exact=True)).to_have_value("openrouter/z-ai/glm-5")
    expect(page.locator("article.assistant")).to_have_count(1)


def test_an_attached_file_goes_with_the_next_message(site: Site, page: Page, tmp_path: Path) -> None:
    file = tmp_path / "offer.txt"
    file.write_text("12,400 EUR", "utf-8")
    page.goto(f"{site.url}/chat")
    page.locator("#file").set_input_files(file)
    expect(page.locator("#attachments li")).to_contain_text("offer.txt")
    page.get_by_label("Message", exact=True).fill("Is it expensive?")
    page.keyboard.press("Enter")
    expect(page.locator("article.user .chips")).to_contain_text("ref-offer.txt")
    sent = dict(site.world.calls)["chat_send"]
    assert sent["attachments"] == ["ref-offer.txt"]


HOSTILE = """<script>document.title='broken'</script><img src=x onerror="document.title='broken'">

[click](javascript:document.title='broken') [data](data:text/html,<script>1</script>)
![pixel](https://evil.example/pixel.png) <iframe src="https://evil.example"></iframe>

```"><script>document.title='broken'</script>
<svg onload="document.title='broken'">
```

| <b onmouseover="document.title='broken'">x</b> |
|---|
| [[1]](javascript:alert(1)) |

$\\href{javascript:alert(1)}{x}$ and $a^2$ <a href="javascript:alert(1)">y</a>
"""


def test_hostile_markdown_runs_nothing_and_loads_nothing(site: Site, page: Page) -> None:
    outside: list[str] = []
    page.on("request", lambda request: outside.append(request.url) if not request.url.startswith(site.url) else None)
    site.world.answer = HOSTILE
    ask(page, site, "<img src=x onerror=alert(1)>")
    expect(page.locator(".sources a")).to_have_count(2)
    made = page.locator(".markdown, article.user")
    for dangerous in (
        "script",
        "img",
        "iframe",
        "svg[onload]",
        "b",
        '[href^="javascript"]',
        '[href^="data"]',
        "[onmouseover]",
    ):
        expect(made.locator(dangerous)).to_have_count(0)
    assert "broken" not in page.title()
    assert outside == []


def test_formulas_are_set_when_an_answer_has_some(site: Site, page: Page) -> None:
    site.world.answer = "It is $a^2 + b^2$ exactly, or\n\n$$\\frac{1}{2}$$\n"
    ask(page, site)
    expect(page.locator(".markdown .katex")).to_have_count(2)
    expect(page.locator(".markdown .katex-display")).to_be_visible()


def test_an_answer_is_set_as_markdown(site: Site, page: Page) -> None:
    site.world.answer = (
        "## Found\n\n- **one**\n- *two*, see [the page](https://example.org/x)\n\n"
        "| what | value |\n|---|---|\n| rent | 740 |\n\n```python\nprint('hello')\n```\n\nSo $a^2$.\n"
    )
    ask(page, site)
    answer = page.locator(".markdown")
    expect(answer.get_by_role("heading", name="Found")).to_be_visible()
    expect(answer.locator("li strong")).to_have_text("one")
    expect(answer.get_by_role("link", name="the page")).to_have_attribute("rel", "noreferrer noopener")
    expect(answer.get_by_role("cell", name="740")).to_be_visible()
    expect(answer.locator("pre code")).to_have_text("print('hello')\n")
    expect(answer.locator("pre code span").first).to_be_visible()  # highlighting splits the line into spans
    expect(answer.get_by_role("button", name="Copy code")).to_be_visible()
    expect(answer.locator(".katex")).to_be_visible()


def test_a_long_answer_arrives_whole(site: Site, page: Page) -> None:
    site.world.answer = "A **word** and `code` in a sentence.\n\n" * 500
    site.world.step = 0
    page.goto(f"{site.url}/chat")
    page.get_by_label("Message", exact=True).fill("A lot, please")
    page.keyboard.press("Enter")
    expect(page.locator(".sources a")).to_have_count(2, timeout=30_000)
    expect(page.locator(".markdown > p")).to_have_count(500)
    expect(page.locator(".sources")).to_be_in_viewport()
    expect(page.get_by_label("Message", exact=True)).to_be_in_viewport()


async def _event() -> anyio.Event:
    return anyio.Event()


async def _open_gate(site: Site) -> None:
    site.world.gate.set()


async def _make_chat(site: Site, title: str) -> Any:
    return site.world.new_chat(title)
