"""Searches of contents find the same lines with an index of the contents as without it."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.patience import PATIENCE

from homeport_files import content_index, indexing
from homeport_files.content_index import ContentIndex
from homeport_files.filters import Filters
from homeport_files.literals import form_of, holds, literals_of
from homeport_files.parts import Parts
from homeport_files.results import Hits
from homeport_files.searching import Search, find_lines
from homeport_files.trigrams import BINARY, Filter, row_of, rows_of
from homeport_files.walking import walk
from homeport_shared.context import open_context
from homeport_shared.documents import decode
from homeport_shared.documents.decoding import SAMPLE, begins_binary
from homeport_shared.errors import HomeportError
from homeport_shared.folders import Folder, open_folder
from homeport_shared.paths import Place, Root
from homeport_shared.settings import save

LETTERS = "aAbkKsSiI\u0130\u0131\u017f\u212aé\u4e2d?.([ \n"


def test_no_other_letters_than_the_folded_ones_are_taken_for_ascii_whatever_the_case() -> None:
    every = "".join(map(chr, range(128, sys.maxunicode + 1)))
    for letter in map(chr, range(128)):
        for alike in re.findall(re.escape(letter), every, re.IGNORECASE):
            assert form_of(alike) == form_of(letter), f"{alike!r} fits {letter!r}"


@given(st.text(LETTERS, max_size=12), st.text(LETTERS, min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_a_text_in_which_plain_text_is_found_holds_its_literals(text: str, query: str) -> None:
    if find_lines(query, False, text):
        assert holds(form_of(text), literals_of(query, regex=False))


UNITS = st.sampled_from(
    [*"abKs.", "[ab]", "[^]a]", "\\.", "\\w", "(ab)", "(a|b)", "(?:sk)", "\\x61", "\u0131", "é", "{", "|"]
)
COUNTS = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{0,1}", "{,2}?", "*?", "++"])
PATTERNS = st.builds(
    lambda flag, parts: flag + "".join(unit + count for unit, count in parts),
    st.sampled_from(["", "(?i)"]),
    st.lists(st.tuples(UNITS, COUNTS), min_size=1, max_size=5),
)


@given(PATTERNS, st.text("abABkKssSx.]{é\u0131\u212a", max_size=8))
@settings(max_examples=600, deadline=None)
def test_a_text_that_fits_a_regular_expression_holds_its_literals(pattern: str, text: str) -> None:
    try:
        found = find_lines(pattern, True, text)
    except HomeportError:
        return
    assert not found or holds(form_of(text), literals_of(pattern, regex=True))


@pytest.mark.parametrize(
    ("pattern", "text"),
    [(r"(?:needle)?hay", "hay"), (r"(?x) need  le", "needle"), (r"ends$here|in hay", "in hay"), (r"caf.$", "cafe")],
)
def test_what_need_not_be_in_a_match_is_no_literal(pattern: str, text: str) -> None:
    assert find_lines(pattern, True, text)
    assert holds(form_of(text), literals_of(pattern, regex=True))


def test_the_literals_of_a_regular_expression_are_what_is_in_every_match() -> None:
    assert literals_of(r"(?i)^Def \w+\(self", regex=True) == [b"def ", b"(self"]
    assert literals_of(r"needle\.(py|txt)", regex=True) == [], "with alternatives nothing is certain"
    assert literals_of(r"colou?r{2}s+x", regex=True) == [b"colo", b"s", b"x"]


@given(st.lists(st.text("abcdeé \n", max_size=40), max_size=12), st.text("abcdeé ", min_size=3, max_size=6))
@settings(max_examples=300, deadline=None)
def test_a_filter_names_every_text_that_holds_a_literal(texts: list[str], literal: str) -> None:
    rows = Filter()
    for number, text in enumerate(texts):
        rows.put(number, row_of(form_of(text)) or b"")
    named = set(rows.candidates([form_of(literal)]))
    assert {number for number, text in enumerate(texts) if form_of(literal) in form_of(text)} <= named


def test_a_filter_leaves_out_most_texts_that_do_not_hold_a_literal() -> None:
    rows = Filter()
    for number in range(1000):
        rows.put(number, row_of(b"word%d and some others, %d times" % (number, number * 7919)) or b"")
    assert 30 in set(rows.candidates([b"word30 "]))
    assert len(set(rows.candidates([b"word30 "]))) < 50


def test_a_row_is_of_text_in_any_encoding_and_a_binary_file_has_none() -> None:
    wide, latin, binary, varied = rows_of(
        ["Grüße".encode("utf-16"), "Grüße".encode("latin-1"), b"\0\1\2" * 99, os.urandom(900_000).hex().encode()]
    )
    assert wide == latin == row_of(form_of("grüße"))
    assert binary == BINARY
    assert varied is not None
    assert row_of(bytes(range(256)) * 2 + os.urandom(400_000)) is None, "it has more trigrams than a row has bits"


@given(st.sampled_from([b"", b"\xff\xfe", b"\xef\xbb\xbf"]), st.binary(max_size=40), st.binary(max_size=9))
@settings(max_examples=200, deadline=None)
def test_what_begins_binary_is_binary_whatever_follows(mark: bytes, start: bytes, rest: bytes) -> None:
    start = (mark + start * SAMPLE)[:SAMPLE]
    if len(start) == SAMPLE and begins_binary(start):
        with pytest.raises(HomeportError):
            decode(start + rest)


NAMES = st.sampled_from(["a", "b", "c.txt", "d\u00e9"])
PLACES = st.lists(NAMES, min_size=1, max_size=3).map(tuple)
CONTENTS = st.lists(
    st.sampled_from([b"needle", b"Needles in hay", b"hay", b"n\xc3\xa9edle", b"n\xe9\xe9dle", b"\0", b"\n"]), max_size=4
).map(b" ".join)
QUERIES = [("needle", False), ("éedle", False), ("hay", False), (r"^Needle\w", True), ("in", False), ("nowhere", False)]


def index_of(folder: Path, text_limit: int = 1 << 20) -> ContentIndex:
    def opened(parts: tuple[str, ...]) -> AbstractContextManager[Folder]:
        return open_folder(folder.joinpath(*parts), "docs")

    return ContentIndex(Root("docs", folder), text_limit, opened)


def read(index: ContentIndex) -> None:
    """Bring an index up to date, with rows for all files."""
    index.renew((), lambda: None)
    for number, data in list(index.contents(index.unread(), lambda: 1e12)):
        index.put(number, rows_of([data])[0] if data is not None else None)


def candidates(index: ContentIndex, literal: bytes, *parts: str) -> list[str]:
    """Return what a search looks at in one folder."""
    assert index.renew((), lambda: None)
    return sorted(index.plan((), [literal]).names(Place("docs", parts)))


def test_a_file_that_cannot_have_a_row_is_looked_at_by_each_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in (("small", 50), ("limit", 100), ("large", 101)):
        (tmp_path / name).write_bytes(b"x" * size)
    index = index_of(tmp_path, text_limit=100)
    read(index)
    assert candidates(index, b"needle") == ["large"], "so that it is told as skipped"
    (tmp_path / "small").write_bytes(b"x" * 99 + b"needle")
    index.distrust()
    read(index)
    assert candidates(index, b"needle") == ["large", "small"], "it grew past the limit"
    monkeypatch.setattr(content_index, "LARGEST", 60)
    wide = index_of(tmp_path)
    read(wide)
    assert candidates(wide, b"needle") == ["large", "limit", "small"]


def test_without_room_for_more_rows_files_are_still_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_index, "MOST_BYTES", 0)
    (tmp_path / "a").write_text("hay")
    index = index_of(tmp_path)
    read(index)
    assert (index.unread(), candidates(index, b"needle")) == ([], ["a"])


def test_a_file_changed_in_place_with_its_size_and_time_put_back_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("in hay")
    os.utime(path, (1e9, 1e9))
    index = index_of(tmp_path)
    read(index)
    assert candidates(index, b"needle") == []
    path.write_text("needle")
    os.utime(path, (1e9, 1e9))
    index.distrust()
    assert candidates(index, b"needle") == ["a"]


def test_a_file_that_changed_a_moment_ago_has_no_row_yet_whatever_its_time_says(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("hay")
    os.utime(tmp_path / "a", (1e9, 1e9))
    changed = (tmp_path / "a").stat().st_ctime
    index = index_of(tmp_path)
    index.renew((), lambda: None)
    assert list(index.contents(index.unread(), lambda: changed + 1)) == []
    assert [data for _, data in index.contents(index.unread(), lambda: changed + 3)] == [b"hay"]


def test_what_is_told_is_read_again_although_its_stamp_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content_index, "_stamp", lambda _: 7)
    (tmp_path / "a").write_text("hay")
    index = index_of(tmp_path)
    read(index)
    (tmp_path / "a").write_text("needle")
    index.heard(("a",))
    assert candidates(index, b"needle") == ["a"]


def test_folders_that_change_places_are_looked_at_with_all_that_is_in_them(tmp_path: Path) -> None:
    deep = ("d",) * 8
    for name, text in (("one", "hay"), ("other", "needle")):
        tmp_path.joinpath(name, *deep).mkdir(parents=True)
        tmp_path.joinpath(name, *deep, "a").write_text(text)
    index = index_of(tmp_path)
    read(index)
    assert candidates(index, b"needle", "other", *deep) == ["a"]
    (tmp_path / "one").rename(tmp_path / "between")
    (tmp_path / "other").rename(tmp_path / "one")
    (tmp_path / "between").rename(tmp_path / "other")
    for name in ("one", "other"):
        index.heard((name,))
    read(index)
    assert candidates(index, b"needle") == ["one"]
    assert candidates(index, b"needle", "one", *deep) == ["a"]


class Searches(RuleBasedStateMachine):
    """A tree that changes: with and without the index a search gives the same, whether changes are told or not."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp()).resolve()
        self.count = 0
        self.told = True

    @initialize(told=st.booleans())
    def begin(self, told: bool) -> None:
        self.told = told
        self.index = index_of(self.folder)

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @rule(place=PLACES, content=CONTENTS)
    def write(self, place: tuple[str, ...], content: bytes) -> None:
        path = self.folder.joinpath(*place)
        self.count += 1  # each content has another size: when nothing is told, only the stamp can say that it changed
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content + (b"" if self.told else b"x" * self.count))
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            return
        self.tell(place)

    @rule(place=PLACES)
    def remove(self, place: tuple[str, ...]) -> None:
        path = self.folder.joinpath(*place)
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()
        self.tell(place)

    @rule(source=PLACES, goal=PLACES)
    def move(self, source: tuple[str, ...], goal: tuple[str, ...]) -> None:
        old, new = self.folder.joinpath(*source), self.folder.joinpath(*goal)
        if old.exists() and not new.exists() and new.parent.is_dir() and source != goal[: len(source)]:
            old.rename(new)
            self.tell(source)
            self.tell(goal)

    @rule()
    def index_all(self) -> None:
        read(self.index)

    @invariant()
    def finds_the_same(self) -> None:
        if not hasattr(self, "index"):
            return
        for top in ((), ("a",)):
            if self.folder.joinpath(*top).is_dir():
                for query, regex in QUERIES:
                    assert self.found(query, regex, top, planned=True) == self.found(query, regex, top, planned=False)

    def tell(self, place: tuple[str, ...]) -> None:
        if self.told:
            self.index.heard(place)

    def found(self, query: str, regex: bool, top: tuple[str, ...], *, planned: bool) -> Hits:
        def plan(place: Place, literals: Any) -> content_index.Plan | None:
            if not planned or any(len(literal) < 3 for literal in literals):
                return None
            if not self.told:
                self.index.distrust()
            return self.index.plan(place.parts, literals) if self.index.renew(place.parts, lambda: None) else None

        search = Search(
            "content",
            99,
            1 << 20,
            partial(find_lines, query, regex),
            tags={},
            literals=literals_of(query, regex=regex),
            plan=plan,
        )
        place = Place("docs", top)
        with open_folder(self.folder.joinpath(*top), "docs") as folder:
            for entry in walk(folder, place, check=lambda: None, names=search.below(place)):
                search.at(entry)
        return search.result("")


