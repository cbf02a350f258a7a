"""Circles of jobs, as examples and properties."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from homeport_scheduler.validation import circle


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
