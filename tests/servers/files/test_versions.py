"""The room that earlier contents take, and how the oldest of them go."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.patience import PATIENCE

from homeport_files import versions
from homeport_files.server import build_server
from homeport_files.store import Store
from homeport_shared.clock import iso
from homeport_shared.identity import Identity
from homeport_shared.paths import Place
from homeport_shared.testing.clients import connected
from homeport_shared.testing.clock import SetClock

from .conftest import Files

pytestmark = pytest.mark.anyio


@pytest.fixture
def calendar() -> SetClock:
    return SetClock(datetime.now(UTC))


@pytest.fixture
async def files(tmp_path: Path, calendar: SetClock) -> AsyncGenerator[Files]:
    folder = tmp_path / "docs"
    folder.mkdir()
    home = tmp_path / "home"
    async with connected(build_server, "files", home, flags={"roots": [str(folder)]}, clock=calendar) as client:
        yield Files(folder, home, client, [])


async def test_old_contents_are_counted_and_removed_for_good_and_what_is_there_now_can_be_restored(
    files: Files, calendar: SetClock
) -> None:
    for text in ("first", "second", "third"):
        await files("write", path="docs/a.txt", content=text, overwrite=True)
    await files("write", path="docs/still.txt", content="unchanged for months")
    await files("write", path="docs/gone.txt", content="deleted long ago")
    await files("delete", paths=["docs/gone.txt"])
    calendar.go_on(days=100)
    await files("write", path="docs/a.txt", content="fourth", overwrite=True)
    kept = await files("version_space", days=90)
    assert kept["contents"] == 6
    assert kept["old"] == 3, "first, second, and what was deleted; the newest change still needs the third"
    assert kept["old_bytes"] == len("firstseconddeleted long ago")

    assert (await files.fails("forget_versions", days=90, confirm=1))[0] == "invalid"
    for days in (-1, 10**9):
        assert (await files.fails("version_space", days=days))[0] == "invalid"
    left = await files("forget_versions", days=90, confirm=3)
    assert (left["contents"], left["old"]) == (3, 0)
    await files("restore", path="docs/a.txt")
    assert (files.folder / "a.txt").read_text() == "third"
    history = (await files("history", path="docs/a.txt"))["versions"]
    oldest = min(each["version"] for each in history)
    code, text = await files.fails("restore", path="docs/a.txt", version=oldest)
    assert (code, "cleaned up" in text) == ("damaged", True)
    (files.folder / "still.txt").write_text("ruined by another program")
    still = (await files("history", path="docs/still.txt"))["versions"][0]["version"]
    await files("restore", path="docs/still.txt", version=still)
    assert (files.folder / "still.txt").read_text() == "unchanged for months"


async def test_nothing_is_kept_where_nothing_was_changed(files: Files) -> None:
    assert await files("version_space") == {"contents": 0, "bytes": 0, "days": 90, "old": 0, "old_bytes": 0}


async def test_old_contents_go_by_themselves_when_the_settings_say_so(
    tmp_path: Path, calendar: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "FIRST_SECONDS", 0.0)
    folder, home = tmp_path / "docs", tmp_path / "home"
    folder.mkdir()
    flags: dict[str, Any] = {"roots": [str(folder)]}
    async with connected(build_server, "files", home, flags=flags, clock=calendar) as client:
        files = Files(folder, home, client, [])
        for text in ("first", "second"):
            await files("write", path="docs/a.txt", content=text, overwrite=True)
    calendar.go_on(days=31)
    async with connected(build_server, "files", home, flags=flags | {"version_days": 30}, clock=calendar) as client:
        files = Files(folder, home, client, [])
        with anyio.fail_after(PATIENCE):
            while (await files("version_space"))["contents"] > 1:
                await anyio.sleep(0.02)
        assert (folder / "a.txt").read_text() == "second"


@given(
    steps=st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["x", "y", "z", ""]), st.integers(0, 60))),
    days=st.integers(0, 120),
)
async def test_what_a_path_holds_and_what_younger_changes_need_is_never_removed(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, int]], days: int
) -> None:
    calendar, held = SetClock(datetime.now(UTC)), dict[str, str]()
    store = Store(tmp_path_factory.mktemp("store"), calendar)
    needed: list[tuple[datetime, set[str]]] = []
    for name, text, later in steps:
        before, after = held.get(name, ""), hashlib.sha256(text.encode()).hexdigest() if text else ""

        def change(ledger: Any, name: str = name, text: str = text, before: str = before, after: str = after) -> None:
            if text:
                ledger.keep([text.encode()])
            ledger.record(Identity(), "changed", Place("docs", (name,)), before=before, after=after)

        await store.changing(change)
        held[name] = after
        needed.append((calendar.at, {before, after}))
        calendar.go_on(days=later)
    before = calendar.at - timedelta(days=days)
    await store.changing(lambda ledger: ledger.forget(ledger.kept(iso(before))[1]))
    wanted = {*held.values()}.union(*(names for at, names in needed if at >= before)) - {""}
    kept = (await store.reading(lambda ledger: ledger.kept("")))[0]
    await store.aclose()
    assert {*kept} == wanted
