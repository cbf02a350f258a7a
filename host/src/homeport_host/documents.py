"""A person's documents, over the bundled servers: folders are added, uploads taken over, what is indexed is counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, cast

import anyio

from homeport_host.chat.service import Chats
from homeport_shared import settings
from homeport_shared.errors import HomeportError

WATCHED = "default"  # the collection whose folders the knowledge base follows


class CallTool(Protocol):
    """Calls a tool for a person and returns its structured content."""

    async def __call__(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Raises HomeportError for an error."""
        ...


class Documents:
    """Folders, uploads and the knowledge base, in the name of the person who asks.

    Args:
        home: The data root.
        call: The dispatch path.
        ready: Whether the server of this name can be called; others would be waited for.
        chats: Where attached files go.
    """

    def __init__(self, home: Path, call: CallTool, ready: Callable[[str], bool], chats: Chats) -> None:
        self._home = home
        self._call = call
        self._ready = ready
        self._chats = chats

    async def add_folder(self, path: str, collection: str, watch: bool) -> dict[str, Any]:
        """Make a folder a root of files and have it indexed.

        Args:
            path: The folder.
            collection: Where its documents go.
            watch: Also take in what changes later; the knowledge base does that for its default collection.

        Returns:
            The name of the root, and the id of the job that indexes it: `{root, job_id}`.

        Raises:
            HomeportError: `invalid` for the root of a drive, or what the servers say.
        """
        if not path.strip() or Path(path) == Path(Path(path).anchor):
            raise HomeportError("invalid", f"{path!r} is no folder of documents.", "Name the folder that holds them.")
        try:
            root: str = (await self._call("files__add_root", {"folder": path}))["name"]
        except HomeportError as error:
            if error.code != "conflict":
                raise
            known = (await self._call("files__roots", {}))["roots"]  # it is a root already: only look for news in it
            root = next((each["name"] for each in known if each["folder"] == path), path)
        await self._call("rag__add_folder", {"path": path, "watch": watch and collection == WATCHED})
        job = await self._call("rag__sync_folder", {"path": path, "collection": collection})
        return {"root": root, "job_id": job.get("id", "")}

    def folders(self) -> list[str]:
        """Return the folders that were added."""
        roots = settings.read_file(self._home).get("files", {}).get("roots", [])
        return [str(root).partition("=")[2] or str(root) for root in roots]

    async def counted(self) -> dict[str, Any] | None:
        """Return `{count, indexing}`: documents, and passages still to be embedded; None without a knowledge base."""
        if not self._ready("rag"):
            return None
        try:
            stats = await self._call("rag__stats", {})
        except HomeportError:
            return None
        collections = cast("list[dict[str, int]]", stats["collections"])
        missing = sum(each["chunks"] - each["embedded"] for each in collections) if stats.get("model") else 0
        return {"count": sum(each["documents"] for each in collections), "indexing": missing}

    async def receive(self, target: str, file: Path, name: str) -> dict[str, Any]:
        """Take over an uploaded file: `chat:SESSION` attaches it, `knowledge:COLLECTION` adds it to the documents.

        Raises:
            HomeportError: `invalid` for another target, or what the tool says.
        """
        kind, _, place = target.partition(":")
        if kind == "chat":
            session = await self._chats.opened(place, name)
            kept = await self._keep(file, session, name)
            _, attachment = await self._chats.attach(session, name, path=str(kept))
            return {"session_id": session, **asdict(attachment)}
        if kind == "knowledge":
            kept = await self._keep(file, place, name)
            return await self._call("rag__add", {"paths": [str(kept)], "collection": place or "default"})
        raise HomeportError("invalid", f"Nothing takes uploads for {target!r}.", "Use chat: or knowledge:.")

    async def _keep(self, file: Path, place: str, name: str) -> Path:
        """Move an uploaded file to where the knowledge base may read it."""
        folder = self._home / "uploads" / (place or "default")
        await anyio.Path(folder).mkdir(parents=True, exist_ok=True)
        await self._call("rag__add_folder", {"path": str(folder)})
        return Path(await anyio.Path(file).replace(folder / name))
