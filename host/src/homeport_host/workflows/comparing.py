"""What is different between two versions of a workflow, in words for people and fields for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

Kind = Literal["added", "removed", "changed", "moved"]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Attributes:
        place: `nodes.check`, `nodes.check.prompt`, `variables.folder` or a field of the whole.
    """

    kind: Kind
    place: str
    before: Any = None
    after: Any = None


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Return the differences between two graphs as JSON has them; a node that only moved on the canvas is `moved`."""
    found: list[Change] = []
    for group in ("nodes", "variables"):
        found += _group(group, before.get(group, {}), after.get(group, {}))
    rest = [{name: value for name, value in graph.items() if name not in {"nodes", "variables"}}
            for graph in (before, after)]  # fmt: skip
    return [*_fields("", *rest), *found]


def _group(group: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for id in sorted(before.keys() | after.keys()):
        place = f"{group}.{id}"
        if id not in after:
            yield Change("removed", place, before=before[id])
        elif id not in before:
            yield Change("added", place, after=after[id])
        else:
            yield from _fields(f"{place}.", cast("Mapping[str, Any]", before[id]), cast("Mapping[str, Any]", after[id]))


def _fields(prefix: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            kind: Kind = "moved" if name == "position" else "changed"
            yield Change(kind, f"{prefix}{name}", before.get(name), after.get(name))
