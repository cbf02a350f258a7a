"""Drafts of automations: an agent writes a job or a subscription for a plain sentence; a person saves it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from homeport_host.agents.drafts import about, asked_for, object_in
from homeport_host.agents.runs import Run
from homeport_host.agents.task import Options
from homeport_host.events.kinds import KINDS
from homeport_host.governance.calls import Tool
from homeport_shared.errors import HomeportError

DRAFT = "automation draft"  # the tag of the runs whose answer is a draft
INSTRUCTIONS = """You draft an automation for what the user describes. Answer with one JSON object and nothing else.

Something that happens at a time is a job:
{"job": {"name": ..., "trigger": {"cron": "0 9 * * 1-5"} or {"every": "15m"} or {"at": "2026-11-30T09:00"},
 "action": {"tool": "server__tool", "arguments": {}} or {"prompt": the task of an agent} or {"workflow": its name}}}
Something that happens when an event comes is a subscription:
{"subscription": {"name": ..., "kind": type of the event, "where": {"data.field": pattern with * and ?},
 "start": {"prompt": the task of an agent} or {"workflow": its name, "parameters": {}} or {"job": its name}}}
Texts may hold {{event.data.field}}. Use only the tools and types of events that are named here.
"""


def drafting(tools: Iterable[Tool], model: str) -> Options:
    """Return how an agent is asked for a draft.

    Args:
        tools: Those that may be of use.
        model: Which model; empty = the default.
    """
    lines = [f"- {tool.name}: {about(tool)}" for tool in tools]
    known = [f"- {kind.pattern} ({', '.join(kind.payload.model_fields)}): {kind.about}" for kind in KINDS]
    instructions = "\n".join([INSTRUCTIONS, "Tools:", *(lines or ["- none"]), "Types of events:", *known])
    return asked_for("Draft an automation", instructions, tag=DRAFT, model=model)


def drafted(row: Run) -> tuple[str, dict[str, Any]]:
    """Return `job` or `subscription`, and the definition that an agent drafted.

    Raises:
        HomeportError: `conflict` before the run has ended; `invalid`, when it was asked for something else or the
            answer holds no draft.
    """
    if DRAFT not in row.tags:
        raise HomeportError("invalid", f"{row.id[:64]} drafted nothing.", "Ask with automation_draft.")
    if row.state != "completed":
        raise HomeportError("conflict", f"The draft is {row.state}.", "Wait for its end, or ask again.")
    try:
        found = object_in(row.answer) or {}
    except ValueError as error:
        raise HomeportError("invalid", "The draft is no JSON.", "Ask again, or choose another model.") from error
    for kind in ("job", "subscription"):
        if isinstance(found.get(kind), dict):
            return kind, found[kind]
    raise HomeportError("invalid", "The model drafted no automation.", "Say it in other words.")
