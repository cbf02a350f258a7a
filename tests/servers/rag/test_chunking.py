"""Chunks: nothing lost, nothing too long, every place right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from homeport_rag import tokens
from homeport_rag.chunking import MIN_LIMIT, Chunk, chunk, estimate
from homeport_rag.reading import Dividing, uploaded
from homeport_shared.documents import Block, Document, extract_bytes


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def chunked(text: str, name: str = "guide.md", limit: int = 40, overlap: float = 0.0) -> list[Chunk]:
    return chunk(extract_bytes(text.encode(), name), limit_tokens=limit, count=words, overlap=overlap)


def squashed(text: str) -> str:
    return "".join(text.split())


def sentence(number: int, length: int = 9) -> str:
    return " ".join(f"w{number}" for _ in range(length)) + "."


def test_a_small_document_is_one_chunk_under_its_title() -> None:
    assert chunked("# Guide\n\nHello there.\n\n## More\n\n- a\n- b\n") == [
        Chunk("# Guide\n\nHello there.\n\n## More\n\n- a\n- b", "Guide", None, 1, 8, 0)
    ]


def test_an_empty_document_has_no_chunks() -> None:
    assert chunked("") == []
    assert chunked(" \n \n") == []


def test_a_heading_begins_a_chunk_and_its_path_is_the_header() -> None:
    text = f"# Guide\n\n{sentence(1, 20)}\n\n## Setup\n\n{sentence(2, 20)}\n\n### Linux\n\n{sentence(3, 20)}\n"
    assert [(c.header, c.text.split("\n")[0], c.line, c.end_line) for c in chunked(text)] == [
        ("Guide", "# Guide", 1, 3),
        ("Guide › Setup", "## Setup", 5, 7),
        ("Guide › Setup › Linux", "### Linux", 9, 11),
    ]


def test_a_heading_is_not_left_alone_at_the_end_of_a_chunk() -> None:
    text = "\n\n".join(["# Guide", sentence(1, 7), "## Next", sentence(2, 29)])
    assert [c.text.split("\n")[0] for c in chunked(text)] == ["# Guide", "## Next"]


def test_code_and_tables_that_fit_stay_whole() -> None:
    code = "```py\ndef a():\n    x = 1\n\n    return x\n```"
    table = "| a | b |\n|---|---|\n| 1 | 2 |"
    chunks = chunked(f"{sentence(1, 32)}\n\n{code}\n\n{table}\n")
    assert [c.text for c in chunks] == [sentence(1, 32), f"{code}\n\n{table}"]


def test_long_code_is_divided_before_unindented_lines() -> None:
    functions = [f"def f{n}():\n" + "\n".join(f"    x = {n}" for _ in range(8)) for n in range(4)]
    chunks = chunked("\n".join(functions), "tool.py")
    assert [c.text for c in chunks] == functions
    assert [(c.line, c.end_line) for c in chunks] == [(1, 9), (10, 18), (19, 27), (28, 36)]


def test_later_parts_of_a_table_know_its_columns() -> None:
    rows = [f"{n},red,{n * 2}" for n in range(60)]
    chunks = chunked("\n".join(["size,color,price", *rows]), "goods.csv")
    assert len(chunks) > 1
    assert [c.header for c in chunks] == ["goods.csv", *["goods.csv › size,color,price"] * (len(chunks) - 1)]
    assert chunks[0].text.startswith("size,color,price\n0,red,0\n")


def test_a_long_paragraph_is_divided_at_sentences_and_may_overlap() -> None:
    text = " ".join(sentence(n, 5) for n in range(12))
    apart = chunked(text, "a.txt", limit=40)
    assert all(c.text.endswith(".") for c in apart)
    assert squashed("".join(c.text for c in apart)) == squashed(text)
    over = chunked(text, "a.txt", limit=40, overlap=0.15)
    assert over[1].text.startswith(over[0].text[-len(sentence(0, 5)) - 1 :].strip())
    assert len(over) > len(apart) - 1


def test_no_chunk_spans_two_pages() -> None:
    blocks = [Block(f"page {n}", "paragraph", 0, n, n * 2 - 1, n * 2 - 1) for n in (1, 2, 3)]
    document = Document("Book", "page 1\n\npage 2\n\npage 3", "application/pdf", blocks)
    assert [(c.page, c.text, c.line) for c in chunk(document, count=words)] == [
        (1, "page 1", 1),
        (2, "page 2", 3),
        (3, "page 3", 5),
    ]


def test_a_line_without_end_is_divided_even_when_the_model_counts_one_token() -> None:
    chunks = chunked("x" * 1_000_000, "line.txt", limit=250)
    assert "".join(c.text for c in chunks) == "x" * 1_000_000
    assert max(len(c.text) for c in chunks) <= 2_500
    assert {(c.line, c.end_line) for c in chunks} == {(1, 1)}


def test_a_header_that_is_too_long_keeps_its_end() -> None:
    headings = "".join(f"{'#' * n} {' '.join(f'level{n}' for _ in range(12))}\n\n" for n in range(1, 4))
    header = chunked(headings + sentence(1, 20), limit=60)[-1].header
    assert "level3" in header
    assert "level1" not in header
    assert len(header.split()) <= 20


def test_a_tokenizer_that_counts_more_in_the_whole_is_obeyed() -> None:
    def grudging(texts: Sequence[str]) -> list[int]:
        return [len(text.split()) ** 2 // 8 + 1 for text in texts]

    document = extract_bytes(" ".join(str(n) for n in range(500)).encode(), "a.txt")
    chunks = chunk(document, limit_tokens=50, count=grudging, overlap=0.0)
    assert max(grudging([c.embedded for c in chunks])) <= 50
    assert squashed("".join(c.text for c in chunks)) == squashed(document.text)


def test_arguments_out_of_range_are_refused() -> None:
    document = extract_bytes(b"x", "a.txt")
    for arguments in ({"limit_tokens": MIN_LIMIT - 1}, {"overlap": 0.5}, {"overlap": -0.1}):
        with pytest.raises(ValueError, match="limit_tokens"):
            chunk(document, count=words, **arguments)


def test_the_estimate_grows_with_the_text_and_counts_wide_scripts_by_character() -> None:
    assert estimate(["", "a", "hello world", "internationalization", "日本語"]) == [0, 1, 2, 4, 3]


LINES = st.sampled_from(
    ["# T", "## Deep heading", "para one. Two! three", "", "", "```", "    code(x)", "- item", "| a | b |", "|---|---|"]
) | st.text(st.sampled_from("ab c.,\t日é({})🙂"), max_size=120)
TEXTS = st.lists(LINES, max_size=60).map("\n".join)


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS, st.sampled_from(["a.md", "a.py", "a.txt", "a.csv", "a.html"]), st.integers(MIN_LIMIT, 90))
def test_nothing_is_lost_and_no_limit_is_broken(text: str, name: str, limit: int) -> None:
    document = extract_bytes(text.encode(), name)
    lines = document.text.split("\n")
    for count in (words, estimate):
        chunks = chunk(document, limit_tokens=limit, count=count, overlap=0.0)
        assert chunks == chunk(document, limit_tokens=limit, count=count, overlap=0.0)
        assert squashed("".join(c.text for c in chunks)) == squashed(document.text)
        for overlap in (0.0, 0.15):
            chunks = chunk(document, limit_tokens=limit, count=count, overlap=overlap)
            assert [c.ordinal for c in chunks] == list(range(len(chunks)))
            assert all(size <= limit for size in count([c.embedded for c in chunks]))
            for passage in chunks:
                place = "\n".join(lines[passage.line - 1 : passage.end_line])
                assert passage.text.strip()
                assert squashed(passage.text) in squashed(place)
            assert {c for p in chunks for c in squashed(p.text)} == set(squashed(document.text))


@pytest.mark.model
@pytest.mark.parametrize(
    ("text", "least", "most"),
    [("word " * 210_000, 800, 1300), ("x" * 1_100_000, 400, 4000)],
    ids=["one line of words", "one word"],
)
def test_a_line_of_millions_of_characters_is_divided_in_little_memory(
    model: Path, text: str, least: int, most: int
) -> None:
    dividing = Dividing(tokenizer=str(model / "tokenizer.json"))
    source = uploaded(text.encode(), "long.txt", "id", "file:///long.txt", 10_000_000, dividing)
    assert least < len(source.passages) < most
    assert max(len(passage.text) for passage in source.passages) <= 2500


@pytest.mark.model
def test_tokens_are_counted_by_words_as_the_tokenizer_counts_them(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "COUNTED_TOGETHER", 2)
    monkeypatch.setattr(tokens, "KEPT", 30)  # characters, so that words are forgotten and learned again
    count = tokens.TokenCounter(str(model / "tokenizer.json"))
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()

    @given(st.lists(st.text() | st.text(" \n\t\x1c\u2003a.é́中[SEP]", max_size=40), max_size=5))
    def agrees(texts: list[str]) -> None:
        assert count(texts) == [len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts]

    agrees()
    monkeypatch.setattr(tokens, "LONGEST_COUNTED", 100)
    assert count(["two words", "x" * 150]) == [2, 15], "what nobody embeds in one piece is estimated"
