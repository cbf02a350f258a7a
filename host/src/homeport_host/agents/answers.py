"""What is wrong with a model's answer. An answer with a fault never ends a run as a success."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, cast

from homeport_host.providers.protocol import ModelAnswer
from homeport_shared.errors import HomeportError

_TAGS = re.compile(r"<\s*/?\s*(tool_call|function_call|\|tool_call\|)\b|\[TOOL_CALLS\]|<\|python_tag\|>")
_FENCED = re.compile(r"\A\s*```(?:json|tool_call|tool_code)?\s*\n(.*?)\n?```\s*\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with an answer.

    Attributes:
        correction: What the model is told, once; empty where telling it is of no use.
        error: How the run ends when it happens again, or at once without a correction.
    """

    correction: str
    error: HomeportError


def fault_of(answer: ModelAnswer, tools: Collection[str]) -> Fault | None:
    """Return what is wrong with `answer`; None when it can be used.

    Args:
        answer: A complete answer.
        tools: The names of the tools that the model may call.
    """
    model = answer.model.partition("@")[0] or "The model"  # without its digest
    if answer.finish == "length":
        return Fault(
            "",
            HomeportError(
                "limit",
                f"{model} stopped in the middle of its answer, because the context or the answer's length ran out.",
                "Ask for less at once, or give the agent a larger num_ctx.",
            ),
        )
    if answer.calls:
        return None
    if not answer.text.strip():
        what = "only thought and gave no answer" if answer.thinking.strip() else "gave an empty answer"
        return Fault(
            "Your answer was empty. Answer the question in plain text, or call a tool.",
            HomeportError("unavailable", f"{model} {what}, twice.", "Try again, or choose another model."),
        )
    if looks_like_a_call(answer.text, tools):
        return Fault(
            "You wrote a tool call as text, so nothing was called. Call the tool through the tool interface.",
            HomeportError(
                "unsupported",
                f"{model} writes tool calls as text instead of making them.",
                "Choose a model that can use tools.",
            ),
        )
    return None


def looks_like_a_call(text: str, tools: Collection[str]) -> bool:
    """Say whether an answer is a tool call written as text: a tag of some model family, or nothing but its JSON."""
    if _TAGS.search(text):
        return True
    fenced = _FENCED.match(text)
    try:
        value: Any = json.loads(fenced[1] if fenced else text)
    except ValueError:
        return False
    return any(_is_call(item, tools) for item in (cast("list[Any]", value) if isinstance(value, list) else [value]))


def _is_call(value: Any, tools: Collection[str]) -> bool:
    if not isinstance(value, dict):
        return False
    item = cast("dict[str, Any]", value)
    inner = item.get("function")
    if isinstance(inner, dict):
        return _is_call(inner, tools)
    name = item.get("name") or item.get("tool") or inner
    return isinstance(name, str) and (name in tools or bool({"arguments", "parameters", "args"} & item.keys()))
