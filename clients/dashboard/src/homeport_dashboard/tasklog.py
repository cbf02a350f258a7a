"""The log of a task: what its events say, line by line, and its tool calls."""

from __future__ import annotations

from collections.abc import Iterable

from homeport_dashboard.connection import Json


def calls_of(events: Iterable[Json]) -> list[Json]:
    """Return the tool calls of a run, each as it was told last."""
    last: dict[str, Json] = {}
    for event in events:
        if event["kind"] == "call":
            last[event["data"]["id"]] = {**event["data"], "at": event["at"]}
    return list(last.values())


def line_of(event: Json) -> Json:
    """Return an event as a line of the log: `at`, `level` (info, warn, error), `text`."""
    level, text = _said(event["kind"], event["data"])
    return {"at": event["at"], "level": level, "text": text}


def _said(kind: str, data: Json) -> tuple[str, str]:
    error = data.get("error")
    match kind:
        case "state":
            return "info", " by ".join(part for part in (data["state"], data.get("by")) if part)
        case "call":
            level = "info" if not error else "warn" if data["state"] == "waiting" else "error"
            return level, f"{data['tool']} {data['state']}" + (f": {error['message']}" if error else "")
        case "approval":
            return "warn", f"{data['tool']} waits for approval: {data['reason']}"
        case "review":
            return "warn", "the answer waits for a person"
        case "reviewed":
            by = data.get("by", "somebody")
            return "info", f"accepted by {by}" if data["accept"] else f"sent back by {by}: {data['remark']}"
        case "step":
            told = f": {error['message']}" if error else ""
            return "error" if error else "info", f"{data['path']} {data['state']}{told}"
        case "restart":
            return "warn", data["reason"]
        case "note" | "trace":
            return "info" if kind == "note" else "error", data["text"]
        case "done":
            return ("error", f"{error['message']} {error['hint']}") if error else ("info", "the answer is complete")
        case _:
            return "info", kind
