"""Pinned definitions: a third-party tool that changes what it says of itself waits for a person.

Trust on first use, by hash over name, description and schema. A new name on a server that dropped a pinned one counts
as a rename. Bundled servers come with the host and are not pinned.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import JSON, Column, Connection, String, Table, select

from homeport_host.database import Database, metadata
from homeport_host.dialects import insert
from homeport_host.governance.calls import Tool
from homeport_shared.errors import HomeportError

pins = Table(
    "pins",
    metadata,
    Column("server", String, primary_key=True),
    Column("tool", String, primary_key=True),
    Column("hash", String, nullable=False),
    Column("definition", JSON, nullable=False),
)
PINNED = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")


class Pins:
    """The definitions that were accepted, and those that wait for a person.

    Args:
        database: Where accepted definitions survive restarts.
        pinned_server: Says whether a server's tools are pinned; bundled servers' are not.
    """

    def __init__(self, database: Database, pinned_server: Callable[[str], bool] = lambda _: True) -> None:
        self._database = database
        self._pinned_server = pinned_server
        self._accepted: dict[tuple[str, str], str] = {}
        self._waiting: dict[tuple[str, str], str] = {}

    async def compare(self, server: str, definitions: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Take up what a third-party server offers now.

        Returns:
            Tool → readable diff, for each tool that must not be used before `accept`.
        """
        offered = {str(definition["name"]): _pinned_part(definition) for definition in definitions}
        changed = await self._database.write(lambda connection: _compare(connection, server, offered))
        self._forget(server)
        self._waiting |= {(server, tool): diff for tool, diff in changed.items()}
        self._accepted |= {(server, tool): _hash(part) for tool, part in offered.items() if tool not in changed}
        return changed

    async def accept(self, server: str, definition: Mapping[str, Any]) -> None:
        """Pin `definition` as it is now."""
        part = _pinned_part(definition)
        tool = str(part["name"])
        await self._database.write(lambda connection: _pin(connection, server, tool, part))
        self._waiting.pop((server, tool), None)
        self._accepted[server, tool] = _hash(part)

    def check(self, tool: Tool) -> None:
        """Refuse a third-party tool whose definition, as it is at this moment, was not accepted.

        Raises:
            HomeportError: `approval_required` with the diff; `unavailable` while a new definition is being compared.
        """
        key = (tool.server, tool.own)
        if not self._pinned_server(tool.server):
            return
        if key in self._waiting:
            raise HomeportError(
                "approval_required",
                f"The tool {tool.name} is not what it was:\n{self._waiting[key]}",
                "Accept the new definition on the Approvals page before it is used.",
            )
        if self._accepted.get(key) != _hash(_pinned_part(tool.definition)):
            raise HomeportError("unavailable", f"The tool {tool.name} has just changed.", "Try again in a moment.")

    def _forget(self, server: str) -> None:
        self._waiting = {key: diff for key, diff in self._waiting.items() if key[0] != server}
        self._accepted = {key: pin for key, pin in self._accepted.items() if key[0] != server}


def _pinned_part(definition: Mapping[str, Any]) -> dict[str, Any]:
    return {name: definition[name] for name in PINNED if definition.get(name) is not None}


def _hash(part: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(part, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _compare(connection: Connection, server: str, offered: dict[str, dict[str, Any]]) -> dict[str, str]:
    rows = connection.execute(select(pins.c.tool, pins.c.hash, pins.c.definition).where(pins.c.server == server))
    pinned = {row[0]: (row[1], row[2]) for row in rows}
    gone = pinned.keys() - offered.keys()
    waiting: dict[str, str] = {}
    for tool, part in offered.items():
        if tool in pinned:
            if _hash(part) != pinned[tool][0]:
                waiting[tool] = readable_diff(pinned[tool][1], part)
        elif gone:
            waiting[tool] = readable_diff(pinned[min(gone)][1], part)
        else:
            _pin(connection, server, tool, part)
    return waiting


def _pin(connection: Connection, server: str, tool: str, part: Mapping[str, Any]) -> None:
    values = {"server": server, "tool": tool, "hash": _hash(part), "definition": dict(part)}
    statement = insert(connection, pins).values(values)
    connection.execute(statement.on_conflict_do_update(index_elements=["server", "tool"], set_=values))


def readable_diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return what changed, line by line; characters that cannot be seen are written out."""
    before, after = (json.dumps(part, indent=1, sort_keys=True, ensure_ascii=True).splitlines() for part in (old, new))
    return "\n".join(line for line in difflib.unified_diff(before, after, "before", "now", n=1, lineterm=""))
