"""The job `Auto-ingest` of the scheduler: in a host it is what takes in the watched folders, and shows what came of it.

The knowledge base makes it where folders are watched and a scheduler is there; whether it is on is a person's choice,
and how often it runs is that of the settings.
"""

from __future__ import annotations

from typing import Any

import anyio

from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError

NAME = "Auto-ingest"
TOOL = "rag__auto_ingest"
STARTING = 30.0  # seconds that the scheduler, which starts beside this server, may take


class Appointment:
    """The job, as long as there is a scheduler.

    Args:
        context: The server's context.
    """

    def __init__(self, context: ServerContext) -> None:
        self._neighbours = context.neighbours
        self._patience = STARTING

    async def keep(self, seconds: int) -> bool:
        """Have the job there, every so many seconds; return whether a scheduler will see to it."""
        if not self._neighbours.there:
            return False
        with anyio.move_on_after(self._patience):
            while True:
                try:
                    return await self._kept(f"{seconds}s")
                except HomeportError:  # the scheduler is starting, or there is none
                    await anyio.sleep(0.5)
        self._patience = 0.5
        return False

    async def now(self) -> None:
        """Have the job run, unless a person switched it off.

        Raises:
            HomeportError: When the scheduler is away.
        """
        found = await self._find()
        if found is not None and found["enabled"]:
            await self._neighbours.call("scheduler__run_job", {"job": NAME})

    async def withdraw(self) -> None:
        """Delete the job: nothing is watched any more.

        Raises:
            HomeportError: When the scheduler is away.
        """
        await self._neighbours.call("scheduler__change_jobs", {"names": [NAME], "action": "delete"})

    async def _kept(self, every: str) -> bool:
        found = await self._find()
        if found is None:
            await self._neighbours.call("scheduler__add_job", {"definition": _definition(every)})
            return True
        if found["what"] != TOOL:
            return False  # somebody else's job has the name
        if found["when"] != f"every {every}":
            changes = {"trigger": {"every": every}}
            await self._neighbours.call("scheduler__edit_job", {"job": NAME, "changes": changes})
        return True

    async def _find(self) -> dict[str, Any] | None:
        listed = await self._neighbours.call("scheduler__list_jobs", {"query": NAME})
        return next((job for job in listed["jobs"] if job["name"] == NAME), None)


def _definition(every: str) -> dict[str, Any]:
    return {
        "name": NAME,
        "description": "Takes in what changed in the folders that the knowledge base watches; its settings name them.",
        "trigger": {"every": every},
        "action": {"tool": TOOL, "arguments": {}},
        "overlap": "queue",
    }
