"""What agents are told at the start of a conversation besides their instructions, such as what its person prefers.

Servers of our own say it in resources with the label `instructs-agents`; which servers, the host does not know.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import anyio

from homeport_host.governance.calls import Caller
from homeport_shared.errors import HomeportError
from homeport_shared.identity import Identity

LONGEST = 2_000  # characters, some 500 tokens
SECONDS = 2.0
Read = Callable[[Caller, str], Awaitable[dict[str, Any]]]


class Briefing:
    """Gathers it.

    Args:
        listed: Returns title and public URI of each resource to be told.
        read: The dispatch path.
    """

    def __init__(self, listed: Callable[[], Iterable[tuple[str, str]]], read: Read) -> None:
        self._listed = listed
        self._read = read

    async def told(self, who: Identity) -> str:
        """Return what conversations of this person begin with; empty when there is nothing.

        A server that is away, or takes longer than 2 s, is left out: the conversation matters more.
        """
        # Read for the person, not by the run: it is known to every conversation, so it says nothing about this one.
        caller = Caller("person", "host", Identity(actor=who.actor, tenant=who.tenant))
        parts: list[str] = []
        for title, uri in self._listed():
            with anyio.move_on_after(SECONDS):
                try:
                    text = text_of(await self._read(caller, uri))
                except HomeportError:
                    continue
                parts += [f"{title}:\n{text}"] if text else []
        return "\n\n".join(parts)[:LONGEST]


def text_of(result: dict[str, Any]) -> str:
    """Return the text in the raw result of a read."""
    return "\n".join(str(content.get("text", "")) for content in result.get("contents", ())).strip()
