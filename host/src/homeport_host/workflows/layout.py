"""Where nodes stand on the canvas: as they were put, and for those that nobody put anywhere, in layers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from homeport_host.workflows.graph import Graph, exits_of, parts_of

NOTHING: Mapping[str, Any] = {}
ACROSS, DOWN = 260.0, 160.0  # between two nodes beside and below each other, in pixels of the canvas


def placed(graph: Graph, before: Mapping[str, Any] = NOTHING) -> Graph:
    """Return the graph with a position for every node.

    Args:
        graph: As it was written.
        before: The version before it as JSON: a node that says nothing of its position stays where it was.
    """
    free = [id for id, node in graph.nodes.items() if node.position is None]
    if not free:
        return graph
    earlier: Mapping[str, Mapping[str, Any]] = before.get("nodes", {})
    kept = {id: tuple(node["position"]) for id, node in earlier.items() if "position" in node}
    found = layers(graph) if any(id not in kept for id in free) else {}
    nodes = {id: node if node.position else node.model_copy(update={"position": kept.get(id) or found[id]})
             for id, node in graph.nodes.items()}  # fmt: skip
    return graph.model_copy(update={"nodes": nodes})


def layers(graph: Graph) -> dict[str, tuple[float, float]]:
    """Return a position for each node: below all that lead to it, those of one layer beside each other.

    What is inside of another node stands further to the right.
    """
    below = _below(graph)
    depth = dict.fromkeys(graph.nodes, 0)
    for _ in graph.nodes:  # the longest way to each; a circle, which a draft may have, ends it as well
        moved = False
        for id, targets in below.items():
            for to in targets:
                if depth[to] <= depth[id] < len(graph.nodes):
                    depth[to], moved = depth[id] + 1, True
        if not moved:
            break
    inside = Counter(id for node in graph.nodes.values() for id in _inside(graph, parts_of(node)))
    rows = defaultdict[tuple[int, int], list[str]](list)
    for id in graph.nodes:
        rows[depth[id], inside[id]].append(id)
    return {
        id: ((at - (len(row) - 1) / 2 + within) * ACROSS, below * DOWN)
        for (below, within), row in rows.items()
        for at, id in enumerate(row)
    }


def _below(graph: Graph) -> dict[str, set[str]]:
    """Return what comes below each node: what follows it, its parts, and what follows those around it."""
    below = {id: {*(to for _, to in exits_of(node)), *parts_of(node)} for id, node in graph.nodes.items()}
    for node in graph.nodes.values():
        following = {to for _, to in exits_of(node)}
        for id in _inside(graph, parts_of(node)):
            below[id] |= following
    return {id: targets & graph.nodes.keys() for id, targets in below.items()}


def _inside(graph: Graph, starts: tuple[str, ...]) -> set[str]:
    found, waiting = set[str](), list(starts)
    while waiting:
        id = waiting.pop()
        if id in graph.nodes and id not in found:
            found.add(id)
            waiting += [*(to for _, to in exits_of(graph.nodes[id])), *parts_of(graph.nodes[id])]
    return found
