"""Every way in which a model server is known to fail, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

STATUS = {
    "http_400": (400, "invalid request"),
    "http_401": (401, "No auth credentials found"),
    "http_402": (402, "Insufficient credits. Add more using https://openrouter.ai/settings/credits"),
    "http_403": (403, "Your input was flagged by moderation"),
    "http_404": (404, "model '{model}' not found"),
    "http_408": (408, "Request timed out"),
    "http_429": (429, "Rate limit exceeded"),
    "http_499": (499, "context canceled"),
    "http_500": (500, "model runner has unexpectedly stopped, this may be due to resource limitations"),
    "http_502": (502, "Bad gateway"),
    "http_503": (503, "server busy, please try again.  maximum pending requests exceeded"),
}
"""Refused before the first byte of an answer."""

BODY = {
    "error_body": "status 200, and the body is an error",
    "html_body": "status 200, and the body is a proxy's HTML page",
}
STREAM = {
    "error_midstream": "an error in the middle of the stream",
    "no_end": "the stream ends in good HTTP form, but without its end marker",
    "cut": "the connection breaks inside the chunked body",
    "garbage": "a line that is no JSON",
    "wrong_shape": "a line that is JSON of another shape",
    "stall": "nothing comes any more, and the connection stays open",
}
CALLS = {
    "double_id": "all calls carry the same id",
    "no_id": "calls without an id",
    "empty_id": "calls with an empty id",
    "no_index": "calls without an index",
    "bad_arguments": "arguments that are no JSON",
    "partial_arguments": "arguments that break off",
    "double_encoded": "arguments as a JSON string inside a JSON string",
    "unknown_tool": "a tool that was not offered",
    "wrong_types": "arguments of the wrong types",
    "text_json": "the call as plain text: {…}",
    "text_fence": "the call as plain text: ```json",
    "text_tag": "the call as plain text: <tool_call>",
}
ANSWER = {
    "empty": "no content at all",
    "thinking_only": "thinking, and then no content",
}
FAULTS = frozenset([*STATUS, *BODY, *STREAM, *CALLS, *ANSWER])


@dataclass(frozen=True, slots=True)
class SpoiledCall:
    """A tool call as it goes over the wire.

    Attributes:
        id: None = the field is missing.
        index: None = the field is missing.
        arguments: The object, or a string where it is no object any more.
    """

    id: str | None
    index: int | None
    name: str
    arguments: Any


def spoil(calls: Sequence[SpoiledCall], fault: str) -> list[SpoiledCall]:
    """Return `calls` as `fault` leaves them."""
    return [_spoil_one(each, fault, calls[0].id) for each in calls]


def _spoil_one(each: SpoiledCall, fault: str, first_id: str | None) -> SpoiledCall:
    identity = {"double_id": first_id, "no_id": None, "empty_id": ""}.get(fault, each.id)
    index = None if fault == "no_index" else each.index
    name = "no_such_tool" if fault == "unknown_tool" else each.name
    arguments = each.arguments
    if fault == "wrong_types":
        arguments = {key: {"wrong": [value]} for key, value in each.arguments.items()} or {"wrong": None}
    return SpoiledCall(identity, index, name, arguments)
