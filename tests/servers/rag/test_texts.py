"""Entries given as text: store, find, read, update, delete."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeport_rag.server import build_server
from homeport_shared.testing.clients import Era, connected

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_model")]


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_stored_text_is_found_with_its_place(tmp_path: Path, era: Era) -> None:
    async with connected(build_server, "rag", tmp_path, era=era) as client:
        text = "Office rules\n\nThe kettle is in the\nblue kitchen."
        added = await client.call_tool("add", {"text": text, "title": "Rules"})
        found = (await client.call_tool("search", {"query": "where are the kettles?"})).structured_content
        assert found["mode"] == "lexical"
        assert "holds no embedding model" in found["why"]
        (hit,) = found["hits"]
        assert hit["document_id"] == added.structured_content["document_id"]
        assert (hit["line"], hit["end_line"]) == (1, 4)
