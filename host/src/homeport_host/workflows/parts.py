"""How the nodes of a graph hang together: which part each belongs to, in which order, and what is wrong with that."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from homeport_host.workflows.graph import (
    BREAK,
    CONTINUE,
    EndNode,
    Graph,
    LoopNode,
    MapNode,
    ParallelNode,
    exits_of,
    parts_of,
)

TOP = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """What speaks against a graph, at one node; an empty node means the whole.

    Attributes:
        field: The node's field that it is about; empty = the node as such.
        level: An `error` keeps the workflow from running, a `warning` does not.
    """

    node: str
    message: str
    field: str = ""
    level: str = "error"


@dataclass
class Part:
    """Nodes that follow each other: the top of the workflow, the body of a loop or map, or a branch.

    Attributes:
        owner: The node whose part it is; empty for the top.
        nodes: Their ids in an order in which each comes after all that lead to it.
        beside: It is done beside others, so it cannot end the whole.
    """

    owner: str
    start: str
    nodes: list[str] = field(default_factory=list[str])
    beside: bool = False


def parts(graph: Graph) -> tuple[list[Part], list[Problem]]:
    """Return the parts of a graph, outer ones first, and the problems of its connections."""
    problems: list[Problem] = []
    part_of: dict[str, str] = {}
    found: list[Part] = []
    waiting = deque([Part(TOP, graph.start)])
    while waiting:
        part = waiting.popleft()
        if part.start not in graph.nodes:
            problems.append(Problem(part.owner, f"It begins with {part.start!r}, which is no node.", "start"))
            continue
        if part.start in part_of:
            problems.append(Problem(part.start, f"It belongs to two parts; one of them is of {part.owner!r}."))
            continue
        problems += _fill(graph, part, part_of)
        found.append(part)
        for id in part.nodes:
            node = graph.nodes[id]
            beside = part.beside or isinstance(node, MapNode | ParallelNode)
            waiting.extend(Part(id, start, beside=beside) for start in parts_of(node))
            if part.beside and isinstance(node, EndNode):
                problems.append(Problem(id, "It cannot end the workflow from here, where others run beside it."))
    lost = sorted(graph.nodes.keys() - part_of.keys())
    return found, problems + [Problem(node, "Nothing leads to it.") for node in lost]


def _fill(graph: Graph, part: Part, part_of: dict[str, str]) -> Iterator[Problem]:
    """Collect the nodes of a part in order; yields what is wrong with their connections."""
    open_, done = list[str](), list[str]()
    mark = f"{part.owner}/{part.start}"
    stack = [(part.start, False)]
    while stack:
        node, left = stack.pop()
        if left:
            open_.remove(node)
            done.append(node)
            continue
        if node in part_of:
            if node in open_:
                yield Problem(node, "It leads back to itself; only a loop node repeats.")
            elif part_of[node] != mark:
                yield Problem(node, f"It belongs to two parts; one of them is of {part.owner or 'the top'!r}.")
            continue
        part_of[node] = mark
        open_.append(node)
        stack.append((node, True))
        for name, target in exits_of(graph.nodes[node]):
            if target in {BREAK, CONTINUE}:
                if not isinstance(graph.nodes.get(part.owner), LoopNode):
                    yield Problem(node, f"{target} is only for the body of a loop.", name)
            elif target not in graph.nodes:
                yield Problem(node, f"It leads to {target!r}, which is no node.", name)
            else:
                stack.append((target, False))
    part.nodes = done[::-1]


def outline(graph: Graph) -> list[tuple[str, int]]:
    """Return the nodes in the order in which people read them, with how deep each is inside of others."""
    found, _ = parts(graph)
    within: dict[str, list[Part]] = {}
    for part in found:
        within.setdefault(part.owner, []).append(part)

    def lines(owner: str, depth: int) -> Iterator[tuple[str, int]]:
        for part in within.get(owner, []):
            for node in part.nodes:
                yield node, depth
                yield from lines(node, depth + 1)

    return list(lines(TOP, 0))