TestSearches = Searches.TestCase
TestSearches.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@asynccontextmanager
async def serving(tmp_path: Path, **flags: Any) -> AsyncGenerator[Parts]:
    """Open the parts of a server with the root `docs`, which has 60 files with old dates."""
    folder = tmp_path / "docs"
    for number in range(60):
        path = folder / str(number % 7) / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"file {number:02} of many\nsecond line\n")
    (folder / "picture.bin").write_bytes(b"\0" * 99)
    async with open_context("files", home=tmp_path / "home", flags={"roots": [str(folder)], **flags}) as context:
        yield Parts(context)


async def search(parts: Parts, query: str, **given: Any) -> Hits:
    given = {"mode": "content", "regex": False, "glob": "", "filters": Filters(), "limit": 50, "cursor": ""} | given
    return await parts.lookup.search(query, "", **given)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(PATIENCE):
        while not await holds():
            await anyio.sleep(0.05)


def planned(parts: Parts, literal: bytes) -> content_index.Plan | None:
    limit = parts.workspace.settings.text_mb << 20
    return parts.lookup.indexer.plan(limit, Place("docs"), [literal])


async def indexed(parts: Parts) -> None:
    """Search until the index alone says that nothing but the picture has to be looked at for a word that is nowhere."""

    async def ready() -> bool:
        await search(parts, "nowhere")
        plan = await anyio.to_thread.run_sync(planned, parts, b"nowhere")
        return plan is not None and list(plan.names(Place("docs"))) == ["picture.bin"]

    await until(ready)


