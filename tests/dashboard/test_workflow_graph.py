"""The drawing of a workflow, without a browser."""

from __future__ import annotations

from typing import Any

from homeport_dashboard.pages.workflow_graph import HEIGHT, WIDTH, drawing
from homeport_dashboard.pages.workflow_nodes import outline

GRAPH: dict[str, Any] = {
    "start": "each",
    "nodes": {
        "each": {"kind": "loop", "over": [1, 2], "body": "ask", "next": "sum", "catch": "sorry", "position": [0, 0]},
        "ask": {"kind": "agent", "prompt": "A prompt that is far too long for a box", "position": [260, 160]},
        "sum": {
            "kind": "condition",
            "choices": [{"when": "x > 1", "next": "lost"}],
            "next": "sorry",
            "position": [0, 320],
        },
        "sorry": {"kind": "end", "position": [0, 640]},
        "above": {"kind": "tool", "tool": "a__b", "next": "each"},
    },
}
STEPS = [
    {"path": "each", "node": "each", "kind": "loop", "state": "running"},
    {"path": "each[0]/ask", "node": "ask", "kind": "agent", "state": "completed"},
    {"path": "each[1]/ask", "node": "ask", "kind": "agent", "state": "running"},
]


def drawn() -> dict[str, Any]:
    shown = {"graph": GRAPH, "outline": [("each", 0), ("ask", 1), ("sum", 0), ("sorry", 0)],
             "problems": [{"node": "sum", "message": "Wrong."}]}  # fmt: skip
    return drawing(GRAPH, outline(shown, STEPS), "ask")


def test_each_node_has_its_place_its_state_and_how_many_rounds_are_done() -> None:
    nodes = {node["id"]: node for node in drawn()["nodes"]}
    assert (nodes["ask"]["x"], nodes["ask"]["y"]) == (260 - WIDTH / 2, 160)
    assert (nodes["ask"]["state"], nodes["ask"]["count"], nodes["ask"]["selected"]) == ("running", "1 of 2", True)
    assert nodes["ask"]["label"] == "Agent ask, running, selected"
    assert nodes["ask"]["about"].endswith("…")
    assert nodes["sum"]["problems"] == ["Wrong."]
    assert nodes["above"]["y"] == 4 * 160  # nobody gave it a place
    left, top, width, height = drawn()["box"]
    for node in nodes.values():
        assert left <= node["x"] and node["x"] + WIDTH <= left + width
        assert top <= node["y"] and node["y"] + HEIGHT <= top + height


def test_ways_are_drawn_with_their_labels_and_around_what_is_between() -> None:
    edges = drawn()["edges"]
    assert [(edge["label"], edge["kind"], edge["taken"]) for edge in edges] == [
        ("", "way", False),  # each → sum
        ("on an error", "error", False),
        ("", "part", True),  # each → ask
        ("otherwise", "way", False),  # sum → sorry; the choice leads to a node that is not there
        ("", "way", False),  # above → each, upwards
    ]
    straight, around = edges[0], edges[1]
    assert straight["x"] == 0
    assert around["x"] < -WIDTH / 2  # past `sum`, which stands between
