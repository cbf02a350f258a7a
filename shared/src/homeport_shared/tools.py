"""What clients are told about tools: whether they read, change or destroy, and who is shown them."""

from __future__ import annotations

from typing import Any

from mcp.types import ToolAnnotations

from homeport_shared.identity import LABELS

READ = ToolAnnotations(read_only_hint=True, open_world_hint=False)
WRITE = ToolAnnotations(destructive_hint=False, idempotent_hint=True, open_world_hint=False)
CREATE = ToolAnnotations(destructive_hint=False, open_world_hint=False)
DESTROY = ToolAnnotations(read_only_hint=False, destructive_hint=True, open_world_hint=False)
OUTWARD = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=True)

PRIVATE: dict[str, Any] = {LABELS: ["reads-private", "untrusted-content"]}
UNDOABLE: dict[str, Any] = {LABELS: ["can-be-taken-back"]}
# What later conversations are told without asking: a tool that adds to it, and the resource that the host reads.
INSTRUCTING: dict[str, Any] = {LABELS: ["can-be-taken-back", "instructs-agents"]}
BRIEFING: dict[str, Any] = {LABELS: ["reads-private", "instructs-agents"]}
# For pages: a model is not shown these, so they cost it no context.
_PAGE: dict[str, Any] = {"ui": {"visibility": ["app"]}}
APP: dict[str, Any] = PRIVATE | _PAGE
APP_WRITE: dict[str, Any] = UNDOABLE | _PAGE
APP_DESTROY: dict[str, Any] = _PAGE
PERSON: dict[str, Any] = {LABELS: ["can-be-taken-back", "person-only"]} | _PAGE
