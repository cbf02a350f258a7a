"""Graphs that nobody drew: of a task that was done, and of what an agent suggests for a plain sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, cast

from homeport_host.agents.drafts import about, asked_for, object_in
from homeport_host.agents.runs import Run, RunEvent
from homeport_host.agents.task import Options
from homeport_host.governance.calls import Tool
from homeport_host.workflows.graph import FORMAT
from homeport_shared.errors import HomeportError

SUGGESTION = "workflow suggestion"  # the tag of the runs whose answer is a graph
DISTANCE = 160  # between two nodes on the canvas
INSTRUCTIONS = """You design a workflow for what the user describes. Answer with one JSON object and nothing else.

The object: {"format": "homeport.workflow/1", "name": ..., "description": ..., "start": first node's id,
"variables": {id: {"type": "text|number|boolean|list|object", "default": ...}}, "nodes": {id: node}}.
Ids are lower case words with _. Every node has "kind" and, unless it is the last, "next": the id after it.
Kinds and their fields:
- tool: "tool", "arguments"          - agent: "prompt"          - rag: "query"
- condition: "choices": [{"when": "count.value > 3", "next": id}], "next" when none holds
- loop: "over": "{{ list.items }}" or "while", "body": first node of the body, "item": name of the item (at most 50)
- map: like loop with "over", several at once               - parallel: "branches": [ids]
- timer: "seconds" or "until"    - approval: "question", "refused": id    - end: "result"
A body or branch ends at a node without "next". Any text may hold {{ variable }} or {{ node_id.field }}; an agent gives
{{ id.text }}, loop and map give {{ id.items }}. Conditions are written without braces. End with an end node.
"""


def from_task(row: Run, events: Iterable[RunEvent], name: str = "") -> dict[str, Any]:
    """Return a graph that does a task again as a whole: its agent with its prompt, or its one tool call.

    Args:
        row: The task.
        events: What happened in it.
        name: Of the workflow; empty = the task's title.

    Raises:
        HomeportError: `unsupported` for a task that is a workflow already.
    """
    if row.kind == "workflow":
        raise HomeportError("unsupported", f"{row.title} is a run of a workflow already.", "Duplicate that workflow.")
    if row.kind == "job" and not row.agent:
        tool, _, text = row.prompt.partition(" ")
        return _chain(row, name, [{"kind": "tool", "tool": tool, "arguments": _object(text)}])
    agent = {"agent": row.agent} if row.agent not in {"", "assistant"} else {}
    graph = _chain(row, name, [{"kind": "agent", "prompt": "{{ task }}", **agent}])
    return {
        **graph,
        "variables": {"task": {"type": "text", "default": row.prompt, "description": "what is to be done"}},
    }


def by_calls(row: Run, events: Iterable[RunEvent], name: str = "") -> dict[str, Any]:
    """Return a graph with a node for each tool call of a task that succeeded, in their order.

    Raises:
        HomeportError: `unsupported` for a task without such calls.
    """
    calls: dict[str, dict[str, Any]] = {event.data["id"]: event.data for event in events if event.kind == "call"}
    done = [call for call in calls.values() if call["state"] == "ok"]
    if not done:
        raise HomeportError("unsupported", f"No tool was called in {row.title!r}.", "Promote it as one step.")
    return _chain(row, name, [{"kind": "tool", "tool": c["tool"], "arguments": c["arguments"]} for c in done])


def suggestion(tools: Iterable[Tool], agents: AbstractSet[str], model: str) -> Options:
    """Return how an agent is asked for a workflow.

    Args:
        tools: Those that may be of use.
        agents: The names of the agents that there are.
        model: Which model; empty = the default.
    """
    lines = [f"- {tool.name}({', '.join(_arguments(tool))}): {about(tool)}" for tool in tools]
    known = f"Tools that there are:\n{chr(10).join(lines) or '- none'}\nAgents: {', '.join(sorted(agents))}."
    return asked_for("Suggest a workflow", f"{INSTRUCTIONS}\n{known}", tag=SUGGESTION, model=model)


def suggested(row: Run) -> dict[str, Any] | None:
    """Return the graph that an agent suggested; None for a run that was asked for something else.

    Raises:
        HomeportError: `conflict` before it has ended; `invalid`, when the answer holds no graph.
    """
    if SUGGESTION not in row.tags:
        return None
    if row.state != "completed":
        raise HomeportError("conflict", f"The suggestion is {row.state}.", "Wait for its end, or ask again.")
    if "{" not in row.answer:
        raise HomeportError(
            "invalid", "The model suggested no graph.", "Say it in other words, or choose another model."
        )
    try:
        graph = object_in(row.answer) or {}
    except ValueError as error:
        raise HomeportError(
            "invalid", "The suggested graph is no JSON.", "Ask again, or choose another model."
        ) from error
    nodes = cast("dict[str, dict[str, Any]]", graph.get("nodes") if isinstance(graph.get("nodes"), dict) else {})
    placed = {id: {"position": [0, at * DISTANCE], **node} for at, (id, node) in enumerate(nodes.items())}
    return {**graph, "format": FORMAT, "nodes": placed}


def _chain(row: Run, name: str, nodes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a graph of nodes one after the other, which ends with what the last one gives."""
    ids = [f"step{number}" for number in range(1, len(nodes) + 1)]
    made: dict[str, Any] = {}
    for at, (id, node) in enumerate(zip(ids, nodes, strict=True)):
        made[id] = {**node, "next": ids[at + 1] if at + 1 < len(ids) else "result", "position": [0, at * DISTANCE]}
    last = "{{ " + ids[-1] + (".text" if nodes[-1]["kind"] == "agent" else "") + " }}"
    made["result"] = {"kind": "end", "result": last, "position": [0, len(ids) * DISTANCE]}
    title = re.sub(r"\s+", " ", name or row.title).strip()[:120] or "A task"
    return {
        "format": FORMAT,
        "name": title,
        "description": f"Repeats the task {row.id}.",
        "start": ids[0],
        "nodes": made,
    }


def _object(text: str) -> dict[str, Any]:
    value: Any = json.loads(text or "{}")
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _arguments(tool: Tool) -> list[str]:
    schema = cast("dict[str, Any]", tool.definition.get("inputSchema") or {})
    required = set(schema.get("required", []))
    return [name if name in required else f"{name}?" for name in schema.get("properties", {})]
