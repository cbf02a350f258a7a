"""The documents and collections that there are: read, list, edit, move, archive, delete."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import anyio.to_thread

from homeport_rag import reading
from homeport_rag.chunking import MIN_LIMIT
from homeport_rag.ingest import Ingest
from homeport_rag.meaning import Meaning
from homeport_rag.records import CollectionSettings
from homeport_rag.results.documents import Added, Changed, Chunks, Deleted, DocumentList, DocumentText, Named, Versions
from homeport_rag.results.searches import Hit
from homeport_rag.store import Store, collections, documents, matching
from homeport_rag.store.documents import Wanted
from homeport_shared import identity, paging
from homeport_shared.clock import iso
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError

PAGE = 50
CHUNKS = 100  # per page
WINDOW = 20_000  # characters of a document that are returned at once
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
KEY = re.compile(r"[^\s].{0,99}")
VALUE_LIMIT = 10_000  # characters


class Library:
    """What is stored, and how it is changed by hand.

    Args:
        context: The server's context.
        store: Holds it.
        meaning: Is told what is to be embedded.
        ingest: Knows how documents are divided.
    """

    def __init__(self, context: ServerContext, store: Store, meaning: Meaning, ingest: Ingest) -> None:
        self._context = context
        self._store = store
        self._meaning = meaning
        self._ingest = ingest

    async def get(self, document_id: str, chunk_id: int, line: int) -> DocumentText:
        """Return a document's text from `line` on, or just the passage `chunk_id` of it.

        Raises:
            HomeportError: `not_found`.
        """
        document = await self._store.read(documents.document, document_id)
        lines = (await self._store.read(documents.text, document_id)).split("\n")
        shown = window(lines[line - 1 :])
        if chunk_id:
            passage = await self._passage(document_id, chunk_id)
            line, shown = passage.line, passage.text.split("\n")
        last = line + len(shown) - 1
        return DocumentText(
            **document.model_dump(include={"document_id", "title", "uri", "source", "collection", "metadata"}),
            text="\n".join(shown),
            line=line,
            end_line=last,
            lines=len(lines),
            next_line=last + 1 if last < len(lines) else 0,
        )

    async def _passage(self, document_id: str, chunk_id: int) -> Hit:
        found = await self._store.read(matching.passages, document_id, chunk_id - 1, 1)
        if not found or found[0].chunk_id != chunk_id:
            raise HomeportError("not_found", f"The document {document_id} has no passage {chunk_id}.", "Search again.")
        return found[0]

    async def list(self, wanted: Wanted, cursor: str) -> DocumentList:
        """Return one page of the wanted documents.

        Raises:
            HomeportError: `not_found`, when there is no such collection; `invalid`, when the cursor is not ours.
        """
        if wanted.collection:
            await self._store.read(collections.space, wanted.collection)
        position = paging.decode(cursor)
        after = [position["value"], position["id"]] if position.keys() >= {"value", "id"} else []
        found = await self._store.read(documents.listed, wanted, after, PAGE + 1)
        last = found[PAGE - 1] if len(found) > PAGE else None
        following = ""
        if last:
            following = paging.encode({"value": getattr(last, wanted.order), "id": last.document_id})
        return DocumentList(documents=found[:PAGE], next_cursor=following)

    async def chunks(self, document_id: str, text: str, after: int) -> Chunks:
        """Return one page of a document's chunks that hold `text`, those behind the id `after`.

        Raises:
            HomeportError: `not_found`.
        """
        await self._store.read(documents.document, document_id)
        found = await self._store.read(matching.chunks, document_id, text, after, CHUNKS + 1)
        more = len(found) > CHUNKS
        return Chunks(chunks=found[:CHUNKS], next=found[CHUNKS - 1].vector_id if more else 0)

    async def delete(self, document_ids: Sequence[str]) -> Deleted:
        """Delete documents with their passages, vectors and versions."""
        gone, chunks, missing = await self._store.write(documents.delete_all, document_ids)
        await self.tell(*(identifier for identifier in document_ids if identifier not in missing))
        return Deleted(documents=gone, chunks=chunks, missing=missing)

    async def edit(self, document_ids: Sequence[str], metadata: Mapping[str, Any]) -> Changed:
        """Set or remove (None) metadata of documents; a later ingest of the same files keeps it.

        Raises:
            HomeportError: `not_found`; `invalid`, when a key is blank or a value is too long or no plain value.
        """
        for key, value in metadata.items():
            if not KEY.fullmatch(key) or not (value is None or isinstance(value, str | int | float | bool)):
                raise HomeportError("invalid", f"{key!r} cannot be {value!r}.", "Use text, numbers, true or false.")
            if len(str(value)) > VALUE_LIMIT:
                raise HomeportError("invalid", f"The value of {key!r} is longer than {VALUE_LIMIT:,} characters.")
        now = iso(self._context.clock.now())
        for identifier in document_ids:
            await self._store.write(documents.edit, identifier, metadata, now)
        await self.tell(*document_ids)
        return Changed(changed=len(document_ids))

    async def move(self, document_ids: Sequence[str], collection: str) -> Changed:
        """Move documents to another collection.

        Raises:
            HomeportError: `not_found`; `conflict`, when the collection holds the same source already.
        """
        target = await self._store.read(collections.space, collection)
        moved = [await self._store.write(collections.move, identifier, target) for identifier in document_ids]
        self._meaning.wake()
        await self.tell(*document_ids)
        return Changed(changed=sum(moved))

    async def archive(self, document_ids: Sequence[str], *, archived: bool) -> Changed:
        """Take documents out of the search, or back into it.

        Raises:
            HomeportError: `not_found`.
        """
        for identifier in document_ids:
            await self._store.write(documents.archive, identifier, archived=archived)
        await self.tell(*document_ids)
        return Changed(changed=len(document_ids))

    async def versions(self, document_id: str) -> Versions:
        """Return what a document was before its last changes, newest first.

        Raises:
            HomeportError: `not_found`.
        """
        await self._store.read(documents.document, document_id)
        return Versions(versions=await self._store.read(documents.versions, document_id))

    async def restore(self, document_id: str, version: int) -> Added:
        """Make an earlier version the current one; what is current becomes a version itself.

        Raises:
            HomeportError: `not_found`.
        """
        document = await self._store.read(documents.document, document_id)
        found = [each for each in (await self.versions(document_id)).versions if each.version == version]
        if not found:
            raise HomeportError("not_found", f"{document.title} has no version {version}.", "List its versions.")
        space = await self._store.read(collections.space, document.collection)
        dividing, now = await self._ingest.dividing(space), iso(self._context.clock.now())
        source = await anyio.to_thread.run_sync(
            reading.given, found[0].text, document_id, document.source, found[0].title, now, dividing
        )
        source = replace(source, media_type=document.media_type, metadata=document.metadata)
        actor, english = identity.current().actor, space.language == "en"
        outcome = await self._store.write(documents.put, source, space.id, english=english, actor=actor, now=now)
        self._meaning.wake()
        await self.tell(document_id)
        return Added(document_id=document_id, job_id="", outcome=outcome)

    async def create_collection(self, name: str, language: str) -> Named:
        """Create an empty collection.

        Raises:
            HomeportError: `invalid`, when the name has other characters than a-z, 0-9, - and _; `conflict`.
        """
        if not NAME.fullmatch(name):
            raise HomeportError("invalid", f"{name!r} is no name for a collection.", "Use a-z, 0-9, - and _ only.")
        await self._store.write(collections.create, name, language, iso(self._context.clock.now()))
        await self.tell()
        return Named(id=name, state="new")

    async def change_collection(self, name: str, changes: Mapping[str, Any]) -> Named:
        """Change settings of a collection; a new model embeds it anew in the background, the rest holds from now on.

        Raises:
            HomeportError: `not_found`; `invalid`, when passages would be larger than the model reads; `unavailable`,
                when the model does not answer.
        """
        space = await self._store.read(collections.space, name)
        settings = replace(space.settings, **changes)
        await self.check(settings)
        await self._store.write(collections.change, name, settings)
        self._meaning.wake()
        await self.tell()
        return Named(id=name, state=", ".join(f"{key} {value}" for key, value in asdict(settings).items() if value))

    async def check(self, settings: CollectionSettings) -> None:
        """Check whether documents can be divided and embedded like this.

        Raises:
            HomeportError: `invalid`, when not; `unavailable`, when a chosen model does not answer.
        """
        embedder, why = await self._meaning.embedder(settings.choice)
        if settings.embedding_address and embedder is None:
            raise HomeportError("unavailable", why)
        most = embedder.window if embedder else CollectionSettings().chunk_tokens
        if not MIN_LIMIT <= settings.chunk_tokens <= most:
            raise HomeportError(
                "invalid",
                f"A passage of {settings.chunk_tokens} tokens does not fit the model, which reads {most} of them.",
                f"Choose {MIN_LIMIT} to {most}.",
            )
        if not 0 <= settings.overlap_tokens <= 0.15 * settings.chunk_tokens:
            raise HomeportError("invalid", f"An overlap of {settings.overlap_tokens} is above 15 % of a passage.")

    async def delete_collection(self, name: str, confirm: str) -> Deleted:
        """Delete a collection and everything in it; a built-in one is emptied.

        Raises:
            HomeportError: `denied`, when `confirm` does not repeat the name; `not_found`.
        """
        if confirm != name:
            raise HomeportError(
                "denied", f"Deleting the collection {name!r} cannot be undone.", "Repeat its name as confirm."
            )
        gone, chunks = await self._store.write(collections.delete, name)
        await self.tell()
        return Deleted(documents=gone, chunks=chunks, missing=[])

    async def tell(self, *document_ids: str) -> None:
        """Tell subscribers that these documents, and so the collections, changed."""
        uris = [f"rag://documents/{identifier}" for identifier in document_ids]
        await self._context.changes.updated("rag://collections", "rag://stats", *uris)


def window(lines: Sequence[str]) -> Sequence[str]:
    """Return as many of `lines` as fit into `WINDOW` characters, at least one, which is cut where it is longer."""
    shown = list[str]()
    size = 0
    for text in lines:
        if shown and size + len(text) >= WINDOW:
            break
        shown.append(text[:WINDOW])
        size += len(text) + 1
    return shown
