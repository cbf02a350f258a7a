"""Conversations as tools and resources, for the person whose they are: other programs start runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from homeport_host.surface.results import (
    NONE,
    Attached,
    Chats,
    Item,
    Named,
    Sent,
    dumped,
    session_json,
)
from homeport_host.surface.services import HostServices
from homeport_host.surface.tools import FOR_PERSONS, changing, destroying, reading
from homeport_shared.errors import HomeportError
from homeport_shared.server import Server


def register(server: Server, host: HostServices) -> None:
    """Add what concerns conversations."""
    _talking(server, host)
    _keeping(server, host)
    _resources(server, host)


def _talking(server: Server, host: HostServices) -> None:
    @changing(server, "Send", "person-only")
    async def chat_send(
        text: str, session_id: str = "", agent: str = "", model: str = "", attachments: Sequence[str] = NONE
    ) -> Sent:
        """Send a message to an agent; returns at once. Follow `run://{run_id}/events`. No session = a new chat."""
        sent = await host.chats.send(text, session=session_id, agent=agent, model=model, attachments=attachments)
        return Sent(session_id=sent.session_id, message_id=sent.message_id, run_id=sent.run_id)

    @changing(server, "Stop", "person-only")
    async def chat_stop(session_id: str) -> Named:
        """Stop the answer that is being written; what there is of it stays."""
        await host.chats.stop(session_id)
        return Named(id=session_id, state="stopped")

    @changing(server, "Regenerate", "person-only")
    async def chat_regenerate(session_id: str) -> Sent:
        """Answer the last question anew, also after an error."""
        sent = await host.chats.regenerate(session_id)
        return Sent(session_id=sent.session_id, message_id=sent.message_id, run_id=sent.run_id)

    @changing(server, "Attach", "person-only")
    async def chat_attach(
        name: str,
        session_id: str = "",
        text: str = "",
        base64: Annotated[str, Field(description="the file, at most 25 MB")] = "",
        path: str = "",
    ) -> Attached:
        """Attach text or a file to a chat: the next messages use it as context."""
        session, added = await host.chats.attach(session_id, name, text=text, data=base64, path=path)
        return Attached(session_id=session, reference=added.reference, title=added.title)


def _keeping(server: Server, host: HostServices) -> None:
    @changing(server, "Change chat", "person-only")
    async def chat_update(
        session_id: str,
        title: str | None = None,
        archived: bool | None = None,
        model: str | None = None,
        agent: str | None = None,
    ) -> Item:
        """Rename or archive a chat, or change its model or agent; the history stays."""
        changed = await host.chats.update(session_id, title=title, archived=archived, model=model, agent=agent)
        return Item(**session_json(changed, ""))

    @changing(server, "Duplicate chat", "person-only")
    async def chat_duplicate(session_id: str) -> Item:
        """Copy a chat with its messages."""
        return Item(**session_json(await host.chats.duplicate(session_id), ""))

    @destroying(server, "Delete chat", "person-only")
    async def chat_delete(
        session_id: str, confirm: Annotated[str, Field(description="the chat's title, repeated")]
    ) -> Named:
        """Delete a chat for good."""
        session, _, _ = await host.chats.get(session_id)
        if confirm != session.title:
            raise HomeportError("invalid", "`confirm` does not repeat the chat's title.", "Send the exact title.")
        await host.chats.delete(session_id)
        return Named(id=session_id, state="deleted")

    @reading(server, "Chats", "person-only")
    async def list_chats(
        archived: bool = False, query: str = "", limit: Annotated[int, Field(ge=1, le=200)] = 50, cursor: str = ""
    ) -> Chats:
        """List chats, the one used last first; `query` looks into titles and messages."""
        page, following = await host.chats.list(archived=archived, query=query, limit=limit, cursor=cursor)
        return Chats(chats=[session_json(session, running) for session, running in page], next=following)

    @reading(server, "Chat", "person-only")
    async def get_chat(session_id: str) -> Item:
        """Read a chat with all its messages."""
        return Item(**session_json(*await host.chats.get(session_id)))


def _resources(server: Server, host: HostServices) -> None:
    @server.resource("chat://sessions", title="Chats", mime_type="application/json", meta=FOR_PERSONS)
    async def sessions() -> str:
        """The chats, the one used last first."""
        page, following = await host.chats.list()
        return dumped({"chats": [session_json(session, running) for session, running in page], "next": following})

    @server.resource("chat://sessions/{session_id}", title="Chat", mime_type="application/json", meta=FOR_PERSONS)
    async def session(session_id: str) -> str:
        """One chat with all its messages."""
        return dumped(session_json(*await host.chats.get(session_id)))
