"""One undo for everything that an agent changed."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport_files.changing import text_encoder
from homeport_files.restoring import Restorer
from homeport_files.settings import roots_of
from homeport_files.store import Store
from homeport_shared.clock import SystemClock
from homeport_shared.context import KEY_VARIABLE
from homeport_shared.errors import HomeportError
from homeport_shared.identity import Identity
from homeport_shared.paths import Roots

pytestmark = pytest.mark.anyio
RUN = Identity(actor="ada", caller="chat", agent="clerk", run="r1")
KEY = "the key that the host gave to this server"
OTHER = Identity(actor="ada", caller="chat", agent="clerk", run="r2")


@pytest.fixture(autouse=True)
def started_by_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a call says about who makes it is believed when it has the key."""
    monkeypatch.setenv(KEY_VARIABLE, KEY)


async def act(files: Any, who: Identity, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool as the host does for a run."""
    result = await files.client.call_tool(tool, arguments, meta=who.as_meta(KEY))
    assert not result.is_error, result.content
    return result.structured_content


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def messy_run(files: Any) -> dict[str, bytes]:
    """Let a run write, edit, move, replace and delete; return what there was before."""
    files.put("a.txt", "first\n")
    files.put("old/b.txt", "second\n")
    files.put("old/c.txt", "third\n")
    files.put("latin.txt", "caf\xe9\r\n".encode("latin-1"))
    before = tree(files.folder)
    await act(files, RUN, "write", path="docs/new.txt", content="made")
    await act(files, RUN, "edit", path="docs/a.txt", edits=[{"old_text": "first", "new_text": "1st"}])
    await act(files, RUN, "edit", path="docs/latin.txt", edits=[{"old_text": "caf", "new_text": "kaf"}])
    await act(files, RUN, "move", source="docs/a.txt", target="docs/moved.txt")
    await act(files, RUN, "move", source="docs/new.txt", target="docs/old/b.txt", overwrite=True)
    await act(files, RUN, "delete", paths=["docs/old"], recursive=True)
    return before


async def test_everything_a_run_did_is_taken_back_byte_by_byte(files: Any) -> None:
    before = await messy_run(files)
    assert tree(files.folder) != before
    undone = await act(files, OTHER, "undo", change_set="r1")
    assert undone["left"] == []
    assert tree(files.folder) == before


async def test_the_undo_is_a_set_of_its_own_and_can_be_undone(files: Any) -> None:
    await messy_run(files)
    after = tree(files.folder)
    await act(files, OTHER, "undo", change_set="r1")
    assert (await act(files, RUN, "undo", change_set="r2"))["left"] == []
    assert tree(files.folder) == after


async def test_a_set_is_shown_file_by_file_with_diffs(files: Any) -> None:
    await messy_run(files)
    await act(files, OTHER, "write", path="docs/later.txt", content="x")
    sets = (await files("changes"))["sets"]
    assert [(each["id"], each["by"], each["run"]) for each in sets] == [("r2", "clerk", "r2"), ("r1", "clerk", "r1")]
    changed = {each["path"]: each for each in (await files("changes", change_set="r1"))["files"]}
    assert changed["docs/moved.txt"]["came_from"] == "docs/a.txt"
    assert "-first\n+1st" in changed["docs/moved.txt"]["diff"]
    assert "+kaf\xe9" in changed["docs/latin.txt"]["diff"]
    assert changed["docs/old/c.txt"]["kind"] == "deleted"
    assert "docs/new.txt" not in changed


async def test_a_part_is_taken_back_and_follows_a_move(files: Any) -> None:
    await messy_run(files)
    await act(files, OTHER, "undo", change_set="r1", paths=["docs/moved.txt"])
    assert (files.folder / "a.txt").read_bytes() == b"first\n"
    assert not (files.folder / "old").exists()


async def test_what_somebody_changed_afterwards_is_left_and_named(files: Any) -> None:
    files.put("a.txt", "first\n")
    files.put("b.txt", "second\n")
    await act(files, RUN, "write", path="docs/a.txt", content="one", overwrite=True)
    await act(files, RUN, "write", path="docs/a.txt", content="two", overwrite=True)
    await act(files, RUN, "write", path="docs/b.txt", content="three", overwrite=True)
    files.put("a.txt", "mine")
    undone = await act(files, OTHER, "undo", change_set="r1")
    assert tree(files.folder) == {"a.txt": b"mine", "b.txt": b"second\n"}
    [left] = undone["left"]
    assert "docs/a.txt was changed afterwards" in left
    history = (await files("history", path="docs/a.txt"))["versions"]
    assert any(step["kind"] == "found" for step in history)  # and what was found there is kept, too


async def test_an_unknown_set_is_refused(files: Any) -> None:
    code, said = await files.fails("undo", change_set="none")
    assert code == "not_found"
    assert "'none'" in said


async def test_a_client_alone_has_one_set_for_what_it_changes(files: Any) -> None:
    await files("write", path="docs/a.txt", content="x")
    await files("write", path="docs/b.txt", content="y")
    [found] = (await files("changes"))["sets"]
    assert found["files"] == 2
    assert (await files("history"))["versions"][0]["change_set"] == found["id"]
    await files("undo", change_set=found["id"])
    assert tree(files.folder) == {}


NAMES = st.sampled_from(["a", "b", "c/d", "c/e"])
STEPS = st.one_of(
    st.tuples(st.just("write"), NAMES, st.text("xyz", max_size=3)),
    st.tuples(st.just("move"), NAMES, NAMES),
    st.tuples(st.just("delete"), NAMES, st.none()),
)


@settings(max_examples=60)
@given(started=st.sets(NAMES), steps=st.lists(STEPS, max_size=8))
def test_any_run_is_taken_back(started: set[str], steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        docs = Path(folder).resolve() / "docs"
        (docs / "c").mkdir(parents=True)
        for name in started:
            (docs / name).write_text(f"old {name}", "utf-8")
        before = tree(docs)
        anyio.run(do_and_take_back, docs, steps)
        assert tree(docs) == before


async def do_and_take_back(docs: Path, steps: list[Any]) -> None:
    store = Store(docs.parent / "state", SystemClock())
    roots = Roots(roots_of([str(docs)], docs))

    def run(who: Identity, work: Callable[[Restorer], Any]) -> Any:
        return store.changing(
            lambda ledger: work(Restorer(roots, ledger, who, text_limit=1 << 20, version_limit=1 << 20))
        )

    for tool, name, other in steps:
        with contextlib.suppress(HomeportError):  # there is no such file
            if tool == "write":
                encode = text_encoder(other, "", name)
                await run(RUN, lambda files, n=name, e=encode: files.write(f"docs/{n}", e, overwrite=True))
            elif tool == "move":
                await run(RUN, lambda files, n=name, o=other: files.move(f"docs/{n}", f"docs/{o}", overwrite=True))
            else:
                await run(RUN, lambda files, n=name: files.delete(f"docs/{n}", recursive=False))
    _, left = await run(OTHER, lambda files: files.take_back(files.ledger.of_set("r1")))
    assert left == []
    await store.aclose()
