"""Which tools a model is shown at each step, and how much of a result it gets.

When all schemas take at most a quarter of the context they are all sent. Otherwise the model sees the agent's pinned
tools, the names of the others by server, and `search_tools`; what it finds becomes a real tool in the next turn, and
the tool that was not used for the longest time makes room.
"""

from __future__ import annotations

import json
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, cast

from homeport_host.gateway.search import ToolIndex
from homeport_host.governance.calls import Tool
from homeport_host.providers.protocol import ToolSpec

SEARCH = "search_tools"
ALL_SHARE, FOUND_SHARE, NAMES_SHARE, RESULT_SHARE = 0.25, 0.12, 0.05, 0.2
MOST_PINNED, FOUND_AT_ONCE = 6, 5
TOOL_TEXT, FIELD_TEXT = 160, 80
LEAST_RESULT, MOST_RESULT = 500, 4_000  # tokens
_KEPT = ("type", "enum", "const", "items", "properties", "required", "anyOf", "oneOf", "allOf", "$ref", "$defs",
         "description", "default", "minimum", "maximum", "format", "additionalProperties")  # fmt: skip

SEARCH_SPEC = ToolSpec(
    SEARCH,
    "Find tools by what they do. The best 5 can be called in your next turn. Use it when no tool you have fits.",
    {
        "type": "object",
        "properties": {"query": {"type": "string", "description": "what you need to do, in a few words"}},
        "required": ["query"],
    },
)


class Toolbox:
    """The tools of one run.

    Args:
        tools: What the run may call.
        window: The model's context in tokens.
        pinned: Names that are always shown, at most 6.
    """

    def __init__(self, tools: Iterable[Tool], *, window: int, pinned: tuple[str, ...] = ()) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._specs = {name: trimmed(tool) for name, tool in self._tools.items()}
        self._window = window
        self._pinned = [name for name in pinned if name in self._tools][:MOST_PINNED]
        self._found: OrderedDict[str, None] = OrderedDict()
        self._index: ToolIndex | None = None
        self.all_shown = self._cost(self._specs) <= window * ALL_SHARE

    @property
    def names(self) -> frozenset[str]:
        """The names of all tools that may be called."""
        return frozenset(self._tools)

    def specs(self) -> tuple[ToolSpec, ...]:
        """Return what the model is offered in this turn."""
        if self.all_shown:
            return tuple(self._specs[name] for name in sorted(self._specs))
        shown = [*self._pinned, *(name for name in self._found if name not in self._pinned)]
        return (SEARCH_SPEC, *(self._specs[name] for name in shown))

    def search(self, query: str) -> list[str]:
        """Return the names of the tools that fit `query` best."""
        if self._index is None:
            self._index = ToolIndex((name, tool.definition) for name, tool in self._tools.items())
        return self._index.search(query, FOUND_AT_ONCE)

    def add(self, names: Iterable[str]) -> None:
        """Show these tools from the next turn on; the least recently used ones make room."""
        for name in names:
            if name in self._tools:
                self._found[name] = None
                self._found.move_to_end(name)
        while len(self._found) > 1 and self._cost(self._found) > self._window * FOUND_SHARE:
            self._found.popitem(last=False)

    def used(self, name: str) -> None:
        """Note that a tool was called, so that it stays."""
        if name in self._found:
            self._found.move_to_end(name)

    def overview(self) -> str:
        """Return the names of all tools by server for the system message; empty when all are offered anyway."""
        if self.all_shown:
            return ""
        by_server = defaultdict[str, list[str]](list)
        for tool in self._tools.values():
            by_server[tool.server].append(tool.own)
        room = int(self._window * NAMES_SHARE)
        parts = [f"{server}: {', '.join(sorted(names))}" for server, names in sorted(by_server.items())]
        if tokens_of("\n".join(parts)) > room:
            parts = [f"{server}: {len(names)} tools" for server, names in sorted(by_server.items())]
        return f"Further tools, found with {SEARCH}:\n" + "\n".join(parts)

    def tokens(self) -> int:
        """Return what the tools cost in this turn, in tokens, overview included."""
        return sum(spec_tokens(spec) for spec in self.specs()) + tokens_of(self.overview())

    def result_text(self, text: str) -> str:
        """Return a tool's result as far as it fits, with a word on how to get the rest."""
        room = int(min(max(self._window * RESULT_SHARE, LEAST_RESULT), MOST_RESULT) * 4)
        if len(text) <= room:
            return text
        return (
            f"{text[:room]}\n[Cut: {len(text) - room} of {len(text)} characters are missing. Ask for a smaller part, "
            "such as fewer results, a later line or the next cursor.]"
        )

    def _cost(self, names: Iterable[str]) -> int:
        return sum(spec_tokens(self._specs[name]) for name in names)


def tokens_of(text: str) -> int:
    """Estimate the tokens of `text`: four bytes make one, which suits English and JSON."""
    return (len(text.encode("utf-8", "replace")) + 3) // 4


def spec_tokens(spec: ToolSpec) -> int:
    """Estimate the tokens that offering a tool costs."""
    return tokens_of(json.dumps([spec.name, spec.description, spec.input_schema], ensure_ascii=False)) + 8


def trimmed(tool: Tool) -> ToolSpec:
    """Return a tool as a model is shown it: short descriptions, and no part of the schema that it has no use for."""
    definition = tool.definition
    text = str(definition.get("description") or definition.get("title") or "")
    schema = cast("dict[str, Any]", definition.get("inputSchema") or {"type": "object", "properties": {}})
    return ToolSpec(tool.name, _short(text, TOOL_TEXT), _trim(schema))


def _trim(schema: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key in _KEPT:
        value = schema.get(key)
        if value is None:
            continue
        if key in {"properties", "$defs"}:
            fields = cast("dict[str, Any]", value)
            kept[key] = {k: _trimmed(v) for k, v in fields.items()}
        elif key == "description":
            kept[key] = _short(str(value), FIELD_TEXT)
        elif key in {"anyOf", "oneOf", "allOf"}:
            kept[key] = [_trimmed(item) for item in cast("list[Any]", value)]
        else:
            kept[key] = _trimmed(value) if key in {"items", "additionalProperties"} else value
    return kept


def _trimmed(value: Any) -> Any:
    return _trim(cast("dict[str, Any]", value)) if isinstance(value, dict) else value


def _short(text: str, longest: int) -> str:
    """Cut `text` at the end of a sentence where one ends in its second half, else at a word."""
    text = " ".join(text.split())
    if len(text) <= longest:
        return text
    cut = text[:longest]
    stop = cut.rfind(". ")
    return cut[: stop + 1] if stop >= longest // 2 else cut.rsplit(" ", 1)[0] + "…"