@pytest.mark.anyio
@pytest.mark.subprocess
@pytest.mark.parametrize("watch", [True, False])
async def test_an_index_is_made_after_the_first_search_and_follows_all_changes(tmp_path: Path, watch: bool) -> None:
    async with serving(tmp_path, watch=watch) as parts:
        first = await search(parts, "file 33")
        await indexed(parts)
        assert await search(parts, "file 33") == first
        assert (await search(parts, "nowhere")).skipped == 1, "the picture is not read again, and still told"
        plan = await anyio.to_thread.run_sync(planned, parts, b"file 33")
        assert plan is not None
        assert list(plan.names(Place("docs", ("5",)))) == ["33.txt"]

        await parts.changes.put("docs/new/deep/own.txt", b"by ourselves", overwrite=False)
        assert len((await search(parts, "by ourselves")).hits) == 1, "at once"
        await parts.changes.put("docs/new/deep/own.txt", b"changed again", overwrite=True)
        assert len((await search(parts, "changed again")).hits) == 1

        (tmp_path / "docs" / "3" / "3.txt").write_text("by others")
        (tmp_path / "docs" / "4").rename(tmp_path / "docs" / "moved")

        async def seen() -> bool:
            paths = [hit.path for hit in (await search(parts, "(?i)FILE 04|by others", regex=True)).hits]
            words = [hit.path for hit in (await search(parts, "by others")).hits]
            old = [hit.path for hit in (await search(parts, "file 04")).hits]
            return (paths, words, old) == (["docs/3/3.txt", "docs/moved/4.txt"], ["docs/3/3.txt"], ["docs/moved/4.txt"])

        await until(seen)
        pages = [await search(parts, "file 1", limit=4)]
        while pages[-1].next:
            pages.append(await search(parts, "file 1", limit=4, cursor=pages[-1].next))
        paths = [hit.path for page in pages for hit in page.hits]
        assert len(paths) == 10 and paths == sorted(paths)


