"""The arithmetic of search."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport_rag.search import Filters, full_text_query, fuse, query_words, relative, searchable
from homeport_shared.errors import HomeportError


def test_stop_words_are_left_out_unless_nothing_else_is_there() -> None:
    assert query_words("What is the price of the kettle?", english=True) == ["price", "kettle"]
    assert query_words("to be or not to be", english=True) == ["to", "be", "or", "not"]
    assert query_words("die Miete", english=False) == ["die", "miete"]


def test_every_word_of_a_query_is_quoted() -> None:
    assert full_text_query(query_words('kettle" OR NEAR(x', english=False)) == '"kettle" OR "or" OR "near" OR "x"'
    assert full_text_query([]) == ""


def test_characters_without_spaces_between_words_are_words_of_their_own() -> None:
    assert searchable("東京 tower") == "東 京 tower"
    assert full_text_query(query_words("東京tower", english=True)) == '"東 京" OR "tower"'


def test_an_id_that_is_first_everywhere_scores_one() -> None:
    scores = fuse([[7, 8, 9], [7, 9]], legs=2)
    assert scores[7] == pytest.approx(1)
    assert list(scores) == [7, 9, 8]
    assert fuse([[], [3]], legs=1) == {3: 1}


@given(st.lists(st.lists(st.integers(0, 50), unique=True, max_size=20), max_size=3))
def test_fused_scores_lie_between_0_and_1_best_first(rankings: list[list[int]]) -> None:
    scores = fuse(rankings, legs=max(len(rankings), 1))
    assert set(scores) == {i for ranking in rankings for i in ranking}
    assert all(0 < score <= 1.0000001 for score in scores.values())
    assert list(scores.values()) == sorted(scores.values(), reverse=True)


def test_scores_are_divided_by_the_best() -> None:
    assert relative({1: 4.0, 2: 1.0}) == {1: 1.0, 2: 0.25}
    assert relative({1: 0.0}) == {1: 0.0}


@pytest.mark.parametrize("bound", ["soon", "2026-13-01"])
def test_a_filter_by_something_that_is_no_date_is_refused(bound: str) -> None:
    with pytest.raises(HomeportError, match="is no date"):
        Filters(after=bound)


@pytest.mark.subprocess
def test_the_server_imports_nothing_heavy() -> None:
    heavy = {"numpy", "faiss", "onnxruntime", "tokenizers", "onnx", "pypdfium2", "docx", "selectolax"}
    program = "import sys, homeport_rag.server; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True
    ).stdout.split()
    assert heavy.isdisjoint(loaded)
