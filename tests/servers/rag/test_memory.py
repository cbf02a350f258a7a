"""Memory: remember, recall, forget; isolation, decay, limits, the Markdown copy."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from tests.patience import PATIENCE

from homeport_rag.notebook import parsed, rendered
from homeport_rag.results.memories import MemoryEntry
from homeport_rag.server import build_server
from homeport_shared.context import open_context
from homeport_shared.identity import Identity
from homeport_shared.testing.clients import connected

pytestmark = [pytest.mark.anyio]


class Shifted:
    """A clock that can be set forward."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()


async def call(client: Client, tool: str, who: Identity | None = None, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments, meta=who.as_meta() if who else None)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


async def texts(client: Client, query: str = "", who: Identity | None = None, **arguments: Any) -> list[str]:
    return [m["text"] for m in (await call(client, "recall", who, query=query, **arguments))["memories"]]


@asynccontextmanager
async def hosted(home: Path) -> AsyncGenerator[Client]:
    """A server whose caller is believed, as inside the host."""
    async with open_context("rag", home=home, in_process=True) as context, Client(build_server(context)) as client:
        yield client


@pytest.mark.usefixtures("no_model")
async def test_what_is_remembered_is_recalled_after_a_restart(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        first = await call(client, "remember", text="The boiler is serviced in May.", subject="boiler", tags=["home"])
        again = await call(client, "remember", text="The boiler is serviced in May.", subject="boiler", tags=["home"])
        await call(client, "remember", text="Anna likes tea.", kind="preference")
        assert again["id"] == first["id"]
    async with connected(build_server, "rag", tmp_path) as client:
        assert await texts(client, "when is the boiler serviced") == ["The boiler is serviced in May."]
        assert await texts(client, tags=["home"]) == ["The boiler is serviced in May."]
        assert await texts(client, kind="preference") == ["Anna likes tea."]
        assert (await call(client, "search", query="boiler"))["hits"] == []
        assert sum(each["documents"] for each in (await call(client, "stats"))["collections"]) == 0


@pytest.mark.usefixtures("no_model", "each_store")
async def test_memories_belong_to_their_user_agent_and_tenant(tmp_path: Path) -> None:
    anna, scout = Identity(actor="anna"), Identity(actor="anna", agent="scout")
    async with hosted(tmp_path) as client:
        secret = await call(client, "remember", scout, text="The tea is in the cupboard.")
        await call(client, "remember", anna, text="Anna takes her tea without sugar.")
        assert len(await texts(client, "tea", anna)) == 2
        assert len(await texts(client, "tea", scout)) == 2
        for other in (Identity(actor="ben"), Identity(actor="anna", tenant="firm")):
            assert await texts(client, "tea", other) == []
        assert await texts(client, "tea", Identity(actor="anna", agent="cook")) == ["Anna takes her tea without sugar."]
        for tool in ("get", "show_document", "export_document"):
            result = await client.call_tool(tool, {"document_id": secret["id"]})
            assert "no document" in result.content[0].text
        deleted = await call(client, "delete", document_ids=[secret["id"]])
        assert deleted["missing"] == [secret["id"]]
        result = await client.call_tool("search", {"query": "tea", "collections": [".memory"]})
        assert "no collection" in result.content[0].text


@pytest.mark.usefixtures("no_model")
async def test_preferences_are_their_users_for_all_agents_and_do_not_fade(tmp_path: Path) -> None:
    anna, ben, scout = Identity(actor="anna"), Identity(actor="ben"), Identity(actor="anna", agent="scout")

    async def told(client: Client, who: Identity) -> list[str]:
        read = await client.read_resource("memory://preferences", meta=who.as_meta())
        return read.contents[0].text.split("\n")  # type: ignore[union-attr]

    async with hosted(tmp_path) as client:
        await call(client, "remember", scout, text="Anna likes\nshort answers.", kind="preference")
        await call(client, "remember", anna, text="Never use a table.", kind="preference", importance=0.9)
        await call(client, "remember", anna, text="Anna has a cat.")
        await call(client, "remember", ben, text="Ben likes " + "long " * 200, kind="preference")
        for who in (anna, scout, Identity(actor="anna", agent="cook")):
            assert await told(client, who) == ["- Never use a table.", "- Anna likes short answers."]
        assert [len(line) for line in await told(client, ben)] == [303]
        for number in range(20):
            await call(client, "remember", ben, text=f"{number} " + "much " * 50, kind="preference")
        assert sum(map(len, await told(client, ben))) <= 1_500
        refused = await client.call_tool(
            "remember", {"text": "Obey.", "kind": "preference"}, meta=Identity(actor="anna", caller="job").as_meta()
        )
        assert "Only a person has preferences" in refused.content[0].text  # type: ignore[union-attr]


@pytest.mark.usefixtures("no_model", "each_store")
async def test_memories_are_corrected_and_forgotten(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        first = await call(client, "remember", text="The door code is 1111.")
        await call(client, "remember", text="The door code is 2222.", memory_id=first["id"])
        await call(client, "remember", text="The bins go out on Monday.")
        assert await texts(client, "door code") == ["The door code is 2222."]
        unknown = await client.call_tool("forget", {"memory_ids": [first["id"], "nonsense"]})
        assert "no memory 'nonsense'" in unknown.content[0].text
        await call(client, "forget", memory_ids=[first["id"]])
        assert await texts(client) == ["The bins go out on Monday."]
        refused = await client.call_tool("forget", {})
        assert "All 1 memories" in refused.content[0].text
        await call(client, "forget", confirm="all")
        assert await texts(client) == []
        assert [*(tmp_path / "rag" / "memories").rglob("*.md")] == []


@pytest.mark.usefixtures("no_model")
async def test_an_edited_markdown_file_is_taken_over(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        await call(client, "remember", text="The cat is grey.", subject="cat", importance=0.4)
        [file] = (tmp_path / "rag" / "memories").rglob("*.md")
        text = file.read_text("utf-8")
        assert 'subject: "cat"' in text
        file.write_text(text.replace("grey", "black").replace("0.4", "0.9"), "utf-8")
        assert await texts(client, "cat") == ["The cat is black."]
        [memory] = (await call(client, "list_memories"))["memories"]
        assert memory["importance"] == 0.9
        file.write_text("The cat is white.", "utf-8")
        assert await texts(client, "cat") == ["The cat is white."], "facts that were left out stay"
        file.write_text("---\nkind: what is this\n---\n", "utf-8")
        recalled = await call(client, "recall", query="cat")
        assert [memory["text"] for memory in recalled["memories"]] == ["The cat is white."]
        assert f"{file} is no memory any more" in recalled["why"]


@pytest.mark.usefixtures("no_model")
async def test_memories_fade_the_less_important_the_sooner(tmp_path: Path) -> None:
    clock = Shifted()
    async with connected(build_server, "rag", tmp_path, clock=clock) as client:
        await call(client, "remember", text="the weather was fine", importance=0.1)
        await call(client, "remember", text="the weather station is on the roof", importance=0.9)
        assert len(await texts(client, "weather")) == 2
        clock.moment += timedelta(days=180)
        assert await texts(client, "weather") == ["the weather station is on the roof"]
        memories = (await call(client, "list_memories"))["memories"]
        assert len(memories) == 2
        assert all(memory["strength"] < memory["importance"] for memory in memories)


@pytest.mark.usefixtures("no_model", "each_store")
async def test_the_least_important_go_first_at_the_limit(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path, flags={"memory_limit": 10}) as client:
        for number in range(14):
            await call(client, "remember", text=f"fact number {number}", importance=number % 7 / 10)
        kept = [memory["importance"] for memory in (await call(client, "list_memories"))["memories"]]
        assert len(kept) == 10
        assert min(kept) >= 0.2


@pytest.mark.model
async def test_memories_are_recalled_by_meaning(tmp_path: Path, model: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        for text in ("The automobile needs new tyres.", "Roses want water.", "The kettle is blue."):
            await call(client, "remember", text=text)
        with anyio.fail_after(PATIENCE):
            while (await call(client, "list_memories", query="repairs of my car"))["mode"] != "hybrid":
                await anyio.sleep(0.05)
            while (await texts(client, "repairs of my car", k=1)) != ["The automobile needs new tyres."]:
                await anyio.sleep(0.05)
        found = (await call(client, "recall", query="repairs of my car"))["memories"]
        assert [m["similarity"] for m in found] == sorted((m["similarity"] for m in found), reverse=True)


def test_a_memory_reads_back_as_it_was_written() -> None:
    entry = MemoryEntry(
        memory_id="m", text='a "quote"\n---\nand more', kind="semantic", subject="x: y", tags=["ä", "b,c"],
        source="", at="2026-01-01T00:00:00Z", importance=0.5, agent="",
    )  # fmt: skip
    assert parsed(rendered(entry), entry) == entry
    assert parsed("only the text", entry) == entry.model_copy(update={"text": "only the text"})
    assert parsed('---\nimportance: "much"\n---\ntext', entry) is None
    assert parsed("---\nkind: a head that does not end", entry) is None


@pytest.mark.usefixtures("no_model")
async def test_a_time_that_is_none_is_refused(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        result = await client.call_tool("recall", {"since": "yesterday"})
        assert result.is_error and "'yesterday' is no date." in result.content[0].text
        await call(client, "remember", text="Anna likes tea.")
        assert await texts(client, since="2020-01-31") == ["Anna likes tea."]
        assert await texts(client, since="2099-01-31T10:00:00Z") == []
