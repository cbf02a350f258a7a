"""Changes that others make below watched folders: seen once, with renames, bursts, overflow and roots that vanish."""

from __future__ import annotations

import logging
import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.patience import PATIENCE

from homeport_shared.bursts import Batch, Burst, Change
from homeport_shared.watching import watch

pytestmark = pytest.mark.anyio


class Heard:
    """The batches that a watch told."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    async def tell(self, batch: Batch) -> None:
        self.batches.append(batch)

    @property
    def changes(self) -> list[Change]:
        return [change for batch in self.batches for change in batch.changes]

    async def until(self, true: Callable[[], bool]) -> None:
        with anyio.fail_after(PATIENCE):
            while not true():
                await anyio.sleep(0.02)


@asynccontextmanager
async def watching(*folders: Path, ignored: tuple[Path, ...] = (), most: int = 1000) -> AsyncGenerator[Heard]:
    heard = Heard()
    async with anyio.create_task_group() as group:
        await group.start(partial(watch, lambda: folders, heard.tell, ignored=ignored, most=most))
        yield heard
        group.cancel_scope.cancel()


async def test_files_that_come_change_move_and_go_are_told(tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text("1")
    async with watching(tmp_path) as heard:
        (tmp_path / "new.txt").write_text("1")
        await heard.until(lambda: Change("created", tmp_path / "new.txt") in heard.changes)
        (tmp_path / "old.txt").write_text("2")
        await heard.until(lambda: Change("changed", tmp_path / "old.txt") in heard.changes)
        (tmp_path / "old.txt").rename(tmp_path / "there.txt")
        await heard.until(lambda: Change("moved", tmp_path / "there.txt", tmp_path / "old.txt") in heard.changes)
        (tmp_path / "there.txt").unlink()
        await heard.until(lambda: Change("deleted", tmp_path / "there.txt") in heard.changes)


async def test_a_folder_that_moves_is_one_change_and_stays_watched(tmp_path: Path) -> None:
    (tmp_path / "a" / "deep").mkdir(parents=True)
    for number in range(50):
        (tmp_path / "a" / "deep" / f"{number}.txt").write_text("x")
    async with watching(tmp_path) as heard:
        (tmp_path / "a").rename(tmp_path / "b")
        await heard.until(lambda: bool(heard.changes))
        assert heard.changes == [Change("moved", tmp_path / "b", tmp_path / "a", folder=True)]
        (tmp_path / "b" / "deep" / "later.txt").write_text("x")
        await heard.until(lambda: Change("created", tmp_path / "b" / "deep" / "later.txt") in heard.changes)


async def test_a_file_that_an_editor_saves_by_renaming_is_changed_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    async with watching(tmp_path) as heard:
        (tmp_path / ".a.txt.swp").write_text("new")
        (tmp_path / ".a.txt.swp").replace(tmp_path / "a.txt")
        await heard.until(lambda: bool(heard.changes))
        assert heard.changes == [Change("changed", tmp_path / "a.txt")]


async def test_a_burst_with_too_many_changes_says_that_it_is_not_complete(tmp_path: Path) -> None:
    async with watching(tmp_path, most=20) as heard:
        for number in range(200):
            (tmp_path / f"{number}.txt").write_text("x")
        await heard.until(lambda: any(not batch.complete for batch in heard.batches))
        assert all(len(batch.changes) <= 20 for batch in heard.batches)


async def test_an_overflow_of_the_system_says_that_something_was_missed(tmp_path: Path) -> None:
    async with watching(tmp_path) as heard:
        logging.getLogger("watchdog.observers.inotify_c").warning("Inotify queue overflowed; events were lost")
        await heard.until(lambda: bool(heard.batches))
        assert heard.batches == [Batch(tmp_path, complete=False)]


async def test_a_root_that_vanishes_is_told_and_is_watched_again_when_it_is_back(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    async with watching(root) as heard:
        shutil.rmtree(root)
        await heard.until(lambda: Batch(root, complete=False, there=False) in heard.batches)
        root.mkdir()
        await heard.until(lambda: Batch(root, complete=False, there=True) in heard.batches)
        (root / "a.txt").write_text("x")
        await heard.until(lambda: Change("created", root / "a.txt") in heard.changes)


async def test_a_root_that_is_replaced_by_another_folder_is_watched(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    async with watching(root) as heard:
        (tmp_path / "other").mkdir()
        root.rename(tmp_path / "away")
        (tmp_path / "other").rename(root)
        await heard.until(lambda: Batch(root, complete=False, there=True) in heard.batches)
        (root / "a.txt").write_text("x")
        await heard.until(lambda: Change("created", root / "a.txt") in heard.changes)


async def test_ignored_folders_are_not_told_unless_they_hold_the_root(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "workspace").mkdir(parents=True)
    async with watching(tmp_path, home / "workspace", ignored=(home,)) as heard:
        (home / "secret.db").write_text("x")
        (home / "workspace" / "a.txt").write_text("x")
        await heard.until(lambda: bool(heard.changes))
        assert heard.batches == [Batch(home / "workspace", (Change("created", home / "workspace" / "a.txt"),))]


NAMES = st.sampled_from(["a", "b", "c"])
STEPS = st.lists(st.tuples(st.sampled_from(["write", "delete", "move"]), NAMES, NAMES), max_size=12)


@given(present=st.sets(NAMES), steps=STEPS)
def test_a_burst_names_every_path_that_differs(present: set[str], steps: list[tuple[str, str, str]]) -> None:
    burst, folder = Burst(), Path("/w")
    before = dict.fromkeys(present, 0)
    now = dict(before)
    for number, (step, name, other) in enumerate(steps, 1):
        if step == "write":
            burst.add(Change("changed" if name in now else "created", folder / name))
            now[name] = number
        elif name in now and step == "delete":
            burst.add(Change("deleted", folder / name))
            del now[name]
        elif name in now and step == "move" and other != name:
            burst.add(Change("moved", folder / other, folder / name))
            now[other] = now.pop(name)
    told = {path.name for change in burst.changes() for path in (change.path, change.came_from) if path}
    assert told >= {name for name in "abc" if before.get(name) != now.get(name)}
    for change in burst.changes():
        assert (change.path.name in now) == (change.kind != "deleted")
