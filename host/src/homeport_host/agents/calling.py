"""One tool call of a run, through the dispatch path, and its result as the run keeps it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

from homeport_host.agents.citations import Passage, passages_of
from homeport_host.governance.calls import Caller, Progress
from homeport_host.governance.dispatch import APPROVAL, Dispatcher
from homeport_shared.errors import HomeportError
from homeport_shared.identity import ERROR

MOST_LINKS = 50
SHOWN_RESULT = 4_000  # characters of a result in the events of a run


@dataclass(frozen=True, slots=True)
class Made:
    """A call that was made, refused or held.

    Attributes:
        text: The result as text; of an error what it says.
        passages: What can be cited of it.
        rest: What the result says beside its passages, such as where to go on.
        error: `{code, message, hint}`; None when the tool succeeded.
        approval: The id of the approval that the call waits for; empty when it does not.
        links: The resources that the result points to: address, name, media type.
    """

    text: str
    passages: tuple[Passage, ...] = ()
    rest: str = ""
    error: dict[str, str] | None = None
    approval: str = ""
    seconds: float = 0.0
    links: tuple[dict[str, str], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as the engine records it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Made:
        """Read what `as_json` made."""
        passages = tuple(Passage(**passage) for passage in data["passages"])
        links = tuple(data.get("links", ()))  # a run that began before there were any goes on
        return cls(data["text"], passages, data["rest"], data["error"], data["approval"], data["seconds"], links)


class Calling:
    """Makes the tool calls of runs.

    Args:
        dispatcher: The one way to tools.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def call(
        self, caller: Caller, name: str, arguments: dict[str, Any], *, key: str, progress: Progress | None = None
    ) -> Made:
        """Make one call; whatever the tool answers comes back, also its error.

        Args:
            caller: The run.
            name: The tool's public name.
            arguments: What the model gave.
            key: Idempotency key of the step.
            progress: Told what the tool says about its progress.
        """
        started = time.perf_counter()
        result = await self._dispatcher.call_tool(caller, name, arguments, key=key, progress=progress)
        made = made_of(result, name)
        return replace(made, seconds=time.perf_counter() - started)


def made_of(result: Mapping[str, Any], name: str) -> Made:
    """Return a tool's raw result as the run keeps it."""
    if result.get("resultType") == "input_required":
        return refused("unsupported", f"{name} asks a question that only a person can answer.", "Do without it.")
    text = _text(result)
    if result.get("isError"):
        meta = cast("dict[str, Any]", result.get("_meta") or {})
        error = cast("dict[str, str]", meta.get(ERROR) or {"code": "internal", "message": text[:500], "hint": ""})
        return Made(text or error["message"], error=error, approval=str(meta.get(APPROVAL) or ""))
    passages = tuple(passages_of(result))
    return Made(text, passages, _rest(result) if passages else "", links=_links(result))


def refused(code: Any, message: str, hint: str) -> Made:
    """Return a call that was never made."""
    error = HomeportError(code, message, hint)
    return Made(str(error), error=error.as_dict())


def call_event(id: str, name: str, arguments: Any) -> dict[str, Any]:
    """Return the event of a call that begins."""
    return {
        "id": id,
        "tool": name,
        "server": name.partition("__")[0],
        "arguments": arguments,
        "state": "running",
        "result_text": "",
        "error": None,
        "milliseconds": 0,
        "approval_id": "",
    }


def outcome_event(made: Made) -> dict[str, Any]:
    """Return what a call's event says in the end."""
    code = made.error["code"] if made.error else ""
    state = {"": "ok", "approval_required": "waiting", "denied": "denied"}.get(code, "error")
    return {
        "state": state,
        "result_text": made.text[:SHOWN_RESULT],
        "error": made.error,
        "milliseconds": round(made.seconds * 1000, 1),
        "approval_id": made.approval,
        "links": list(made.links),
    }


def _links(result: Mapping[str, Any]) -> tuple[dict[str, str], ...]:
    blocks = cast("list[dict[str, Any]]", result.get("content") or [])
    found = [block for block in blocks if block.get("type") == "resource_link" and block.get("uri")]
    return tuple(
        {"uri": str(b["uri"]), "name": str(b.get("name") or b["uri"]), "mime_type": str(b.get("mimeType") or "")}
        for b in found[:MOST_LINKS]
    )


def _text(result: Mapping[str, Any]) -> str:
    parts: list[str] = []
    for block in cast("list[dict[str, Any]]", result.get("content") or []):
        resource = cast("dict[str, Any]", block.get("resource") or {})
        if block.get("type") == "text":
            parts.append(str(block.get("text", "")))
        elif block.get("type") == "resource_link":
            parts.append(f"{block.get('name', '')} ({block.get('uri', '')})")
        elif resource.get("text"):
            parts.append(str(resource["text"]))
        else:
            parts.append(f"[{block.get('type', 'content')} that cannot be shown as text]")
    text = "\n".join(parts)
    structured = result.get("structuredContent")
    return text if text.strip() or structured is None else json.dumps(structured, ensure_ascii=False)


def _rest(result: Mapping[str, Any]) -> str:
    fields = cast("dict[str, Any]", result["structuredContent"])
    known = {"text", "content", "uri", "title", "document_id", "chunk_id", "collection"}
    plain = {k: v for k, v in fields.items() if k not in known and v and isinstance(v, str | int | float)}
    return ", ".join(f"{name}: {str(value)[:200]}" for name, value in plain.items())
