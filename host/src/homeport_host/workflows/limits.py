"""What steps have used, and which node's limit that exceeds; the parts inside of a node count for it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from homeport_host.workflows.graph import Node
from homeport_host.workflows.journal import Step
from homeport_shared.errors import HomeportError

COUNTED = ("tool_calls", "prompt_tokens", "completion_tokens", "usd")  # as the usage of any run has them
USED = "used"  # where the notes of a step say what it used


def note(step: Step, used: Mapping[str, Any]) -> None:
    """Add to what a step has used: a call, or what the run of an agent or a workflow used."""
    before: dict[str, float] = step.notes.get(USED, {})
    step.notes[USED] = {name: before.get(name, 0) + used.get(name, 0) for name in COUNTED}


def used(steps: Iterable[Step]) -> dict[str, float]:
    """Return what steps have used together."""
    each: list[dict[str, float]] = [step.notes[USED] for step in steps if USED in step.notes]
    return {name: round(sum(one.get(name, 0) for one in each), 6) for name in COUNTED}


def require_room(nodes: Mapping[str, Node], steps: Mapping[str, Step], path: str, *, calls: int = 0) -> None:
    """Refuse to go on at `path` when a node that it is in has used more than it may.

    Args:
        nodes: Of the graph.
        steps: What was done so far.
        path: Of the step.
        calls: Tool calls that are about to be made.

    Raises:
        HomeportError: `limit`.
    """
    for at in _around(path):
        limits = nodes[_node(at)].limits.model_dump(include={"tool_calls", "tokens", "usd"}, exclude_none=True)
        if not limits:
            continue
        spent = used(step for step in steps.values() if step.path == at or step.path.startswith((f"{at}/", f"{at}[")))
        spent["tool_calls"] += calls
        spent["tokens"] = spent["prompt_tokens"] + spent["completion_tokens"]
        for name, most in limits.items():
            if spent[name] > most:
                what = name.replace("_", " ")
                raise HomeportError(
                    "limit", f"{at} may use {most:g} {what}; this would be {spent[name]:g}.", "Raise its limit."
                )


def require_size(node: Node, output: Any) -> None:
    """Refuse an output that is larger than its node allows.

    Raises:
        HomeportError: `limit`.
    """
    most = node.limits.bytes
    size = len(json.dumps(output, ensure_ascii=False).encode()) if most else 0
    if most and size > most:
        raise HomeportError("limit", f"It gave {size} bytes; {most} are allowed.", "Ask it for less.")


def of_agent(node: Node) -> dict[str, Any]:
    """Return a node's limits as the run of an agent has them."""
    given = node.limits.model_dump(exclude={"bytes", "tokens"}, exclude_none=True)
    tokens = node.limits.tokens
    return {**({"tokens_in": tokens, "tokens_out": tokens} if tokens else {}), **given}


def _around(path: str) -> Iterator[str]:
    """Yield the paths of a step and of the nodes around it: `each[2]/send` and `each`."""
    parts = path.split("/")
    yield path
    for end in range(len(parts) - 1, 0, -1):
        yield "/".join(parts[:end]).rpartition("[")[0] if parts[end - 1].endswith("]") else "/".join(parts[:end])


def _node(path: str) -> str:
    return path.rpartition("/")[2].partition("[")[0].partition("~")[0]
