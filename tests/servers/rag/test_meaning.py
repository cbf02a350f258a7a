"""Search by meaning: hybrid and vector mode, background embedding, a model that comes later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from homeport_rag.server import build_server
from homeport_shared.testing.clients import connected

pytestmark = [pytest.mark.anyio, pytest.mark.model]

TEXTS = {
    "Kitchen": "The kettle is switched off at night.",
    "Garden": "Roses want water every morning.",
    "Car": "The automobile needs petrol and new tyres.",
}


async def embedded(client: Client, count: int) -> None:
    with anyio.fail_after(60):
        while True:
            stats = (await client.call_tool("stats", {})).structured_content
            if sum(collection["embedded"] for collection in stats["collections"]) == count:
                return
            await anyio.sleep(0.05)


async def search(client: Client, query: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool("search", {"query": query, **arguments})
    assert not result.is_error, result.content
    return result.structured_content


async def test_a_question_finds_what_it_means_without_sharing_a_word(tmp_path: Path, model: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        for title, text in TEXTS.items():
            await client.call_tool("add", {"text": text, "title": title})
        await embedded(client, 3)
        found = await search(client, "fuel for my vehicle")
        assert (found["mode"], found["why"]) == ("hybrid", "")
        assert found["hits"][0]["title"] == "Car"
        assert set(found["hits"][0]["parts"]) == {"vector_rank", "cosine"}
        both = await search(client, "kettle at night")
        assert both["hits"][0]["parts"]["lexical_rank"] == both["hits"][0]["parts"]["vector_rank"] == 1
        assert both["hits"][0]["score"] == 1
