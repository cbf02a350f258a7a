"""Settings that are checked before they apply, and entries that are checked before they are stored."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from tests.patience import PATIENCE

from homeport_rag.collection_cache import CollectionCache
from homeport_rag.server import build_server
from homeport_shared.testing.clients import connected

pytestmark = [pytest.mark.anyio]


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return result.content[0].text


def stored(home: Path) -> dict[str, Any]:
    file = home / "homeport.toml"
    return tomllib.loads(file.read_text("utf-8")).get("rag", {}) if file.exists() else {}


@pytest.mark.usefixtures("no_model")
async def test_a_setting_that_cannot_work_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    home, folder, file = tmp_path / "home", tmp_path / "documents", tmp_path / "file"
    folder.mkdir()
    file.write_text("no folder", "utf-8")
    flags = {"folders": [str(folder)], "upload_mb": 7}
    async with connected(build_server, "rag", home, flags=flags) as client:
        for values, said in (
            ({"index_folder": "not/absolute"}, "not an absolute path"),
            ({"index_folder": str(file / "below")}, "Nothing can be written"),
            ({"watch": [str(tmp_path / "nowhere")]}, "There is no folder"),
            ({"watch": [str(tmp_path)]}, "not inside"),
            ({"embedding_address": "http://127.0.0.1:9", "embedding_model": "m"}, "127.0.0.1:9"),
            ({"watch_seconds": 1}, "watch_seconds"),
            ({"no_such": 1}, "no_such"),
            ({"upload_mb": 9}, "command line"),
        ):
            assert said in await refused(client, "change_settings", values={"max_file_mb": 5, **values}), values
        assert stored(home) == {}
        await call(client, "change_settings", values={"watch": [str(folder)], "index_folder": str(tmp_path / "index")})
        assert stored(home) == {"watch": [str(folder)], "index_folder": str(tmp_path / "index")}
        shown = {each["name"]: each for each in (await call(client, "show_settings"))["settings"]}
        assert (shown["upload_mb"]["value"], shown["upload_mb"]["fixed"]) == (7, True)
        assert (shown["watch"]["value"], shown["watch"]["default"]) == ([str(folder)], [])
        assert all(each["about"] for each in shown.values())


@pytest.mark.model
async def test_the_vector_index_is_looked_for_in_its_folder(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below 200,000 vectors the index has no file, so the place is all there is to see."""
    async with connected(build_server, "rag", tmp_path / "home") as client:
        await call(client, "add", text="a cat sleeps", document_id="c")
        with anyio.fail_after(PATIENCE):
            while (await call(client, "stats"))["collections"][0]["embedded"] < 1:
                await anyio.sleep(0.05)
        await call(client, "change_settings", values={"index_folder": str(tmp_path / "index")})
        assert (await call(client, "search", query="kitten", mode="vector"))["hits"][0]["document_id"] == "c"
        (tmp_path / "index" / "1-abc.faiss").write_bytes(b"x" * 1_000_000)
        assert (await call(client, "stats"))["bytes"] > 1_000_000
    assert CollectionCache(tmp_path / "index", "m", 1, 4).files.folder == tmp_path / "index"


@pytest.mark.usefixtures("no_model")
async def test_an_entry_that_does_not_fit_is_refused_with_its_reasons(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        await call(client, "add", text="the same words", title="First", document_id="one")
        said = await refused(client, "add", text="the same words", title="Second")
        assert "The same text is in default already, as First (one)." in said
        assert (await call(client, "add", text="the same words", title="First", document_id="one"))["outcome"]
        assert "is no address" in await refused(client, "add", text="x", uri="not an address")
        await call(client, "change_settings", values={"required": ["title", "team"]})
        said = await refused(client, "add", text="other words")
        assert "It has no title. It has no team." in said
        added = await call(client, "add", text="other words", title="T", metadata={"team": "red"})
        assert added["outcome"] == "new"
        assert len((await call(client, "list_documents"))["documents"]) == 2


@pytest.mark.usefixtures("no_model", "each_store")
async def test_an_entry_that_does_not_fit_waits_for_a_person(tmp_path: Path) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        await call(client, "change_settings", values={"required": ["title"], "unfit": "review"})
        for text in ("words of the first", "words of the second", "words of the first"):
            outcome = (await call(client, "add", text=text, metadata={"team": "red"}))["outcome"]
            assert "put aside for review" in outcome and "It has no title." in outcome
        assert (await call(client, "search", query="words"))["hits"] == []
        newest, older = (await call(client, "list_reviews"))["reviews"]
        assert (newest["text"], newest["reasons"]) == ("words of the first", ["It has no title."])
        await call(client, "decide_review", review_id=newest["review_id"], accept=True, changes={"title": "Named"})
        await call(client, "decide_review", review_id=older["review_id"], accept=False)
        [hit] = (await call(client, "search", query="words", metadata={"team": "red"}))["hits"]
        assert hit["title"] == "Named"
        assert (await call(client, "list_reviews"))["reviews"] == []
        assert "Nothing was put aside" in await refused(client, "decide_review", review_id=99, accept=True)
