"""Drafts: an agent without tools answers a plain sentence with one JSON object, which a person looks at."""

from __future__ import annotations

import json
from typing import Any, cast

from homeport_host.agents.task import Options
from homeport_host.governance.calls import Tool

LONGEST_ABOUT = 120


def asked_for(title: str, instructions: str, *, tag: str, model: str) -> Options:
    """Return how an agent is asked for a draft.

    Args:
        title: What the run is called.
        instructions: What the object looks like and what there is to use.
        tag: By which the run is known for one whose answer is such a draft.
        model: Which model; empty = the default.
    """
    return Options(instructions=instructions, tools=("-",), kind="chat", model=model, title=title, tags=(tag,))


def object_in(answer: str) -> dict[str, Any] | None:
    """Return the JSON object that an answer holds, whatever stands around it; None for a value of another kind.

    Raises:
        ValueError: When there is no JSON.
    """
    value: Any = json.JSONDecoder().raw_decode(answer[max(answer.find("{"), 0) :])[0]
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def about(tool: Tool) -> str:
    """Return the first line of what a tool says of itself."""
    return str(tool.definition.get("description") or "").partition("\n")[0][:LONGEST_ABOUT]
