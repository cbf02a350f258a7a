"""What the files server does with others through the host: the knowledge base follows its files, agents read one."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.patience import PATIENCE

from homeport_host.gateway.neighbours import HostNeighbours
from homeport_host.governance.calls import Caller
from homeport_host.host import Host, open_host
from homeport_shared import identity
from homeport_shared.errors import HomeportError
from homeport_shared.testing.model import ModelDouble, Script, call, on

pytestmark = [pytest.mark.anyio]
LEASE = "The rent of the flat is paid on the first day of each month.\n"


@asynccontextmanager
async def opened(tmp_path: Path, settings: str = "") -> AsyncGenerator[Host]:
    folder = tmp_path / "docs"
    folder.mkdir(exist_ok=True)
    (tmp_path / "home").mkdir(exist_ok=True)
    text = f'[files]\nroots = ["docs={folder}"]\n{settings}'
    if not (tmp_path / "home" / "homeport.toml").exists():
        (tmp_path / "home" / "homeport.toml").write_text(text)
    async with open_host(tmp_path / "home") as host:
        yield host


async def ended(host: Host, job: str) -> dict[str, Any]:
    with anyio.fail_after(PATIENCE):
        while True:
            [row] = (await host.call("files__jobs", {"job_id": job}))["jobs"]
            if row["state"] in ("completed", "failed", "cancelled"):
                return row
            await anyio.sleep(0.05)


async def documents(host: Host) -> list[dict[str, Any]]:
    return (await host.call("rag__browse_documents", {}))["documents"]


async def entry(host: Host, path: str) -> dict[str, Any]:
    return await host.call("files__info", {"path": path})


@pytest.mark.slow
async def test_vectorized_files_are_known_found_by_meaning_and_followed(tmp_path: Path) -> None:
    async with opened(tmp_path) as host:
        folder = tmp_path / "docs"
        (folder / "lease.txt").write_text(LEASE)
        (folder / "notes.txt").write_text("Call the bank.\n")
        (folder / "data.bin").write_bytes(b"\0\1\2")
        job = await host.call("files__vectorize", {"paths": ["docs/lease.txt", "docs/notes.txt", "docs/data.bin"]})
        done = await ended(host, job["job_id"])
        assert (done["state"], done["counters"]["vectorized"], done["counters"]["failed"]) == ("completed", 2, 1)
        assert "docs/data.bin" in done["notes"][0]
        assert (await entry(host, "docs/lease.txt"))["vectorized"]
        assert "problem" in (await entry(host, "docs/data.bin"))["knowledge"]
        hits = (await host.call("files__search", {"query": "rent", "mode": "meaning"}))["hits"]
        assert hits[0]["path"] == "docs/lease.txt"

        await host.call("files__write", {"path": "docs/lease.txt", "content": "Nothing more.\n", "overwrite": True})
        with anyio.fail_after(PATIENCE):
            while not (await entry(host, "docs/lease.txt"))["vectorized"]:
                await anyio.sleep(0.1)
        [document] = [each for each in await documents(host) if each["title"] == "lease.txt"]
        text = (await host.call("rag__get", {"document_id": document["document_id"]}))["text"]
        assert "Nothing more" in text

        await host.call("files__move", {"source": "docs/lease.txt", "target": "docs/old/rent.txt"})
        with anyio.fail_after(PATIENCE):
            while {"rent.txt"} - {d["title"] for d in await documents(host)} or "lease.txt" in {
                d["title"] for d in await documents(host)
            }:
                await anyio.sleep(0.1)
        assert (await entry(host, "docs/old/rent.txt"))["vectorized"]

        await host.call("files__delete", {"paths": ["docs/old"], "recursive": True})
        (folder / "notes.txt").unlink()
        with anyio.fail_after(PATIENCE):
            while {d["title"] for d in await documents(host)} & {"rent.txt", "notes.txt"}:
                await anyio.sleep(0.1)


@pytest.mark.slow
async def test_a_marked_folder_is_kept_in_step_and_shows_its_state(tmp_path: Path) -> None:
    folder = tmp_path / "docs" / "in"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text(LEASE)
    (folder / "bad.pdf").write_bytes(b"%PDF-1.7 broken")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "page.html").write_text("<p>Nobody's document.</p>")
    async with opened(tmp_path) as host:
        started = (await host.call("files__index_folder", {"path": "docs/in"}))["jobs"][0]
        await ended(host, started["job_id"])
        for hidden in (".git/config.txt", "node_modules/left-pad/readme.md"):
            (folder / hidden).parent.mkdir(parents=True)
            (folder / hidden).write_text("Nobody's document.\n")
        (folder / "cat.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        (folder / "b.txt").write_text("A new file, by another program.\n")
        with anyio.fail_after(PATIENCE):
            while not (await entry(host, "docs/in/b.txt"))["vectorized"]:
                await anyio.sleep(0.1)
        _, row = (await host.call("files__folders", {"path": "docs", "depth": 1}))["folders"]
        assert (row["path"], row["indexed"], row["vectorized"], row["failed"]) == ("docs/in", "default", 2, 1)
        assert "docs/in/bad.pdf" in row["problem"]
        assert {each["title"] for each in await documents(host)} == {"a.txt", "b.txt", "bad.pdf"}
    (folder / "c.txt").write_text("Written while nobody watched.\n")
    async with opened(tmp_path) as host:
        with anyio.fail_after(PATIENCE):
            while not (await entry(host, "docs/in/c.txt"))["vectorized"]:
                await anyio.sleep(0.1)
        await host.call("files__index_folder", {"path": "docs/in", "on": False})
        _, row = (await host.call("files__folders", {"path": "docs", "depth": 1}))["folders"]
        assert row["indexed"] == ""


@pytest.mark.slow
async def test_an_upload_is_vectorized_unless_it_is_told_not_to_be(tmp_path: Path) -> None:
    async with opened(tmp_path) as host:
        given = {"folder": "docs", "files": [{"name": "a.txt", "content": "bGVhc2UK"}]}
        result = await host.call("files__upload", given)
        await ended(host, result["vectorizing"])
        assert (await entry(host, "docs/a.txt"))["vectorized"]
        quiet = {"folder": "docs", "files": [{"name": "b.txt", "content": "cmVudAo="}], "vectorize": False}
        assert (await host.call("files__upload", quiet))["vectorizing"] == ""


async def test_a_file_becomes_part_of_a_chat(tmp_path: Path) -> None:
    async with opened(tmp_path) as host:
        (tmp_path / "docs" / "lease.txt").write_text(LEASE)
        chat = await host.call("files__attach", {"path": "docs/lease.txt"})
        listed = (await host.call("files__chats", {}))["chats"]
        assert [each["session_id"] for each in listed] == [chat["session_id"]]
        in_chat = {"collection": f"chat-{chat['session_id']}"}
        [document] = (await host.call("rag__browse_documents", in_chat))["documents"]
        text = (await host.call("rag__get", {"document_id": document["document_id"]}))["text"]
        assert LEASE.strip() in text


async def test_an_agent_cannot_widen_what_the_knowledge_base_may_read_by_way_of_files(tmp_path: Path) -> None:
    async with opened(tmp_path) as host:
        (tmp_path / "docs" / "a.txt").write_text(LEASE)
        agent = Caller("chat", "agent")
        result = await host.dispatcher.call_tool(agent, "files__vectorize", {"paths": ["docs/a.txt"]})
        assert result["isError"]
        identity.enter(identity.Identity(actor="agent", caller="chat"))
        files = HostNeighbours("files", host.call)
        with pytest.raises(HomeportError, match="may not call rag__add_folder"):
            await files.call("rag__add_folder", {"path": str(tmp_path)})
        with pytest.raises(HomeportError, match="may not call"):
            await files.call("homeport__add_server", {})
        with pytest.raises(HomeportError, match="may not call"):
            await HostNeighbours("web", host.call).call("rag__add", {"text": "x"})


async def test_an_agent_of_the_host_summarises_a_file_as_a_job_and_any_client_gets_the_prompt(tmp_path: Path) -> None:
    script = Script.of(
        [
            on("Summarise", call("files__read", path="docs/lease.txt"), "It is about the rent."),
            on("summarise", call("files__read", path="docs/lease.txt"), "It is about the rent."),
            on("Who owns it", call("files__read", path="docs/lease.txt"), "The file does not say."),
            on("list its names", call("files__read", path="docs/lease.txt"), "Names: none."),
        ]
    )
    with ModelDouble(script).running() as model:
        settings = f'\n[models]\nollama_url = "{model.ollama_url}"\ndefault = "ollama/qwen3:8b"\n'
        async with opened(tmp_path, settings) as host:
            (tmp_path / "docs" / "lease.txt").write_text(LEASE)
            for about, question, answer in (
                ("summary", "", "It is about the rent."),
                ("answer", "Who owns it?", "The file does not say."),
                ("entities", "", "Names: none."),
            ):
                given = {"path": "docs/lease.txt", "about": about, "question": question}
                job = await ended(host, (await host.call("files__ask", given))["job_id"])
                assert (job["state"], job["notes"]) == ("completed", [answer]), job["error"]
            assert LEASE.strip() in json.dumps([chat.body for chat in model.chats])
            person = Caller("person", "test")
            found = await host.dispatcher.get_prompt(
                person, "files__ask_file", {"path": "docs/lease.txt", "question": "Why?"}
            )
            assert "docs/lease.txt" in str(found)
            with pytest.raises(HomeportError, match="question is empty"):
                await host.call("files__ask", {"path": "docs/lease.txt", "about": "answer"})
