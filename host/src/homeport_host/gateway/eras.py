"""What a client's protocol era requires of an answer, and what it cannot take."""

from __future__ import annotations

import json
from typing import Any, cast

from mcp.server.context import ServerRequestContext
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

Context = ServerRequestContext[Any, Any]


def is_modern(context: Context) -> bool:
    """Whether the client speaks the protocol of 2026."""
    return context.protocol_version in MODERN_PROTOCOL_VERSIONS


def for_era(context: Context, result: dict[str, Any]) -> dict[str, Any]:
    """Return `result` with what the client's era requires and without what it cannot take."""
    if is_modern(context):
        return {"resultType": "complete", **result}
    structured = result.get("structuredContent")
    if structured is None or isinstance(structured, dict):
        return result
    text = {"type": "text", "text": json.dumps(structured, ensure_ascii=False)}
    kept = {key: value for key, value in result.items() if key != "structuredContent"}
    return {**kept, "content": result.get("content") or [text]}


def tool_for_2025(entry: dict[str, Any]) -> dict[str, Any]:
    """Leave out an output schema that is not an object's: the whole list would be refused."""
    schema = entry.get("outputSchema")
    if schema is None or (isinstance(schema, dict) and cast("dict[str, Any]", schema).get("type") == "object"):
        return entry
    return {key: value for key, value in entry.items() if key != "outputSchema"}
