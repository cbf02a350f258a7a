"""What is wrong with a workflow is said at the node, before it runs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport_host.governance.calls import Tool
from homeport_host.workflows.checking import Known, check, errors_of
from homeport_host.workflows.comparing import changes
from homeport_host.workflows.graph import parsed
from homeport_host.workflows.parts import parts
from homeport_shared.errors import HomeportError


def tool(name: str, gives: dict[str, Any] | None = None, **takes: str) -> Tool:
    fields = {field: {"type": kind} for field, kind in takes.items()}
    schema = {"type": "object", "properties": fields, "required": list(takes)}
    own = name.partition("__")[2]
    definition = {"name": own, "inputSchema": schema, "outputSchema": {"type": "object", "properties": gives or {}}}
    return Tool(name, name.partition("__")[0], own, definition, frozenset())


TOOLS = {
    one.name: one
    for one in (
        tool("t__list", {"entries": {"type": "array"}, "count": {"type": "integer"}}, path="string"),
        tool("t__say", {"text": {"type": "string"}}, text="string"),
    )
}
KNOWN = Known(TOOLS.get, lambda word: ["t__list"], frozenset({"writer"}), frozenset({"Other"}))
LIST = {"kind": "tool", "tool": "t__list", "arguments": {"path": "a"}}
END = {"kind": "end", "result": ""}


def found(nodes: dict[str, Any], start: str = "a", **more: Any) -> list[tuple[str, str]]:
    graph = parsed({"name": "W", "start": start, "nodes": nodes, **more})
    return [(problem.node, problem.message) for problem in check(graph, KNOWN)]


def test_a_sound_workflow_has_no_problems() -> None:
    nodes = {
        "a": {**LIST, "next": "each"},
        "each": {"kind": "loop", "over": "{{ a.entries }}", "body": "say", "next": "b"},
        "say": {"kind": "tool", "tool": "t__say", "arguments": {"text": "{{ item.name }} {{ index }}"}},
        "b": {
            "kind": "condition",
            "choices": [{"when": "a.count > 3 and len(each.items) > 0", "next": "c"}],
            "next": "d",
        },
        "c": {"kind": "agent", "agent": "writer", "prompt": "{{ folder }}", "next": "d", "catch": "oh"},
        "oh": {"kind": "end", "result": "{{ error.message }}"},
        "d": {"kind": "workflow", "workflow": "Other"},
    }
    assert found(nodes, variables={"folder": {"default": "x"}}) == []


@pytest.mark.parametrize(
    ("nodes", "node", "words"),
    [
        ({"a": {**LIST, "tool": "t__lost"}}, "a", "no tool 't__lost'"),
        ({"a": {**LIST, "arguments": {}}}, "a", "missing 'path'"),
        ({"a": {**LIST, "arguments": {"path": "x", "deep": 1}}}, "a", "no argument 'deep'"),
        ({"a": {**LIST, "arguments": {"path": 7}}}, "a", "type"),
        ({"a": {**LIST, "next": "z"}}, "a", "leads to 'z'"),
        ({"a": {**LIST, "next": "b"}, "b": {**LIST, "next": "a"}}, "a", "leads back to itself"),
        ({"a": END, "b": END}, "b", "Nothing leads to it"),
        ({"a": {"kind": "end", "result": "{{ nobody }}"}}, "a", "no variable 'nobody'"),
        ({"a": {"kind": "end", "result": "{{ b.x }}"}, "b": END}, "a", "no variable 'b'"),
        ({"a": {**LIST, "next": "b"}, "b": {"kind": "end", "result": "{{ a.lost }}"}}, "b", "no field 'lost'"),
        ({"a": {**LIST, "next": "b"},
          "b": {"kind": "tool", "tool": "t__say", "arguments": {"text": "{{ a.entries }}"}}}, "b", "needs a text"),
        ({"a": {**LIST, "next": "b"}, "b": {"kind": "map", "over": "{{ a.count }}", "body": "c"}, "c": END}, "b",
         "needs a list"),
        ({"a": {"kind": "agent", "prompt": "x", "agent": "nobody"}}, "a", "no agent"),
        ({"a": {"kind": "workflow", "workflow": "Lost"}}, "a", "no workflow"),
        ({"a": {"kind": "rag", "query": "x"}}, "a", "knowledge base is not there"),
        ({"a": {**LIST, "next": "break"}}, "a", "only for the body of a loop"),
        ({"a": {"kind": "condition", "choices": [{"when": "1 >", "next": "b"}]}, "b": END}, "a", "no condition"),
        ({"a": {"kind": "end", "result": "{{ 1 +"}}, "a", ""),
        ({"a": {**LIST, "tool": "{{ t }}"}}, "a", "allowed"),
        ({"a": {"kind": "map", "over": [], "body": "b"}, "b": END}, "b", "cannot end"),
        ({"a": {"kind": "parallel", "branches": ["b", "c"]}, "b": {**LIST, "next": "d"}, "c": {**LIST, "next": "d"},
          "d": LIST}, "d", "two parts"),
        ({"a": {"kind": "agent", "prompt": "Hi", "to": ["b"]}, "b": LIST}, "a", "no agent's node"),
        ({"last": LIST}, "last", "meaning of its own"),
    ],
)  # fmt: skip
def test_each_mistake_is_named_at_its_node(nodes: dict[str, Any], node: str, words: str) -> None:
    problems = found(nodes, next(iter(nodes)))
    assert any(at == node and words in message for at, message in problems), problems


def test_an_entry_point_that_is_not_there_is_a_problem() -> None:
    assert ("", "It begins with 'z', which is no node.") in found({"a": END}, "z")


def test_what_is_there_on_some_ways_only_is_a_warning() -> None:
    nodes = {
        "a": {"kind": "condition", "choices": [{"when": "1 > 2", "next": "b"}], "next": "c"},
        "b": {**LIST, "next": "c"},
        "c": {"kind": "end", "result": "{{ b.count }}"},
    }
    problems = check(parsed({"name": "W", "start": "a", "nodes": nodes}), KNOWN)
    assert errors_of(problems) == []
    assert [problem.level for problem in problems] == ["warning"]
    nodes["c"] = {"kind": "end", "result": "{{ b.count | default(0) }}"}
    assert found(nodes) == []


@pytest.mark.parametrize(
    ("graph", "place"),
    [
        ({"name": "W", "start": "a", "nodes": {}}, "nodes"),
        ({"name": "W", "start": "a", "nodes": {"a": {"kind": "magic"}}}, "nodes.a"),
        ({"name": "W", "start": "a", "nodes": {"a": {"kind": "tool"}}}, "nodes.a.tool"),
        ({"name": "W", "start": "a", "nodes": {"a": {**LIST, "colour": 1}}}, "nodes.a.colour"),
        ({"name": "W", "start": "a", "nodes": {"a": {"kind": "loop", "body": "b"}}}, "nodes.a"),
        ({"name": "W", "start": "a", "nodes": {"a": {"kind": "loop", "over": [], "body": "b", "most": 51}}}, "a.most"),
        ({"name": "W", "start": "a", "nodes": {"A-1": LIST}}, "A-1"),
        ([], "workflow"),
    ],
)
def test_what_is_no_workflow_is_refused_with_the_place(graph: Any, place: str) -> None:
    with pytest.raises(HomeportError) as refused:
        parsed(graph)
    assert place in refused.value.message


IDS = st.sampled_from(["a", "b", "c", "d", "e", "break", "gone"])
NODES = st.one_of(
    st.builds(lambda n: {**LIST, "next": n}, IDS | st.just("")),
    st.builds(lambda c, n: {"kind": "condition", "choices": [{"when": "1 > 2", "next": c}], "next": n}, IDS, IDS),
    st.builds(lambda b, n: {"kind": "loop", "over": [1], "body": b, "next": n}, IDS, IDS | st.just("")),
    st.builds(lambda b, c, n: {"kind": "parallel", "branches": [b, c], "next": n}, IDS, IDS, IDS | st.just("")),
    st.just(END),
)


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(["a", "b", "c", "d", "e"]), NODES, min_size=1), st.sampled_from(["a", "b"]))
def test_any_graph_is_checked_and_a_valid_one_has_each_node_in_one_part(nodes: Any, start: str) -> None:
    graph = parsed({"name": "W", "start": start, "nodes": nodes})
    problems = check(graph, KNOWN)
    if not problems:
        placed = [node for part in parts(graph)[0] for node in part.nodes]
        assert sorted(placed) == sorted(nodes)
    assert parsed(graph.as_json()) == graph


def test_differences_are_told_by_place() -> None:
    before = {"name": "W", "nodes": {"a": LIST, "b": END}, "variables": {"v": {"type": "text"}}}
    after = {"name": "X", "nodes": {"a": {**LIST, "position": [1, 2], "next": "c"}, "c": END}, "variables": {}}
    told = {(change.kind, change.place) for change in changes(before, after)}
    assert told == {("changed", "name"), ("moved", "nodes.a.position"), ("changed", "nodes.a.next"),
                    ("removed", "nodes.b"), ("added", "nodes.c"), ("removed", "variables.v")}  # fmt: skip
