"""A workflow as a drawing: boxes where its nodes stand on the canvas, and curves for the ways between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from homeport_dashboard.connection import Json
from homeport_dashboard.pages.workflow_nodes import KINDS, about, ways

WIDTH, HEIGHT, MARGIN, STEP = 200, 68, 40, 160
ICONS = {
    "tool": "tool", "agent": "spark", "rag": "knowledge", "condition": "list", "loop": "retry", "map": "copy",
    "parallel": "panel", "timer": "automation", "approval": "approvals", "workflow": "workflow", "end": "check",
}  # fmt: skip
MARKS = {
    "completed": "check", "pinned": "clip", "undone": "retry", "failed": "warning", "cancelled": "stop",
    "running": "automation", "waiting": "approvals", "shown": "search",
}  # fmt: skip
LABEL, TITLE = 26, 18  # characters that fit
Place = tuple[float, float]


def drawing(graph: Json, nodes: Sequence[Json], selected: str) -> Json:
    """Return what the template draws.

    Args:
        graph: The workflow.
        nodes: Its outline, with what became of each node.
        selected: The node whose data is shown.

    Returns:
        `box` (left, top, width, height), `nodes` with corner, texts and state, `edges` with path, label and kind.
    """
    known = {node["id"]: node for node in nodes}
    at = _places(graph)
    left, top = (min((place[axis] for place in at.values()), default=0) - MARGIN for axis in (0, 1))
    right = max((place[0] for place in at.values()), default=0) + WIDTH + MARGIN
    bottom = max((place[1] for place in at.values()), default=0) + HEIGHT + MARGIN
    corners = list(at.values())
    begun = {node["id"] for node in nodes if node["state"]}
    return {
        "box": (left, top, right - left, bottom - top),
        "nodes": [_node(id, graph["nodes"][id], known.get(id), at[id], id == selected) for id in at],
        "edges": [
            {
                **_curve(at[a], at[b], corners),
                "label": _cut(label, LABEL),
                "kind": kind,
                "taken": a in begun and b in begun,
            }
            for a, b, label, kind in _edges(graph)
            if b in at
        ],
    }


def _places(graph: Json) -> dict[str, Place]:
    """Return the upper left corner of each node; a position is the middle of a node's upper edge."""
    found: dict[str, Place] = {}
    for number, (id, node) in enumerate(graph["nodes"].items()):
        x, y = node.get("position") or (0, number * STEP)
        found[id] = (x - WIDTH / 2, y)
    return found


def _node(id: str, node: Json, shown: Json | None, at: Place, selected: bool) -> Json:
    steps: list[Json] = shown["steps"] if shown else []
    state = shown["state"] if shown else ""
    title, kind = str(node.get("title") or id), KINDS[node["kind"]]
    done = sum(step["state"] not in {"running", "waiting"} for step in steps)
    return {
        "id": id,
        "x": at[0],
        "y": at[1],
        "kind": node["kind"],
        "icon": ICONS[node["kind"]],
        "title": _cut(title, TITLE),
        "about": _cut(f"{kind}: {about(node)}", LABEL),
        "state": state,
        "mark": MARKS.get(state, ""),
        "count": f"{done} of {len(steps)}" if len(steps) > 1 else "",
        "label": ", ".join(filter(None, (f"{kind} {title}", state, "selected" if selected else ""))),
        "problems": [problem["message"] for problem in shown["problems"]] if shown else [],
        "selected": selected,
    }


def _edges(graph: Json) -> Iterator[tuple[str, str, str, str]]:
    """Yield source, target, label and kind of each way between two nodes."""
    for id, node in graph["nodes"].items():
        for label, target in ways(node):
            kind = "error" if target == node.get("catch") and label == "on an error" else "way"
            yield id, target, "" if label == "then" else label, kind
        for start in _starts(node):
            yield id, start, "", "part"


def _starts(node: Mapping[str, Any]) -> list[str]:
    return [node["body"]] if "body" in node else list(node.get("branches", []))


def _curve(a: Place, b: Place, others: Sequence[Place]) -> Json:
    """Return the path of an arrow and where its label stands: straight down where nothing is in its way, else around.

    Args:
        a: Corner of the node that it leaves.
        b: Corner of the node that it goes to.
        others: Corners of all nodes.
    """
    (x1, y1), (x2, y2) = (a[0] + WIDTH / 2, a[1] + HEIGHT), (b[0] + WIDTH / 2, b[1])
    left, right = min(x1, x2) - WIDTH / 2, max(x1, x2) + WIDTH / 2
    between = [x for x, y in others if y1 < y + HEIGHT / 2 < y2 and x < right and x + WIDTH > left]
    if y2 > y1 and not between:
        bend = max((y2 - y1) / 2, 24)
        path = f"M{x1:g} {y1:g}C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g} {x2:g} {y2:g}"
        return {"path": path, "x": (x1 + x2) / 2, "y": (y1 + y2) / 2}
    if y2 > y1:
        out = min(between) - 34
        down = f"M{x1:g} {y1:g}C{x1:g} {y1 + 50:g} {out:g} {y1 + 30:g} {out:g} {y1 + 90:g}"
        path = f"{down}V{max(y2 - 90, y1 + 90):g}C{out:g} {y2 - 30:g} {x2:g} {y2 - 50:g} {x2:g} {y2:g}"
        return {"path": path, "x": out, "y": (y1 + y2) / 2}
    side = 1 if b[0] >= a[0] else -1
    x1, y1 = a[0] + WIDTH / 2 * (1 + side), a[1] + HEIGHT / 2
    x2, y2 = b[0] + WIDTH / 2 * (1 + side), b[1] + HEIGHT / 2
    out = max(x1 * side, x2 * side) * side + side * 60
    return {"path": f"M{x1:g} {y1:g}C{out:g} {y1:g} {out:g} {y2:g} {x2:g} {y2:g}", "x": out, "y": (y1 + y2) / 2}


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
