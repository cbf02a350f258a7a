"""Attachments: their text goes into the knowledge base, in a collection of the conversation's own."""

from __future__ import annotations

import base64
import logging
import re
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio.to_thread

from homeport_host.chat.store import Attachment
from homeport_shared.atomic import write_atomically
from homeport_shared.errors import HomeportError

logger = logging.getLogger(__name__)
PREFIX = "chat-"
MOST_BYTES = 25_000_000
CallTool = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


def collection_of(session: str) -> str:
    """Return the collection that holds the attachments of a conversation."""
    return f"{PREFIX}{session}"


class Attaching:
    """Puts attachments into the knowledge base.

    Args:
        call_tool: Calls a tool through the dispatch path, as the person who attaches, and returns its structured
            content; raises HomeportError for an error.
        folder: Where files that are no text are put, to be parsed from there.
    """

    def __init__(self, call_tool: CallTool, folder: Path) -> None:
        self._call_tool = call_tool
        self._folder = folder

    async def attach(self, session: str, name: str, *, text: str = "", data: str = "", path: str = "") -> Attachment:
        """Add one attachment.

        Args:
            session: The conversation.
            name: What people call it, such as the file's name.
            text: The text itself, or:
            data: the file in base64, or:
            path: where the file is on this machine.

        Raises:
            HomeportError: `invalid` unless exactly one of the three is given; `too_large`; or what `rag__add` says.
        """
        if sum(map(bool, (text, data, path))) != 1:
            raise HomeportError("invalid", f"{name!r} has no content, or more than one.", "Give text, base64 or path.")
        if data:
            text, path = await self._decoded(session, name, data)
        collection = collection_of(session)
        uri = f"chat://sessions/{session}/{quote(name)}"
        given = {"paths": [path]} if path else {"text": text, "title": name, "uri": uri}
        await self._have_collection(collection)
        added = await self._call_tool("rag__add", {**given, "collection": collection})
        return Attachment(str(added.get("document_id") or added.get("job_id") or ""), name, collection)

    async def _have_collection(self, name: str) -> None:
        try:
            await self._call_tool("rag__create_collection", {"name": name})
        except HomeportError as error:
            if error.code != "conflict":  # it is there from an earlier attachment
                raise

    async def forget(self, collection: str) -> None:
        """Remove what was attached; where the knowledge base is away, only a warning: the conversation is gone."""
        folder = self._folder / collection.removeprefix(PREFIX)
        await anyio.to_thread.run_sync(lambda: shutil.rmtree(folder, ignore_errors=True))
        try:
            await self._call_tool("rag__delete", {"collection": collection, "confirm": collection})
        except HomeportError as error:
            logger.warning("the attachments in %s stay in the knowledge base: %s", collection, error)

    async def _decoded(self, session: str, name: str, data: str) -> tuple[str, str]:
        """Return a given file as text, or the path where it was put because it must be parsed."""
        content = decoded(name, data)
        try:
            return content.decode("utf-8-sig"), ""
        except UnicodeDecodeError:
            folder = self._folder / session
            path = folder / (re.sub(r"[^\w. -]", "_", name).strip(". ")[-120:] or "file")
            await anyio.to_thread.run_sync(write_atomically, path, content)
            await self._call_tool("rag__add_folder", {"path": str(folder)})
            return "", str(path)


def context_of(attachments: Sequence[Attachment]) -> str:
    """Return what a model is told of the attachments of a conversation; empty when there are none."""
    if not attachments:
        return ""
    lines = "\n".join(
        f'- {item.title} (document {item.reference}, collection "{item.collection}")' for item in attachments
    )
    return f"Attached to this conversation; search it with rag__search in its collection:\n{lines}"


def decoded(name: str, data: str) -> bytes:
    """Return the bytes of a file given in base64.

    Raises:
        HomeportError: `too_large`, or `invalid` when it is no base64.
    """
    if len(data) > MOST_BYTES * 4 // 3 + 4:
        raise HomeportError("too_large", f"{name!r} is larger than 25 MB.", "Add its folder instead.")
    try:
        return base64.b64decode(data, validate=True)
    except ValueError as error:
        raise HomeportError("invalid", f"{name!r} is not base64.", "Encode it again.") from error