@pytest.mark.anyio
@pytest.mark.subprocess
async def test_after_more_changes_than_are_kept_in_mind_every_folder_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path, watch=True) as parts:
        await indexed(parts)
        monkeypatch.setattr(indexing, "MOST_HEARD", 0)
        await parts.changes.put("docs/3/3.txt", b"by ourselves", overwrite=True)
        assert [hit.path for hit in (await search(parts, "by ourselves")).hits] == ["docs/3/3.txt"], "at once"


@pytest.mark.anyio
@pytest.mark.subprocess
async def test_a_root_with_too_many_files_and_other_limits_are_searched_without_an_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path) as parts:
        await indexed(parts)
        save(tmp_path / "home", "files", {"text_mb": 1})
        assert planned(parts, b"file 33") is None, "the index was of files up to another size"
        assert len((await search(parts, "file 33")).hits) == 1
        await indexed(parts)
        monkeypatch.setattr(content_index, "MOST_FILES", 70)
        for number in range(20):
            (tmp_path / "docs" / f"more{number}.txt").write_text("file 33")

        async def all_found() -> bool:
            return len((await search(parts, "file 33")).hits) == 21

        await until(all_found)
        assert await anyio.to_thread.run_sync(planned, parts, b"file 33") is None


@pytest.mark.anyio
@pytest.mark.subprocess
async def test_an_index_that_is_not_used_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "UNUSED_SECONDS", 0.2)
    async with serving(tmp_path) as parts:
        await indexed(parts)

        async def gone() -> bool:
            return planned(parts, b"file 33") is None

        await until(gone)
        assert len((await search(parts, "file 33")).hits) == 1


