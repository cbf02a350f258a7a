"""The parts of Chat, approvals, set-up and forms that pages fetch by themselves."""

from __future__ import annotations

import pytest
from tests.dashboard.house import BASE, House

pytestmark = pytest.mark.anyio


async def test_the_parts_of_a_chat_are_fetched_alone(house: House) -> None:
    sent = await house.act("homeport__chat_send", text="Look at the roof")
    await house.ended(sent["run_id"])
    chat = f"/chat/{sent['session_id']}"
    messages = await house.page(chat, part="messages")
    assert messages.texts(".message .plain")[0] == "Look at the roof"
    assert "The roof is tight." in messages.text("body")
    assert messages.all("nav") == []
    sessions = await house.page(chat, part="sessions", q="roof")
    assert chat in sessions.links("a").values()
    context = await house.page(chat, part="context")
    assert "Read a page" in context.text("body")


async def test_a_chat_offers_models_and_commands(house: House) -> None:
    assert "ollama/qwen3:8b" in (await house.browser.get("/chat/models")).json()
    commands = {command["name"]: command for command in (await house.browser.get("/chat/commands")).json()}
    assert commands["files__read"]["server"] == "files"


async def test_approvals_are_listed_by_state_and_fetched_alone(house: House) -> None:
    run = await house.task("Look at the roof")
    asked = await house.told("homeport__run_forget", run_ids=[run])
    card = f"#approval-{asked['approval']['id']}"
    assert len((await house.page("/approvals", part="list")).all(card)) == 1
    await house.act("homeport__decide_approval", approval_id=asked["approval"]["id"], approve=False)
    assert (await house.page("/approvals", part="list")).all(card) == []
    denied = await house.page("/approvals", state="denied")
    assert denied.text(f"{card} .state") == "denied"


async def test_each_step_of_the_set_up_is_fetched_alone(house: House) -> None:
    model = await house.page("/setup", part="step", step="model")
    assert "Where should answers come from?" in model.text("body")
    assert "ollama/qwen3:8b" in model.text("body")
    folder = await house.page("/setup", part="step", step="folder")
    assert "docs" in folder.text("body")


async def test_a_form_of_a_tool_is_filled_by_its_address_and_read_into_arguments(house: House) -> None:
    form = await house.page("/tools/files__read", part="form", path="docs/a.txt")
    assert form.all('[name="path"]')[0].attributes["value"] == "docs/a.txt"
    filled = {"path": "docs/a.txt", "start_line": "3"}
    read = await house.browser.post("/tools/files__read/arguments", json=filled, headers={"Origin": BASE})
    assert read.json()["path"] == "docs/a.txt"
    empty = await house.browser.post("/tools/files__delete/arguments", json={"paths": " "}, headers={"Origin": BASE})
    assert (empty.status_code, empty.json()["error"]["message"]) == (400, "Paths is empty.")


async def test_servers_are_listed_and_one_shows_its_tools(house: House) -> None:
    page = await house.page("/servers")
    assert {"/servers/files", "/servers/rag"} <= set(page.links("main a.list-row").values())
    server = await house.page("/servers/files")
    assert "/tools/files__read" in server.links("main a").values()


@pytest.mark.parametrize("path", ["/servers/nowhere", "/tools/nowhere__tool"])
async def test_a_server_or_tool_that_is_not_there_says_where_to_look(house: House, path: str) -> None:
    page = await house.ask(path)
    assert page.status == 404
    assert "There is no" in page.text()


async def test_the_first_page_refreshes_its_parts_alone(house: House) -> None:
    await house.act("homeport__finish_setup", skipped=True)
    await house.task("Look at the roof", title="Just done")
    part = await house.page("/", part="all")
    assert "Just done" in part.text("body")
    assert part.all("nav[aria-label=Pages]") == []


async def test_what_every_page_shows_in_its_frame_is_asked_alone(house: House) -> None:
    shell = (await house.browser.get("/shell")).json()
    assert shell.keys() == {"mode", "approvals", "notifications"}
