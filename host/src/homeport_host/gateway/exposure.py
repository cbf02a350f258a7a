"""How much of the tools a client is shown: all of them, a named set, or three tools to find and call the others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from homeport_host.governance.calls import Tool
from homeport_host.governance.policy import matches
from homeport_shared.errors import HomeportError

SEARCH, DESCRIBE, CALL = "search_tools", "describe_tool", "call_tool"
MOST_FOUND = 8


class ToolSearch(Protocol):
    """Finds tools by what they do."""

    def search(self, query: str, limit: int) -> list[str]:
        """Return the names of the best tools, best first."""
        ...


Index = Callable[[Iterable[tuple[str, Mapping[str, Any]]]], ToolSearch]


class Exposures:
    """Which tools each exposure lets a caller use: implements `governance.visibility.Exposures`.

    Args:
        profiles: Name of a profile → patterns of public tool names, such as `files__*`.
    """

    def __init__(self, profiles: Mapping[str, Iterable[str]] | None = None) -> None:
        self._profiles = {name: tuple(patterns) for name, patterns in (profiles or {}).items()}

    def shows(self, exposure: str, tool: Tool) -> bool:
        """Say whether `tool` can be called under `exposure`; an unknown profile shows nothing."""
        if self.shows_all(exposure):
            return True
        kind, _, name = exposure.partition(":")
        return kind == "profile" and matches(self._profiles.get(name, ()), tool.name)

    def shows_all(self, exposure: str) -> bool:
        """Say whether `exposure` leaves out nothing: `search` shows less at a time, not less."""
        return exposure in {"all", "search"}


def search_definitions() -> list[dict[str, Any]]:
    """Return the `tools/list` entries of the three tools of the exposure `search`."""
    name = {"type": "string", "description": "The tool's full name, such as files__read_file"}
    reads = {"readOnlyHint": True, "openWorldHint": False}
    return [
        {
            "name": SEARCH,
            "title": "Search tools",
            "description": (
                "Find tools by what they do. Use it first, then describe_tool for the arguments, then call_tool. "
                "Returns names and one line about each."
            ),
            "inputSchema": _object({"query": {"type": "string", "description": "What the tool should do, in words"}}),
            "annotations": reads,
        },
        {
            "name": DESCRIBE,
            "title": "Describe a tool",
            "description": "Return the description and the argument schema of one tool that search_tools found.",
            "inputSchema": _object({"name": name}),
            "annotations": reads,
        },
        {
            "name": CALL,
            "title": "Call a tool",
            "description": "Call a tool that search_tools found. Returns what that tool returns.",
            "inputSchema": _object(
                {"name": name, "arguments": {"type": "object", "description": "As describe_tool says"}}, ["name"]
            ),
            "annotations": {"destructiveHint": True},
        },
    ]


def search_tools(query: str, shown: Sequence[Tool], index: Index) -> dict[str, Any]:
    """Return the result of `search_tools`: the best of the tools that the caller is shown."""
    tools = {tool.name: tool for tool in shown}
    found = index((tool.name, tool.definition) for tool in shown).search(query, MOST_FOUND)
    lines = [f"{name}: {_first_line(tools[name])}" for name in found]
    return _text("\n".join(lines) or f"No tool fits {query!r}. Try other words.")


def describe_tool(name: str, shown: Sequence[Tool]) -> dict[str, Any]:
    """Return the result of `describe_tool`.

    Raises:
        HomeportError: `not_found`, when the caller is not shown such a tool.
    """
    for tool in shown:
        if tool.name == name:
            schema = json.dumps(tool.definition.get("inputSchema") or {}, ensure_ascii=False)
            return _text(f"{name}: {tool.definition.get('description') or ''}\nArguments: {schema}")
    raise HomeportError("not_found", f"There is no tool {name!r} for you.", f"Find one with {SEARCH}.")


def _first_line(tool: Tool) -> str:
    return str(tool.definition.get("description") or tool.definition.get("title") or "").split("\n")[0][:200]


def _object(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required or list(properties)}


def _text(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}]}
