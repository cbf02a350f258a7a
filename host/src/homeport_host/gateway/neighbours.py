"""What a bundled server may ask of another one: a short list, through the one dispatch path, in its caller's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from homeport_host.governance.calls import Caller
from homeport_shared import identity
from homeport_shared.errors import HomeportError

# Files keeps the knowledge base in step with documents, and lets agents and chats read one. The knowledge base has the
# job by which it watches folders in the scheduler.
MAY_CALL: Mapping[str, tuple[str, ...]] = {
    "files": (
        "homeport__chat_attach",
        "homeport__list_chats",
        "homeport__run_cancel",
        "homeport__run_get",
        "homeport__run_start",
        "rag__add",
        "rag__add_folder",
        "rag__browse_documents",
        "rag__cancel_job",
        "rag__delete",
        "rag__jobs",
        "rag__search",
    ),
    "rag": (
        "scheduler__add_job",
        "scheduler__change_jobs",
        "scheduler__edit_job",
        "scheduler__list_jobs",
        "scheduler__run_job",
    ),
}
# What widens access stays a person's own doing, also when a server does it on the way.
ONLY_FOR_PERSONS = frozenset({"rag__add_folder", "homeport__chat_attach", "homeport__list_chats"})


class CallTool(Protocol):
    """Calls a tool through the dispatch path and returns its structured content."""

    async def __call__(self, tool: str, arguments: dict[str, Any], caller: Caller) -> dict[str, Any]:
        """Raises HomeportError for an error."""
        ...


class HostNeighbours:
    """What one server in this process may ask of the others; implements `homeport_shared.neighbours.Neighbours`.

    Args:
        server: The server's key.
        call_tool: The dispatch path.
    """

    there = True

    def __init__(self, server: str, call_tool: CallTool) -> None:
        self._server = server
        self._call_tool = call_tool

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call a tool of another server in the name of who called this one.

        Raises:
            HomeportError: `denied`, when the server may not; what the tool or policy says.
        """
        allowed, who = MAY_CALL.get(self._server, ()), identity.current()
        if tool not in allowed or (tool in ONLY_FOR_PERSONS and who.caller != "person"):
            raise HomeportError("denied", f"{self._server} may not call {tool} here.", "A person can do it by hand.")
        caller = Caller("person", f"server {self._server}", identity=who, approved=allowed)
        return await self._call_tool(tool, dict(arguments), caller)
