"""What a tool does to the world, read from its annotations and labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast, get_args

from homeport_host.governance.calls import Label
from homeport_shared.identity import LABELS

KNOWN: frozenset[str] = frozenset(get_args(Label))


def labels_of(
    definition: Mapping[str, Any], *, bundled: bool, override: Iterable[str] | None = None
) -> frozenset[Label]:
    """Return the labels of a tool.

    A third-party tool says nothing of itself that counts, except that it only reads: what it returns stays untrusted,
    and it counts as outward unless it declares a closed world. Without annotations it is destructive, too. What a
    server makes for its page alone (`ui.visibility` of MCP Apps without `model`) is for that page.

    Args:
        definition: The entry of `tools/list`.
        bundled: The server is one of ours, so its own labels are believed.
        override: The user's labels for this tool; they replace all others.
    """
    if override is not None:
        return _known(override)
    hints = cast("dict[str, Any]", definition.get("annotations") or {})
    reads = hints.get("readOnlyHint") is True
    labels: set[Label] = {"read-only"} if reads else set()
    if _for_pages_only(definition):
        labels.add("page-only")
    if bundled:
        labels |= own_labels(definition)
        if not reads and "can-be-taken-back" not in labels and hints.get("destructiveHint") is not False:
            labels.add("destructive")
    else:
        labels.add("untrusted-content")
        if hints.get("openWorldHint") is not False:
            labels.add("outward")
        if not reads:
            labels.add("destructive")
    return frozenset(labels)


def own_labels(entry: Mapping[str, Any]) -> frozenset[Label]:
    """Return the labels that a tool or a resource has in the `_meta` of its list entry."""
    meta = cast("dict[str, Any]", entry.get("_meta") or {})
    labels: Any = meta.get(LABELS)
    return _known(cast("list[str]", labels)) if isinstance(labels, list) else frozenset()


def _for_pages_only(definition: Mapping[str, Any]) -> bool:
    meta: Any = definition.get("_meta")
    ui: Any = cast("dict[str, Any]", meta).get("ui") if isinstance(meta, dict) else None
    visibility: Any = cast("dict[str, Any]", ui).get("visibility") if isinstance(ui, dict) else None
    return isinstance(visibility, list) and "model" not in visibility


def _known(labels: Iterable[str]) -> frozenset[Label]:
    return frozenset(cast("Label", label) for label in labels if label in KNOWN)
