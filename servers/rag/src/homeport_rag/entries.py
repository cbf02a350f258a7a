"""Entries that are given as text: checked before they are stored; what does not fit is refused, or put aside."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import anyio.to_thread

from homeport_rag import reading
from homeport_rag.library import Library
from homeport_rag.meaning import Meaning
from homeport_rag.results.documents import Added, Review, Reviews
from homeport_rag.settings import RagSettings
from homeport_rag.store import Store, collections, documents, ingests, reviews
from homeport_shared import identity
from homeport_shared.clock import iso
from homeport_shared.context import ServerContext
from homeport_shared.documents.model import clean
from homeport_shared.errors import HomeportError

SOURCE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:\S+")


class Entries:
    """Takes in texts.

    Args:
        context: The server's context.
        store: Where they go.
        meaning: Is told what is to be embedded.
        library: Tells of changes.
    """

    def __init__(self, context: ServerContext, store: Store, meaning: Meaning, library: Library) -> None:
        self._context = context
        self._store = store
        self._meaning = meaning
        self._library = library

    async def add(
        self, text: str, *, title: str, collection: str, metadata: dict[str, Any], document_id: str, uri: str
    ) -> Added:
        """Store a given text as a document, or replace the one of that id.

        Raises:
            HomeportError: `invalid`, when the text is empty, or the entry does not fit and such are refused;
                `not_found`, when there is no such collection.
        """
        if not text.strip():
            raise HomeportError("invalid", "The text is empty.", "Give some text, or a path to a file or folder.")
        entry = {"text": text, "title": title, "collection": collection, "metadata": metadata, "uri": uri}
        reasons = await self._unfit(entry, document_id)
        if not reasons:
            return await self._store_entry(entry, document_id)
        if self._context.settings(RagSettings).unfit == "refuse":
            raise HomeportError("invalid", f"The entry does not fit: {' '.join(reasons)}", "Correct it.")
        now, actor = iso(self._context.clock.now()), identity.current().actor
        number = await self._store.write(reviews.put, entry | {"document_id": document_id}, reasons, actor, now)
        await self._context.changes.updated("rag://reviews")
        return Added(document_id="", job_id="", outcome=f"put aside for review as {number}: {' '.join(reasons)}")

    async def waiting(self) -> Reviews:
        """Return what was put aside."""
        return Reviews(reviews=await self._store.read(reviews.listed))

    async def decide(self, review_id: int, *, accept: bool, changes: Mapping[str, Any]) -> Added:
        """Store an entry that was put aside, as it is or with `changes` to its fields, or forget it.

        Raises:
            HomeportError: `not_found`, when nothing was put aside under that id.
        """
        found: Review | None = await self._store.write(reviews.take, review_id)
        await self._context.changes.updated("rag://reviews")
        if found is None:
            raise HomeportError("not_found", f"Nothing was put aside as {review_id}.", "List what waits.")
        if not accept:
            return Added(document_id="", job_id="", outcome="forgotten")
        entry = {name: getattr(found, name) for name in ("text", "title", "collection", "metadata", "uri")}
        return await self._store_entry(entry | dict(changes), found.document_id)

    async def _unfit(self, entry: Mapping[str, Any], document_id: str) -> Sequence[str]:
        """Return a sentence for each thing that does not fit."""
        metadata, uri = entry["metadata"], entry["uri"]
        given = {"title": entry["title"], "uri": uri, **metadata}
        required = self._context.settings(RagSettings).required
        reasons = [f"It has no {name}." for name in required if not str(given.get(name, "")).strip()]
        if uri and not SOURCE.fullmatch(uri):
            reasons.append(f"Its source {uri!r} is no address.")
        space = await self._store.read(collections.space, entry["collection"])
        digest = hashlib.sha256(clean(entry["text"]).encode()).hexdigest()
        mine = document_id or _identifier(entry)
        for other, name in await self._store.read(ingests.same_bytes, space.id, digest):
            if other != mine:
                reasons.append(f"The same text is in {space.name} already, as {name} ({other}).")
                break
        return reasons

    async def _store_entry(self, entry: Mapping[str, Any], document_id: str) -> Added:
        space = await self._store.read(collections.space, entry["collection"])
        now = iso(self._context.clock.now())
        identifier = document_id or _identifier(entry)
        uri = entry["uri"] or f"rag://documents/{identifier}"
        dividing = reading.Dividing(space.settings)
        source = await anyio.to_thread.run_sync(
            reading.given, entry["text"], identifier, uri, entry["title"], now, dividing
        )
        source = replace(source, metadata=dict(entry["metadata"]))
        actor, english = identity.current().actor, space.language == "en"
        outcome = await self._store.write(documents.put, source, space.id, english=english, actor=actor, now=now)
        await self._library.tell(identifier)
        self._meaning.wake()
        return Added(document_id=identifier, job_id="", outcome=outcome)


def _identifier(entry: Mapping[str, Any]) -> str:
    """Return the id of a text that is given without one: the same entry gets the same."""
    parts = (entry["collection"], entry["uri"], entry["title"], entry["text"])
    return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()[:16]
