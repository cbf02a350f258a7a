"""Attach a file to a chat of the host, so that it is part of what that conversation knows."""

from __future__ import annotations

import base64

import anyio.to_thread
from pydantic import BaseModel

from homeport_files.reading import open_file
from homeport_files.workspace import Workspace
from homeport_shared.errors import HomeportError
from homeport_shared.paths import show

MOST_BYTES = 25_000_000  # what a chat takes


class Chat(BaseModel):
    """A conversation."""

    session_id: str
    title: str


class ChatList(BaseModel):
    """Conversations, the latest first."""

    chats: list[Chat]


class Attacher:
    """Hands files to chats.

    Args:
        workspace: The files.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._neighbours = workspace.context.neighbours

    async def chats(self) -> ChatList:
        """Return the conversations that a file can be attached to.

        Raises:
            HomeportError: `unavailable`, without a host.
        """
        found = await self._neighbours.call("homeport__list_chats", {})
        return ChatList(chats=[Chat(session_id=each["id"], title=each["title"]) for each in found["chats"]])

    async def attach(self, path: str, session: str) -> Chat:
        """Attach the file at `path` to a conversation; an empty `session` begins a new one.

        Raises:
            HomeportError: `too_large`; as for reading a file; what the host says.
        """
        name, data = await anyio.to_thread.run_sync(self._content, path)
        given = {"name": name, "session_id": session, "base64": base64.b64encode(data).decode()}
        attached = await self._neighbours.call("homeport__chat_attach", given)
        return Chat(session_id=attached["session_id"], title=attached["title"])

    def _content(self, path: str) -> tuple[str, bytes]:
        opened = open_file(self._workspace.roots, path)
        with opened.file:
            if opened.status.st_size > MOST_BYTES:
                raise HomeportError("too_large", f"{path} has more than 25 MB.", "Vectorize it instead.")
            return show(opened.place.name), opened.file.read(MOST_BYTES)
