"""Ranking words in memory gives what FTS5 gives, in many passages, after changes and under filters."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport_rag.records import Passage, Source
from homeport_rag.search import Filters, full_text_query, query_words
from homeport_rag.store import documents, full_text, matching
from homeport_rag.store.postings import Postings
from homeport_rag.store.schema import SCHEMA
from homeport_rag.store.words import FEW, Words, find
from homeport_shared.sqlite import connect

VOCABULARY = ["wing", "wings", "flow", "heat", "boundary", "layer", "panel", "flutter", "mach", "東京", "京都", "x_y"]


def store(connection: sqlite3.Connection, name: str, texts: list[str], collection: int = 1) -> None:
    passages = [Passage(text, header=name) for text in texts]
    source = Source(name, f"text:{name}", name, "text/plain", 0, name, "\n".join(texts), passages)
    documents.put(connection, source, collection, english=True, actor="", now="2026-01-01T00:00:00Z")


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    connection = connect(tmp_path / "knowledge.db", SCHEMA)
    dice = random.Random(5)
    for number in range(60):
        texts = [" ".join(dice.choices(VOCABULARY, k=dice.randint(1, 30))) for _ in range(20)]
        store(connection, f"document {number}", texts)
    return connection


def by_fts5(connection: sqlite3.Connection, words: list[str], limit: int) -> list[tuple[int, float]]:
    return matching.match(connection, "chunks_fts", full_text_query(words), [1], Filters(), limit)


def test_scores_are_those_of_fts5(connection: sqlite3.Connection) -> None:
    postings = Postings(connection, "chunks_fts", full_text.TOKENIZER["chunks_fts"])

    @settings(max_examples=40)
    @given(st.lists(st.sampled_from([*VOCABULARY, "absent", "東", "layers"]), min_size=1, max_size=6, unique=True))
    def same(words: list[str]) -> None:
        found, expected = postings.best(words, 50), by_fts5(connection, words, 50)
        assert [score for _, score in found] == pytest.approx([score for _, score in expected])
        assert len(found) == len(expected)

    same()


def test_frequent_words_are_read_in_advance_by_another_thread(
    connection: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("homeport_rag.store.postings.FREQUENT", 1)
    postings = Postings(connection, "chunks_fts", full_text.TOKENIZER["chunks_fts"])
    postings.follow()
    assert postings.cold
    with closing(sqlite3.connect(tmp_path / "knowledge.db")) as other:
        postings.warm(other, lambda: None)
    assert not postings.cold
    connection.execute("DROP TABLE temp.chunks_fts_places")  # nothing can be read any more
    for word in ("wings", "boundary", "flutter"):
        found, expected = postings.best([word], 50), by_fts5(connection, [word], 50)
        assert [score for _, score in found] == pytest.approx([score for _, score in expected])
    with pytest.raises(sqlite3.OperationalError):
        postings.best(["x_y"], 5)  # two terms: not read in advance


def test_what_is_stored_later_is_ranked_with_the_rest(connection: sqlite3.Connection) -> None:
    postings = Postings(connection, "chunks_fts", full_text.TOKENIZER["chunks_fts"])
    postings.best(["wing"], 10)
    store(connection, "later", ["wing wing wing flutter", "quark"])
    assert postings.best(["quark"], 10) == by_fts5(connection, ["quark"], 10)
    assert [i for i, _ in postings.best(["wing", "flutter"], 5)] == [
        i for i, _ in by_fts5(connection, ["wing", "flutter"], 5)
    ]


def test_filters_leave_enough_hits_also_where_few_pass(connection: sqlite3.Connection) -> None:
    for number in range(60, 60 + FEW // 20):
        store(connection, f"document {number}", ["wing flow"] * 20)
    store(connection, "wanted", ["a wing, at last, in a very long passage about many other things " * 3])
    only = Filters(documents=["wanted"])
    [found] = find(connection, Words().rank, "wing", {1: "en"}, only, 10)
    [expected] = [matching.match(connection, "chunks_fts", full_text_query(["wing"]), [1], only, 10)]
    assert [i for i, _ in found] == [i for i, _ in expected]
    assert found[0][1] == pytest.approx(expected[0][1])


def test_deleted_passages_are_not_found(connection: sqlite3.Connection) -> None:
    for number in range(60, 60 + FEW // 20):
        store(connection, f"document {number}", ["heat"] * 20)
    words = Words()
    [before] = find(connection, words.rank, "panel flutter", {1: "en"}, Filters(), 5)
    gone = connection.execute("SELECT document_id FROM chunks WHERE id = ?", (before[0][0],)).fetchone()[0]
    documents.delete(connection, gone)
    [after] = find(connection, words.rank, "panel flutter", {1: "en"}, Filters(), 5)
    assert before[0][0] not in {i for i, _ in after}
    assert len(after) == 5
    assert query_words("panel flutter", english=True) == ["panel", "flutter"]
