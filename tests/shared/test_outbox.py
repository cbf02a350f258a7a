"""Events that wait in a server's own process to be read: none is left out, none is told twice."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from tests.patience import PATIENCE

from homeport_shared import identity, outbox
from homeport_shared.context import KEY_VARIABLE, open_context
from homeport_shared.events import Event
from homeport_shared.server import Server

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def opened(home: Path, **options: Any) -> AsyncGenerator[Any]:
    async with open_context("notes", home=home, **options) as context:
        yield context


async def page(context: Any, after: str) -> dict[str, Any]:
    return json.loads(await context.events.page(after))


async def test_a_reader_goes_on_where_it_stopped_also_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path, followed=True) as context:
        identity.enter(identity.Identity(run="r1"))
        await context.events.publish(Event("note.added", "note://1", {"text": "ä"}, "c1"))
        await context.events._batcher.drain()
        first = await page(context, "0")
        told = {"kind": "note.added", "subject": "note://1", "data": {"text": "ä"}, "correlation": "c1", "run": "r1"}
        assert first["events"] == [told] and not first["more"]
        assert json.loads(await context.events.newest()) == {**first, "events": []}
        for number in range(250):
            await context.events.publish(Event("note.read", f"note://{number}"))
    async with opened(tmp_path, followed=True) as context:
        second = await page(context, first["cursor"])
        third = await page(context, second["cursor"])
        found = [event["subject"] for event in (*second["events"], *third["events"])]
        assert (second["more"], third["more"]) == (True, False)
        assert found == [f"note://{number}" for number in range(250)]
        assert (await page(context, third["cursor"]))["events"] == []
    (tmp_path / "notes" / "events.db").unlink()
    async with opened(tmp_path, followed=True) as context:
        await context.events.publish(Event("note.added", "note://new"))
        await context.events._batcher.drain()
        again = await page(context, third["cursor"])
        assert [event["subject"] for event in again["events"]] == ["note://new"], "another file begins at its beginning"


async def test_old_events_are_forgotten_and_a_page_has_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MOST_KEPT", 10)
    monkeypatch.setattr(outbox, "LARGEST_PAGE", 250)
    async with opened(tmp_path, followed=True) as context:
        for number in range(30):
            await context.events.publish(Event("a.b", f"note://{number}"))
        await context.events._batcher.drain()
        cursor, found = "0", []
        for _ in range(30):
            read = await page(context, cursor)
            found += [event["subject"] for event in read["events"]]
            cursor = read["cursor"]
            assert len(read["events"]) <= 3
        assert found == [f"note://{number}" for number in range(20, 30)]


async def test_events_are_kept_only_where_somebody_may_follow_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def templates(context: Any) -> list[dict[str, Any]]:
        async with Client(Server(context, title="Notes", instructions="For a test.")) as client:
            found = (await client.list_resource_templates()).resource_templates
            return [each.model_dump(by_alias=True) for each in found]

    async with opened(tmp_path) as context:
        await context.events.publish(Event("a.b", "note://1"))
        assert await templates(context) == []
    assert not (tmp_path / "notes" / "events.db").exists()
    monkeypatch.setenv(KEY_VARIABLE, "secret")
    async with opened(tmp_path) as context:
        [template] = await templates(context)
        assert (template["uriTemplate"], template["_meta"][outbox.FEED]) == ("outbox://notes/{after}", "outbox://notes")
        async with Client(Server(context, title="Notes", instructions="For a test.")) as client:
            async with client.listen(resource_subscriptions=["outbox://notes"]) as news:
                await context.events.publish(Event("a.b", "note://2"))
                with anyio.fail_after(PATIENCE):
                    await anext(aiter(news))
            read = await client.read_resource("outbox://notes/0")
        assert [event["subject"] for event in json.loads(read.contents[0].text)["events"]] == ["note://2"]
