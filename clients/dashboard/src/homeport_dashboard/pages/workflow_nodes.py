"""The nodes of a workflow as people read them, in order: what each does, where it leads, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from homeport_dashboard.connection import Json

KINDS = {
    "tool": "Tool", "agent": "Agent", "rag": "Knowledge", "condition": "Condition", "loop": "Loop", "map": "For each",
    "parallel": "At the same time", "timer": "Wait", "approval": "Approval", "workflow": "Workflow", "end": "End",
}  # fmt: skip
WORST = ("failed", "running", "waiting", "cancelled", "shown", "completed", "pinned", "undone")


def outline(shown: Json, steps: Sequence[Json]) -> list[Json]:
    """Return the nodes in reading order, each with its depth, problems, ways out, and what became of it in a run."""
    problems: dict[str, list[Json]] = {}
    for problem in shown.get("problems", []):
        problems.setdefault(problem["node"], []).append(problem)
    done: dict[str, list[Json]] = {}
    for step in steps:
        if step["kind"] != "undo":
            done.setdefault(step["node"], []).append(step)
    graph: Json = shown["graph"]
    titles = {id: node.get("title") or id for id, node in graph["nodes"].items()}
    return [
        {
            "id": id,
            "depth": depth,
            "title": titles[id],
            "kind": graph["nodes"][id]["kind"],
            "about": about(graph["nodes"][id]),
            "ways": [(label, titles.get(target, target)) for label, target in ways(graph["nodes"][id])],
            "problems": problems.get(id, []),
            "steps": done.get(id, []),
            "state": state(done.get(id, [])),
        }
        for id, depth in shown["outline"]
    ]


def about(node: Mapping[str, Any]) -> str:
    """Return what a node does in one line."""
    match node["kind"]:
        case "tool":
            return str(node["tool"])
        case "agent":
            return str(node["prompt"])[:160]
        case "rag":
            return str(node["query"])
        case "condition":
            return " / ".join(choice["when"] for choice in node["choices"])
        case "loop" | "map":
            return str(node.get("over") or f"while {node['while']}")
        case "timer":
            return str(node.get("until") or node.get("task") or f"{node.get('seconds')} s")
        case "approval":
            return str(node["question"])
        case "workflow":
            return str(node["workflow"])
        case _:
            return str(node.get("result", ""))[:160]


def ways(node: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return where a node leads, each with the word for when."""
    found = [(f"if {choice['when']}", choice["next"]) for choice in node.get("choices", [])]
    found += [("otherwise" if found else "then", node["next"])] if node.get("next") else []
    found += [("if refused", node["refused"])] if node.get("refused") else []
    return [*found, ("on an error", node["catch"])] if node.get("catch") else found


def state(steps: Sequence[Json]) -> str:
    """Return the state that tells most about the rounds of a node."""
    states = {step["state"] for step in steps}
    return next((state for state in WORST if state in states), "")