@pytest.mark.anyio
@pytest.mark.subprocess
async def test_a_server_that_stops_does_not_wait_for_the_index(tmp_path: Path) -> None:
    with anyio.fail_after(PATIENCE):
        async with serving(tmp_path) as parts:
            (tmp_path / "docs" / "large.txt").write_bytes(os.urandom(3 << 20).hex().encode())
            await search(parts, "file 33")


@pytest.mark.anyio
@pytest.mark.subprocess
async def test_files_that_the_worker_fails_at_are_read_by_each_search_and_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_arguments: object) -> None:
        raise HomeportError("too_large", "It takes too much memory.")

    async with serving(tmp_path) as parts:
        monkeypatch.setattr(parts.lookup.indexer._worker, "call", fail)

        async def ready() -> bool:
            await search(parts, "nowhere")
            kept = parts.lookup.indexer._indexes.get("docs")
            return kept is not None and kept.ready and not kept.index.unread()

        await until(ready)
        plan = await anyio.to_thread.run_sync(planned, parts, b"nowhere")
        assert plan is not None
        assert list(plan.names(Place("docs", ("6",)))) == [f"{n}.txt" for n in (13, 20, 27, 34, 41, 48, 55, 6)]
        assert len((await search(parts, "file 33")).hits) == 1


@pytest.mark.anyio
@pytest.mark.subprocess
async def test_an_index_that_is_mostly_about_files_that_are_gone_is_made_anew(tmp_path: Path) -> None:
    async with serving(tmp_path) as parts:
        await indexed(parts)
        old = parts.lookup.indexer._indexes["docs"].index
        old._dead += 1_100
        assert await anyio.to_thread.run_sync(planned, parts, b"file 33") is None
        assert len((await search(parts, "file 33")).hits) == 1
        await indexed(parts)
        assert parts.lookup.indexer._indexes["docs"].index is not old
