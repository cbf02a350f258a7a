"""The newcomer's story, from an empty data root to an answer with citations, through real processes and real HTTP."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pptx
import pytest
from fpdf import FPDF

from homeport.connection import call as use
from homeport.connection import read
from homeport_shared.testing.model import Reply, Script, call, on

pytestmark = [pytest.mark.anyio, pytest.mark.faults]
MODEL = "ollama/qwen3:8b"
EACH = 28


def pdf(text: str) -> bytes:
    made = FPDF()
    made.set_font("Helvetica", size=12)
    for page in ("A cover page.", text):
        made.add_page()
        made.multi_cell(0, text=page)
    return bytes(made.output())


def saved(document: Any) -> bytes:
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def word(text: str) -> bytes:
    made = docx.Document()
    made.add_heading("Notes", 1)
    made.add_paragraph(text)
    return saved(made)


def sheet(text: str) -> bytes:
    made = openpyxl.Workbook()
    assert made.active is not None
    made.active.append(["Subject", text])
    return saved(made)


def slides(text: str) -> bytes:
    made = pptx.Presentation()
    slide = made.slides.add_slide(made.slide_layouts[1])
    slide.shapes.title.text = text
    return saved(made)


def mail(text: str) -> bytes:
    return f"From: a@example.org\nTo: b@example.org\nSubject: News\n\n{text}\n".encode()


KINDS = {
    "md": lambda text: f"# Notes\n\n{text}\n".encode(),
    "txt": lambda text: text.encode("utf-16"),
    "html": lambda text: f"<html><body><h1>Notes</h1><p>{text}</p></body></html>".encode(),
    "csv": lambda text: f"subject,text\nnews,{text}\n".encode(),
    "eml": mail,
    "docx": word,
    "xlsx": sheet,
    "pptx": slides,
}  # fmt: skip
BROKEN = {
    "broken.pdf": b"%PDF-1.7\nbroken",
    "broken.docx": b"PK\x03\x04 no archive",
    "encrypted.docx": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 4_000,
    "binary.txt": bytes(range(256)) * 40,
    "empty.md": b"",
}


def fill(folder: Path) -> int:
    """Write documents of every kind, and some that cannot be read; return how many can."""
    folder.mkdir()
    for number in range(EACH - 4):
        for kind, make in KINDS.items():
            (folder / f"{kind} {number}.{kind}").write_bytes(
                make(f"Item {number} of kind {kind} concerns topic{number}.")
            )
    (folder / "lease.pdf").write_bytes(pdf("The lease of the shop in Elm Street ends on 3 May 2031."))
    for name, content in BROKEN.items():
        (folder / name).write_bytes(content)
    return (EACH - 4) * len(KINDS) + 1


async def test_a_newcomer_gets_answers_with_citations_from_documents(machine: Any, tmp_path: Path) -> None:
    count = fill(tmp_path / "docs")
    machine.model.script = Script.of(
        [
            on("lease", call("rag__search", query="lease Elm Street ends"), "It ends on 3 May 2031 [1]."),
            on("slow", Reply("One " * 400, pace=0.05)),
            on("again", "A second answer."),
        ]
    )
    machine.start()
    async with machine.client() as client:
        job = await machine.add_folder(client, tmp_path / "docs")
        assert job["state"] == "completed"
        status = await use(client, "homeport__status")
        assert status["documents"]["count"] >= count
        told = str(job)
        assert "broken.pdf" in told and "encrypted.docx" in told, "what could not be read is named"
        session = await ask_and_check(machine, client)
        await stop_and_regenerate(machine, client, session)
    assert machine.stop() == 0

    machine.start()
    async with machine.client(era="legacy") as client:
        chat = await use(client, "homeport__get_chat", session_id=session)
        assert [message["role"] for message in chat["messages"]][:2] == ["user", "assistant"]
        sent = await use(client, "homeport__chat_send", text="And again?", session_id=session)
        run = await machine.ended(client, sent["run_id"])
        assert (run["state"], run["answer"]) == ("completed", "A second answer.")
        asked = machine.model.chats[-1].messages
        assert any("3 May 2031" in message["content"] for message in asked), "the history goes on after a restart"


async def ask_and_check(machine: Any, client: Any) -> str:
    """Ask in a chat, follow the events, and open the cited place."""
    sent = await use(client, "homeport__chat_send", text="When does the lease end?", model=MODEL)
    run = await machine.ended(client, sent["run_id"])
    assert (run["state"], run["answer"]) == ("completed", "It ends on 3 May 2031 [1].")
    (citation,) = run["citations"]
    assert citation["title"] and citation["place"] == "page 2"
    assert "3 May 2031" in citation["text"]
    assert "3 May 2031" in str(await read(client, f"rag://documents/{citation['document_id']}")), (
        "the citation opens the document"
    )

    events = (await read(client, f"run://{run['id']}/events"))["events"]
    kinds = [event["kind"] for event in events]
    assert kinds[-1] == "done"
    assert {"state", "call", "text", "usage"} <= set(kinds)
    assert [event["seq"] for event in events] == sorted({event["seq"] for event in events})
    assert "".join(event["data"]["text"] for event in events if event["kind"] == "text").endswith("2031 [1].")
    later = await read(client, f"run://{run['id']}/events/{events[-2]['seq']}")
    assert [event["kind"] for event in later["events"]] == ["done"]
    return sent["session_id"]


async def stop_and_regenerate(machine: Any, client: Any, session: str) -> None:
    """Stop a long answer, have it written anew by another model, and attach a note."""
    await use(client, "homeport__chat_send", text="Tell a slow story", session_id=session)
    chat = await use(client, "homeport__get_chat", session_id=session)
    running = chat["running_run"]
    await use(client, "homeport__chat_stop", session_id=session)
    assert (await machine.ended(client, running))["state"] == "cancelled"

    machine.model.script = Script.of([on("slow", "A short story."), on("again", "A second answer.")])
    await use(client, "homeport__chat_update", session_id=session, model="openrouter/qwen/qwen3-8b")
    sent = await use(client, "homeport__chat_regenerate", session_id=session)
    run = await machine.ended(client, sent["run_id"])
    assert (run["answer"], run["model"]) == ("A short story.", "openrouter/qwen/qwen3-8b")
    for name, text in (("rain.txt", "Bring an umbrella."), ("snow.txt", "Bring a coat.")):
        attached = await use(client, "homeport__chat_attach", name=name, session_id=session, text=text)
        assert attached["reference"]
        found = await use(client, "rag__search", query="bring", collections=[f"chat-{session}"])
        assert text in str(found["hits"])


async def test_an_agent_uses_a_third_party_tool_once_a_person_approves(shared_machine: Any, tmp_path: Path) -> None:
    machine, effects = shared_machine, tmp_path / "effects"
    machine.model.script = Script.of([on("note it", call("diary__append", text="bought milk"), "Noted.")])
    async with machine.client() as client:
        await machine.add_strange(client, "diary", "ledger", str(effects))
        run = await machine.run(client, "note it, please", state="waiting")
        assert run["state"] == "waiting"
        assert effects.read_text() == ""
        (approval,) = (await use(client, "homeport__list_approvals"))["approvals"]
        assert (approval["tool"], approval["arguments"]) == ("diary__append", {"text": "bought milk"})
        await use(client, "homeport__decide_approval", approval_id=approval["id"], approve=True)
        run = await machine.ended(client, run["id"])
        assert (run["state"], run["answer"]) == ("completed", "Noted.")
        assert effects.read_text() == "bought milk\n"


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_client_may_ask_for_a_search_instead_of_all_tools(era: str, shared_machine: Any) -> None:
    headers = {"X-Homeport-Expose": "search"}
    async with shared_machine.client("client:cursor", era=era, headers=headers) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert {"search_tools", "call_tool"} <= names
        assert len(names) < 15
        found = str(await client.call_tool("search_tools", {"query": "list files of a folder"}))
        assert "files__list" in found
        result = await client.call_tool("call_tool", {"name": "files__list", "arguments": {"path": ""}})
        assert not result.is_error
