"""Writing, editing, moving, deleting, and taking it all back."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.patience import PATIENCE

from homeport_files import edits
from homeport_files.edits import Edit
from homeport_files.server import build_server
from homeport_files.settings import FilesSettings, roots_of
from homeport_shared.documents import Decoded, decode
from homeport_shared.errors import HomeportError
from homeport_shared.testing.clients import connected

from .conftest import BOTH_ERAS

pytestmark = pytest.mark.anyio


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@BOTH_ERAS
async def test_write_makes_a_file_and_its_folders(files: Any) -> None:
    change = await files("write", path="docs/new/a.txt", content="hello")
    assert (change["kind"], change["sha256"]) == ("created", sha(b"hello"))
    assert (files.folder / "new" / "a.txt").read_text() == "hello"


async def test_an_overwrite_must_be_asked_for_and_keeps_the_old_content(files: Any) -> None:
    path = files.put("a.txt", "old")
    code, text = await files.fails("write", path="docs/a.txt", content="new")
    assert (code, "overwrite" in text, path.read_text()) == ("conflict", True, "old")
    await files("write", path="docs/a.txt", content="new", overwrite=True)
    assert path.read_text() == "new"
    versions = (await files("history", path="docs/a.txt"))["versions"]
    assert [(v["kind"], v["sha256"]) for v in versions] == [("changed", sha(b"new")), ("found", sha(b"old"))]
    await files("restore", path="docs/a.txt", version=versions[-1]["version"])
    assert path.read_text() == "old"


async def test_an_overwrite_with_the_same_content_adds_no_version(files: Any) -> None:
    files.put("a.txt", "same")
    assert (await files("write", path="docs/a.txt", content="same", overwrite=True))["version"] == 0
    assert [each["kind"] for each in (await files("history", path="docs/a.txt"))["versions"]] == ["found"]
    other = await files("write", path="docs/a.txt", content="other", overwrite=True)
    assert (await files("write", path="docs/a.txt", content="other", overwrite=True))["version"] == 0
    after, before = (await files("history", path="docs/a.txt"))["versions"]
    assert (after["kind"], after["version"], after["sha256"]) == ("changed", other["version"], other["sha256"])
    assert (before["kind"], before["sha256"]) == ("found", hashlib.sha256(b"same").hexdigest())
    assert (after["size"], after["by"], after["path"]) == (5, "mcp", "docs/a.txt")
    assert after["at"] >= before["at"] > "2026"


async def test_a_write_on_a_content_that_is_not_the_expected_one_is_a_conflict(files: Any) -> None:
    path = files.put("a.txt", "seen")
    seen = (await files("read", path="docs/a.txt"))["sha256"]
    path.write_text("changed by an editor")
    assert (await files.fails("write", path="docs/a.txt", content="mine", if_sha256=seen))[0] == "conflict"
    assert (await files.fails("write", path="docs/none.txt", content="mine", if_sha256=seen))[0] == "conflict"
    assert path.read_text() == "changed by an editor"


async def test_an_overwrite_keeps_encoding_mark_and_line_ends(files: Any) -> None:
    path = files.put("a.txt", b"\xff\xfe" + "alt\r\n".encode("utf-16-le"))
    await files("write", path="docs/a.txt", content="neu\nzwei\n", overwrite=True)
    assert path.read_bytes() == b"\xff\xfe" + "neu\r\nzwei\r\n".encode("utf-16-le")
    await files("write", path="docs/a.txt", content="plain\n", overwrite=True, encoding="utf-8")
    assert path.read_bytes() == b"plain\n"
    assert (await files.fails("write", path="docs/b.txt", content="x", encoding="klingon"))[0] == "invalid"


async def test_base64_writes_bytes(files: Any) -> None:
    await files("write", path="docs/a.bin", content=base64.b64encode(b"\0\xff").decode(), encoding="base64")
    assert (files.folder / "a.bin").read_bytes() == b"\0\xff"
    assert (await files.fails("write", path="docs/b.bin", content="!", encoding="base64"))[0] == "invalid"


@BOTH_ERAS
async def test_an_edit_of_a_latin_1_crlf_file_leaves_every_other_byte(files: Any) -> None:
    before = "Grüße\r\nan alle\r\nÄÖÜ\r\n".encode("latin-1")
    path = files.put("a.txt", before)
    change = await files("edit", path="docs/a.txt", edits=[{"old_text": "an alle\n", "new_text": "an dich\nmit ß\n"}])
    assert path.read_bytes() == before.replace(b"an alle\r\n", "an dich\r\nmit ß\r\n".encode("latin-1"))
    assert "-an alle" in change["diff"]
    code, text = await files.fails("edit", path="docs/a.txt", edits=[{"old_text": "dich", "new_text": "日本"}])
    assert (code, "'日'" in text) == ("invalid", True)


async def test_a_dry_run_shows_the_diff_and_changes_nothing(files: Any) -> None:
    path = files.put("a.txt", "one\ntwo\n")
    change = await files("edit", path="docs/a.txt", edits=[{"old_text": "two", "new_text": "2"}], dry_run=True)
    assert (change["version"], "+2" in change["diff"], path.read_text()) == (0, True, "one\ntwo\n")
    assert (await files("history"))["versions"] == []


@pytest.mark.parametrize(
    ("edit", "code", "words"),
    [
        ({"old_text": "none", "new_text": ""}, "not_found", "edit 1 is not in the file"),
        ({"old_text": "a", "new_text": ""}, "invalid", "occurs 2 times"),
        ({"old_text": "", "new_text": "x"}, "invalid", "no old_text"),
    ],
)
async def test_an_edit_that_is_not_clear_changes_nothing(files: Any, edit: dict, code: str, words: str) -> None:
    path = files.put("a.txt", "a b a")
    found, text = await files.fails("edit", path="docs/a.txt", edits=[edit])
    assert (found, words in text, path.read_text()) == (code, True, "a b a")


async def test_every_replaces_all(files: Any) -> None:
    path = files.put("a.txt", "a b a")
    await files("edit", path="docs/a.txt", edits=[{"old_text": "a", "new_text": "c", "every": True}])
    assert path.read_text() == "c b c"


async def test_a_move_takes_the_history_along_and_can_be_undone(files: Any) -> None:
    files.put("a.txt", "one")
    await files("write", path="docs/a.txt", content="two", overwrite=True)
    change = await files("move", source="docs/a.txt", target="docs/deep/b.txt")
    assert (change["kind"], change["path"]) == ("moved", "docs/deep/b.txt")
    kinds = [v["kind"] for v in (await files("history", path="docs/deep/b.txt"))["versions"]]
    assert kinds == ["moved", "changed", "found"]
    await files("restore", path="docs/deep/b.txt")
    assert (files.folder / "a.txt").read_text() == "two"
    assert not (files.folder / "deep" / "b.txt").exists()


async def test_a_file_in_a_moved_folder_keeps_its_history(files: Any) -> None:
    files.put("old/a.txt", "one")
    await files("write", path="docs/old/a.txt", content="two", overwrite=True)
    await files("move", source="docs/old", target="docs/new")
    kinds = [v["kind"] for v in (await files("history", path="docs/new/a.txt"))["versions"]]
    assert kinds == ["moved", "changed", "found"]


async def test_a_move_onto_a_file_must_be_asked_for_and_both_come_back(files: Any) -> None:
    files.put("a.txt", "a")
    files.put("b.txt", "b")
    assert (await files.fails("move", source="docs/a.txt", target="docs/b.txt"))[0] == "conflict"
    await files("move", source="docs/a.txt", target="docs/b.txt", overwrite=True)
    await files("restore", path="docs/b.txt")
    assert ((files.folder / "a.txt").read_text(), (files.folder / "b.txt").read_text()) == ("a", "b")


async def test_a_folder_does_not_move_into_itself(files: Any) -> None:
    files.put("a/b.txt", "x")
    assert (await files.fails("move", source="docs/a", target="docs/a/c"))[0] == "invalid"
    assert (await files.fails("move", source="docs/none", target="docs/c"))[0] == "not_found"
    assert (await files.fails("move", source="docs", target="docs/c"))[0] == "unsupported"


@BOTH_ERAS
async def test_what_was_deleted_comes_back(files: Any) -> None:
    files.put("a.txt", "a")
    result = await files("delete", paths=["docs/a.txt", "docs/none.txt"])
    assert result["deleted"] == ["docs/a.txt"]
    assert "docs/none.txt" in result["failed"][0]
    assert not (files.folder / "a.txt").exists()
    await files("restore", path="docs/a.txt")
    assert (files.folder / "a.txt").read_text() == "a"


async def test_a_folder_is_deleted_only_when_asked_and_comes_back_whole(files: Any) -> None:
    for name in ("f/a.txt", "f/g/b.txt", "f/c.txt"):
        files.put(name, name)
    await files("delete", paths=["docs/f/c.txt"])  # earlier, so it does not come back with the folder
    assert (await files("delete", paths=["docs/f"]))["failed"]
    await files("delete", paths=["docs/f"], recursive=True)
    assert not (files.folder / "f").exists()
    await files("restore", path="docs/f")
    left = sorted(str(path.relative_to(files.folder)) for path in files.folder.rglob("*.txt"))
    assert left == ["f/a.txt", "f/g/b.txt"]
    assert (await files("delete", paths=["docs"], recursive=True))["failed"]


async def test_undo_of_undo_is_redo_and_undo_of_a_new_file_takes_it_away(files: Any) -> None:
    await files("write", path="docs/a.txt", content="one")
    await files("write", path="docs/a.txt", content="two", overwrite=True)
    await files("restore", path="docs/a.txt")
    assert (files.folder / "a.txt").read_text() == "one"
    await files("restore", path="docs/a.txt")
    assert (files.folder / "a.txt").read_text() == "two"
    await files("write", path="docs/new.txt", content="x")
    await files("restore", path="docs/new.txt")
    assert not (files.folder / "new.txt").exists()
    assert (await files.fails("restore", path="docs/never.txt"))[0] == "not_found"
    assert (await files.fails("restore", path="docs/a.txt", version=999))[0] == "not_found"


async def test_a_change_by_somebody_else_is_kept_as_a_version_of_its_own(files: Any) -> None:
    path = files.put("a.txt", "one")
    await files("write", path="docs/a.txt", content="two", overwrite=True)
    path.write_text("by an editor")
    await files("write", path="docs/a.txt", content="three", overwrite=True)
    kinds = [(v["kind"], v["sha256"]) for v in (await files("history", path="docs/a.txt"))["versions"]]
    assert kinds[1] == ("found", sha(b"by an editor"))


@BOTH_ERAS
async def test_changes_are_events_and_resource_updates(files: Any) -> None:
    await files("write", path="docs/a.txt", content="one")
    await files("write", path="docs/a.txt", content="two", overwrite=True)
    await files("move", source="docs/a.txt", target="docs/b.txt")
    await files("delete", paths=["docs/b.txt"])
    assert [(event.kind, event.subject) for event in files.events] == [
        ("file.created", "files://docs/a.txt"),
        ("file.changed", "files://docs/a.txt"),
        ("file.moved", "files://docs/b.txt"),
        ("file.deleted", "files://docs/b.txt"),
    ]


async def test_a_listener_hears_of_a_change(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    async with connected(build_server, "files", tmp_path / "home", flags={"roots": [str(tmp_path / "docs")]}) as client:
        uris = ["files://docs/", "files://history"]
        with anyio.fail_after(PATIENCE):
            async with client.listen(resource_subscriptions=uris) as heard:
                await client.call_tool("write", {"path": "docs/a.txt", "content": "x"})
                seen = {str((await anext(heard)).uri) for _ in uris}
        assert seen == set(uris)


async def test_a_root_is_added_at_once_and_after_a_restart(files: Any, tmp_path: Path) -> None:
    (tmp_path / "more stuff").mkdir()
    (tmp_path / "more stuff" / "a.txt").write_text("hello")
    root = await files("add_root", folder=str(tmp_path / "more stuff"))
    assert root["name"] == "more-stuff"
    assert (await files("read", path="more-stuff/a.txt"))["text"] == "hello"
    assert (await files.fails("add_root", folder=str(tmp_path / "more stuff")))[0] == "conflict"
    assert (await files.fails("add_root", folder=str(tmp_path / "none")))[0] == "not_found"
    assert (await files.fails("add_root", folder=str(tmp_path), name="history"))[0] == "invalid"
    async with connected(build_server, "files", files.home) as again:
        names = [root["name"] for root in (await again.call_tool("roots", {})).structured_content["roots"]]
    assert names == ["docs", "more-stuff"]


async def test_without_roots_the_workspace_folder_is_served(tmp_path: Path) -> None:
    async with connected(build_server, "files", tmp_path / "home") as client:
        result = await client.call_tool("write", {"path": "workspace/a.txt", "content": "x"})
        assert not result.is_error
    assert (tmp_path / "home" / "workspace" / "a.txt").read_text() == "x"


async def test_homeports_own_data_is_not_served_below_a_root(tmp_path: Path) -> None:
    async with connected(build_server, "files", tmp_path / "home", flags={"roots": [str(tmp_path)]}) as client:
        await client.call_tool("write", {"path": f"{tmp_path.name}/a.txt", "content": "needle"})
        own = await client.call_tool("read", {"path": f"{tmp_path.name}/home/files/files.db"})
        assert "belongs to Homeport" in own.content[0].text
        listing = await client.call_tool("list", {"path": tmp_path.name, "depth": 9})
        assert not [e for e in listing.structured_content["entries"] if "/home/" in e["path"]]


async def test_root_names_are_distinct_and_never_reserved(tmp_path: Path) -> None:
    folders = [str(tmp_path / name) for name in ("a/docs", "b/docs", "history", "Ünï", "äö")]
    names = [root.name for root in roots_of([*folders, f"mine={tmp_path}"], tmp_path)]
    assert len({name.lower() for name in names}) == len(names)
    assert names[:3] == ["docs", "docs-2", "history-2"]
    assert names[-1] == "mine"
    with pytest.raises(ValueError, match="reserved or used twice"):
        FilesSettings(roots=["roots=/tmp"])
    with pytest.raises(ValueError, match="reserved or used twice"):
        FilesSettings(roots=["a=/tmp", "A=/var"])


TEXTS = st.text(st.sampled_from("abcü\n"), min_size=1, max_size=30)


@given(TEXTS, TEXTS, st.sampled_from(["utf-8", "cp1252", "utf-16-le"]), st.sampled_from(["\n", "\r\n"]), st.data())
def test_an_edit_changes_only_what_it_names(
    text: str, new: str, encoding: str, newline: str, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    old = text[start : data.draw(st.integers(start + 1, len(text)))]
    written = Decoded(text.replace("\n", newline), encoding, newline if "\n" in text else "", b"")
    try:
        after = edits.apply(written.text, [Edit(old_text=old, new_text=new)], written.newline)
    except HomeportError as error:
        assert error.code == "invalid"
        assert text.count(old) > 1
        return
    expected = text.replace(old, new).replace("\n", written.newline or "\n")
    assert edits.encoded(after, written, "x") == expected.encode(encoding)


@given(st.text(st.sampled_from("aeßäöü\n «»"), min_size=1, max_size=40))
def test_a_short_western_text_is_never_taken_for_greek(text: str) -> None:
    if not any(text[at : at + 4].isalpha() and not any(map(str.isascii, text[at : at + 4])) for at in range(len(text))):
        assert decode(text.encode("cp1252")).text == text or decode(text.encode("cp1252")).encoding == "utf-8"
