"""Tool calls as models really write them: mended where the meaning is certain, marked where it is not."""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, cast

from homeport_host.providers.protocol import ToolCall, ToolSpec

log = logging.getLogger(__name__)
FENCE = re.compile(r"^\s*```[a-z]*\s*\n(.*?)\n?\s*```\s*$", re.DOTALL)
_TAG = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
TEXT_CALL_STARTS = ("{", "[{", "```", "<tool_call>")


def new_id() -> str:
    """Return an id for a call that came without a usable one."""
    return f"call_{secrets.token_hex(6)}"


def parse_arguments(raw: Any, *, whole: bool = True) -> dict[str, Any] | None:
    """Return the arguments object that `raw` stands for, or None when that is not certain.

    Mended are a code fence around it, trailing commas, closing braces that are missing at the end, and an object
    inside a JSON string. Anything else is for the model to write again.

    Args:
        raw: An object, or a string that should hold one.
        whole: False when the answer was cut by its token limit; missing braces are then missing content.
    """
    if isinstance(raw, dict):
        return cast("dict[str, Any]", raw)
    if not isinstance(raw, str):
        return None
    text = raw.strip()
    value = _loaded(text)
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    if not text:
        return {}  # several models write nothing at all for a tool without arguments
    for mended in _mended(value if isinstance(value, str) else text, whole=whole):
        value = _loaded(mended)
        if isinstance(value, dict):
            log.info("Mended the arguments of a tool call: %.200r", raw)
            return cast("dict[str, Any]", value)
    return None


def _mended(text: str, *, whole: bool) -> Iterable[str]:
    yield text
    if fenced := FENCE.match(text):
        text = fenced[1]
        yield text
    commas = text if _inside_strings(text, _TRAILING_COMMA) else _TRAILING_COMMA.sub(r"\1", text)
    yield commas
    if whole:
        yield commas.rstrip().rstrip(",") + _missing_closers(commas)


def _missing_closers(text: str) -> str:
    """Return the brackets that `text` leaves open; nothing when it breaks off inside a string."""
    closers, inside = "", False
    for character in re.sub(r"\\.", "", text, flags=re.DOTALL):
        if character == '"':
            inside = not inside
        elif not inside and character in "{[":
            closers = ("}" if character == "{" else "]") + closers
        elif not inside and character in "}]":
            closers = closers[1:]
    return "" if inside else closers


def _inside_strings(text: str, pattern: re.Pattern[str]) -> bool:
    strings = re.findall(r'"(?:\\.|[^"\\])*"', text, re.DOTALL)
    return any(pattern.search(each) for each in strings)


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def with_own_ids(calls: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
    """Return `calls` so that each has an id and no two have the same."""
    seen: set[str] = set()
    result: list[ToolCall] = []
    for call in calls:
        one = call if call.id and call.id not in seen else replace(call, id=new_id())
        seen.add(one.id)
        result.append(one)
    return tuple(result)


def calls_in_text(text: str, tools: Sequence[ToolSpec]) -> tuple[ToolCall, ...]:
    """Return the tool calls that `text` consists of, where a model wrote them as its answer.

    A call is taken only when nothing but calls is in the text, each names a tool that was offered, and its arguments
    fit that tool's schema; otherwise it is text, and the result is empty.
    """
    import jsonschema

    by_name = {tool.name: tool for tool in tools}
    found: list[ToolCall] = []
    for raw in _candidates(text.strip()):
        value = _loaded(raw)
        for each in cast("list[Any]", value) if isinstance(value, list) else [value]:
            call = _as_call(each)
            tool = by_name.get(call.name) if call else None
            if call is None or tool is None or call.arguments is None:
                return ()
            try:
                jsonschema.validate(call.arguments, tool.input_schema)
            except (jsonschema.ValidationError, jsonschema.SchemaError):
                return ()
            found.append(call)
    if found:
        log.info("The model wrote %d tool call(s) as text; taken as calls.", len(found))
    return tuple(found)


def _candidates(text: str) -> list[str]:
    tagged = _TAG.findall(text)
    if tagged:
        return tagged if not _TAG.sub("", text).strip() else [""]
    fenced = FENCE.match(text)
    return [fenced[1] if fenced else text]


def _as_call(value: Any) -> ToolCall | None:
    if not isinstance(value, dict):
        return None
    fields = cast("dict[str, Any]", value)
    if isinstance(fields.get("function"), dict):
        fields = cast("dict[str, Any]", fields["function"])
    raw = fields.get("arguments", fields.get("parameters"))
    if not isinstance(fields.get("name"), str) or raw is None:
        return None
    return ToolCall(new_id(), fields["name"], parse_arguments(raw), json.dumps(raw))
