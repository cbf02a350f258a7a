"""Filters and blanks of events, circles of jobs, and who may start: pure functions as examples and properties."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport_scheduler.definitions import Trigger
from homeport_scheduler.matching import blanks, fill, matches
from homeport_scheduler.validation import circle

EVENT = {
    "kind": "file.created",
    "subject": "files://papers/a.pdf",
    "data": {"path": "papers/A.pdf", "size": 12, "tags": ["x"], "deep": {"er": True}},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize(
    ("event", "where", "fits"),
    [
        ("file.created", {}, True),
        ("file.*", {}, True),
        ("*", {}, True),
        ("file.deleted", {}, False),
        ("file.*", {"data.path": "*.PDF"}, True),
        ("file.*", {"data.path": "*.txt"}, False),
        ("file.*", {"data.path": ["*.txt", "papers/*"]}, True),
        ("file.*", {"data.size": 12}, True),
        ("file.*", {"data.size": "1?"}, True),
        ("file.*", {"data.size": 13}, False),
        ("file.*", {"data.deep.er": True}, True),
        ("file.*", {"data.none": "*"}, False),
        ("file.*", {"data.path.more": "*"}, False),
        ("file.*", {"subject": "files://papers/*", "data.size": 12}, True),
    ],
)
def test_an_event_fits_when_its_kind_and_every_named_field_do(event: str, where: dict[str, Any], fits: bool) -> None:
    assert matches(Trigger(event=event, where=where), EVENT) is fits


def test_blanks_are_filled_with_the_fields_own_type() -> None:
    value = {
        "path": "{{event.data.path}}",
        "size": "{{ event.data.size }}",
        "all": ["{{event.data.tags}}"],
        "text": "{{event.kind}}: {{event.data.path}}{{event.data.none}}",
    }
    assert fill(value, EVENT) == {
        "path": "papers/A.pdf",
        "size": 12,
        "all": [["x"]],
        "text": "file.created: papers/A.pdf",
    }
    assert blanks(value)
    assert not blanks({"path": "{{secret}}", "n": 3})


@given(JSON)
def test_what_has_no_blank_stays_as_it_is_and_what_is_filled_is_not_filled_again(value: Any) -> None:
    if not blanks(value):
        assert fill(value, EVENT) == value
    event = {"data": {"text": "{{event.kind}}"}, "kind": "trick"}
    assert fill("{{event.data.text}}", event) == "{{event.kind}}"


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=3)),
    st.sampled_from("abcdef"),
)
def test_a_circle_is_found_exactly_when_there_is_one(graph: dict[str, list[str]], name: str) -> None:
    found = circle(name, graph.get(name, []), graph)
    reachable, left = set[str](), list(graph.get(name, []))
    while left:
        each = left.pop()
        if each not in reachable:
            reachable.add(each)
            left += graph.get(each, [])
    assert bool(found) == (name in reachable)
    if found:
        assert (found[0], found[-1]) == (name, name)
        assert all(later in graph[earlier] for earlier, later in pairwise(found))
