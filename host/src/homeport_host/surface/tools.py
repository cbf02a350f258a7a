"""How the host's own tools are marked: what they do, and who may use them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from mcp.types import ToolAnnotations

from homeport_host.governance.calls import Label
from homeport_shared.identity import LABELS
from homeport_shared.server import Server

T = TypeVar("T", bound=Callable[..., Any])
FOR_PERSONS: dict[str, Any] = {LABELS: ["person-only"]}  # the `_meta` of a resource that only people may read


def reading(server: Server, title: str, *labels: Label) -> Callable[[T], T]:
    """Register a tool that only reads."""
    hints = ToolAnnotations(read_only_hint=True, open_world_hint=False)
    return server.tool(title=title, annotations=hints, meta=_meta(labels))


def changing(server: Server, title: str, *labels: Label, idempotent: bool = False) -> Callable[[T], T]:
    """Register a tool whose change can be taken back by another call."""
    hints = ToolAnnotations(
        read_only_hint=False, destructive_hint=False, idempotent_hint=idempotent or None, open_world_hint=False
    )
    return server.tool(title=title, annotations=hints, meta=_meta(("can-be-taken-back", *labels)))


def destroying(server: Server, title: str, *labels: Label) -> Callable[[T], T]:
    """Register a tool whose change cannot be taken back."""
    hints = ToolAnnotations(read_only_hint=False, destructive_hint=True, open_world_hint=False)
    return server.tool(title=title, annotations=hints, meta=_meta(labels))


def _meta(labels: tuple[Label, ...]) -> dict[str, Any]:
    meta: dict[str, Any] = {LABELS: list(labels)}
    return {**meta, "ui": {"visibility": ["app"]}} if {"person-only", "page-only"} & {*labels} else meta
