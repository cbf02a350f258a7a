"""Memory: short texts that an agent or a person wants to find again, each with its owner, importance and age.

A memory is a document in a hidden collection, so it is found by words and by meaning as documents are. A Markdown file
per memory is a copy that people can read and edit: a file that was changed is taken over at the next look.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import anyio
import anyio.to_thread

from homeport_rag import notebook, reading
from homeport_rag.meaning import Meaning
from homeport_rag.records import Source
from homeport_rag.results.documents import Named
from homeport_rag.results.memories import Memories, MemoryEntry, MemoryKind
from homeport_rag.retrieval import Question, Retrieval
from homeport_rag.search import Filters, require_date
from homeport_rag.settings import RagSettings
from homeport_rag.store import Store, collections, documents, memories
from homeport_rag.store.dialect import Connection
from homeport_rag.store.memories import Choice, Owner
from homeport_rag.store.schema import MEMORY
from homeport_shared import identity
from homeport_shared.clock import iso
from homeport_shared.context import ServerContext
from homeport_shared.documents.model import clean
from homeport_shared.errors import HomeportError

LONGEST = 20_000  # characters
MOST_TOLD, MOST_OF_ONE = 1_500, 300  # characters of preferences that agents are told, and of a single one
FADED = 0.02  # a memory of less strength is no longer recalled, only listed
SECONDS_PER_DAY = 86_400


class Memory:
    """The memories of all users; each call sees those of its caller alone.

    Args:
        context: The server's context.
        store: Holds them.
        meaning: Is told what is to be embedded.
        retrieval: Finds them.
    """

    def __init__(self, context: ServerContext, store: Store, meaning: Meaning, retrieval: Retrieval) -> None:
        self._context = context
        self._store = store
        self._meaning = meaning
        self._retrieval = retrieval

    async def remember(
        self,
        text: str,
        *,
        subject: str,
        tags: Sequence[str],
        source: str,
        kind: MemoryKind,
        importance: float,
        memory_id: str = "",
    ) -> Named:
        """Store a text as memory of the caller, or correct the one of that id; the same text is stored once.

        A preference is the user's own, whichever agent was told it.

        Raises:
            HomeportError: `denied`, when a job states a preference; `invalid`, when the text is empty or too long;
                `not_found`, when there is no such memory.
        """
        owner, text = self._owner(), clean(text).strip()
        if kind == "preference":
            _refuse_job()
            owner = Owner(owner.tenant, owner.actor, "")
        if not text or len(text) > LONGEST:
            raise HomeportError("invalid", f"A memory has 1 to {LONGEST:,} characters.", "Use `add` for documents.")
        old = await self._store.read(memories.one, owner, memory_id) if memory_id else None
        if memory_id and old is None:
            raise _none(memory_id)
        digest = hashlib.sha256("\n".join((*asdict(owner).values(), text)).encode()).hexdigest()
        entry = MemoryEntry(
            memory_id=memory_id or digest[:16],
            text=text,
            kind=kind,
            subject=subject,
            tags=list(dict.fromkeys(tags)),
            source=source or owner.agent or owner.actor,
            at=old.at if old else iso(self._context.clock.now()),
            importance=importance,
            agent=old.agent if old else owner.agent,
        )
        await self._put(owner, entry)
        await self._drop_least(owner)
        return Named(id=entry.memory_id, state="changed" if old else "remembered")

    async def recall(self, query: str, choice: Choice, k: int) -> Memories:
        """Return the caller's memories nearest to `query` by falling similarity; the newest without a query.

        Memories that have faded are left out, unless there is no query.

        Raises:
            HomeportError: `invalid`, when `choice.since` is no date.
        """
        owner = self._owner()
        require_date(choice.since)
        why = await self._take_edits(owner, Choice())
        found = await self._store.read(memories.chosen, owner, choice)
        by_id = {entry.memory_id: self._strong(entry) for entry in found}
        if not query.strip():
            return Memories(memories=list(by_id.values())[:k], mode="newest", why=why)
        alive = [identifier for identifier, entry in by_id.items() if entry.strength >= FADED]
        if not alive:
            return Memories(memories=[], mode="", why=f"Nothing is remembered that fits. {why}".strip())
        question = Question(query, [MEMORY], k=5 * k, filters=Filters(documents=alive), rerank=False)
        answer = await self._retrieval.search(question, hidden=True)
        nearest = {hit.document_id: hit.score for hit in reversed(answer.hits)}
        ordered = sorted(nearest.items(), key=lambda item: (-item[1], -by_id[item[0]].strength))[:k]
        recalled = [by_id[identifier].model_copy(update={"similarity": score}) for identifier, score in ordered]
        return Memories(memories=recalled, mode=answer.mode, why=f"{answer.why} {why}".strip())

    async def preferences(self) -> str:
        """Return what the caller prefers as a list, the important and newest first; it does not fade."""
        if self._store.path is not None and not await anyio.Path(self._store.path).exists():
            return ""  # each conversation asks, also of somebody who has no knowledge base
        owner, choice = Owner(identity.current().tenant, identity.current().actor, ""), Choice(kind="preference")
        await self._take_edits(owner, choice)
        found = await self._store.read(memories.chosen, owner, choice)
        lines: list[str] = []
        for entry in sorted(found, key=lambda entry: -entry.importance):
            line = " ".join(entry.text.split())
            line = f"- {line}" if len(line) <= MOST_OF_ONE else f"- {line[:MOST_OF_ONE]}…"
            if sum(map(len, lines)) + len(line) <= MOST_TOLD:
                lines.append(line)
        return "\n".join(lines)

    async def forget(self, memory_ids: Sequence[str], confirm: str) -> Named:
        """Delete memories of the caller; all of them when none is named and `confirm` is `all`.

        Raises:
            HomeportError: `not_found`, and nothing is deleted; `denied`, when all would be deleted unconfirmed.
        """
        owner = self._owner()
        mine = {entry.memory_id: entry for entry in await self._store.read(memories.chosen, owner, Choice())}
        if not memory_ids and confirm != "all":
            raise HomeportError("denied", f"All {len(mine)} memories would be deleted.", "Say so: confirm = all.")
        if unknown := [identifier for identifier in memory_ids if identifier not in mine]:
            raise _none(unknown[0])
        chosen = list(memory_ids) or list(mine)
        await self._remove(owner, [mine[identifier] for identifier in chosen])
        return Named(id=", ".join(chosen[:20]), state=f"{len(chosen)} forgotten")

    def strength(self, entry: MemoryEntry) -> float:
        """Return how present a memory still is, 0 to 1: its importance, halved once per half-life of its age.

        The half-life of a memory of importance 0.5 is that of the settings; of importance 1 it is four times as long.
        """
        days = (self._context.clock.now() - datetime.fromisoformat(entry.at)).total_seconds() / SECONDS_PER_DAY
        half_life = self._context.settings(RagSettings).memory_half_life_days * 4 ** (2 * entry.importance - 1)
        return round(entry.importance * 0.5 ** (max(days, 0) / half_life), 4)

    def _strong(self, entry: MemoryEntry) -> MemoryEntry:
        return entry.model_copy(update={"strength": self.strength(entry)})

    async def _put(self, owner: Owner, entry: MemoryEntry) -> None:
        space = await self._store.read(collections.space, MEMORY, hidden=True)
        source = reading.given(
            entry.text, entry.memory_id, f"memory://{entry.memory_id}", entry.subject, entry.at, reading.Dividing()
        )
        await self._store.write(_put, owner, entry, source, space.id, iso(self._context.clock.now()))
        if self._store.path is not None:
            await anyio.to_thread.run_sync(notebook.write, self._folder(owner), entry)
        self._meaning.wake()
        await self._context.changes.updated("memory://recent", "memory://preferences")

    async def _remove(self, owner: Owner, entries: Sequence[MemoryEntry]) -> None:
        await self._store.write(memories.forget, [entry.memory_id for entry in entries])
        for entry in entries:
            await anyio.to_thread.run_sync(notebook.remove, self._folder(owner), entry.memory_id)
        await self._context.changes.updated("memory://recent", "memory://preferences")

    async def _drop_least(self, owner: Owner) -> None:
        """Keep to the limit: the least important go first, of equal ones the oldest."""
        everybody = Owner(owner.tenant, owner.actor, "")
        entries = await self._store.read(memories.chosen, everybody, Choice())
        excess = len(entries) - self._context.settings(RagSettings).memory_limit
        if excess > 0:
            await self._remove(owner, sorted(entries, key=lambda entry: (entry.importance, entry.at))[:excess])

    async def _take_edits(self, owner: Owner, choice: Choice) -> str:
        """Take over what a person changed in the Markdown files, and return what to say of those that are damaged.

        Where several machines share the memories there are none: a file here would put back what changed elsewhere.
        """
        if self._store.path is None:
            return ""
        entries = await self._store.read(memories.chosen, owner, choice)
        changed, damaged = await anyio.to_thread.run_sync(notebook.edited, self._folder(owner), entries)
        for entry in changed:
            await self._put(owner, entry)
        return " ".join(f"{path} is no memory any more; mend or remove it, and the old text stays." for path in damaged)

    def _owner(self) -> Owner:
        who = identity.current()
        return Owner(who.tenant, who.actor, who.agent)

    def _folder(self, owner: Owner) -> Path:
        """Return where the Markdown files of a user are; names of clients can hold any character."""
        name = "".join(c if c.isalnum() or c in "-_" else "-" for c in f"{owner.tenant}-{owner.actor}".strip("-"))
        digest = hashlib.sha256(f"{owner.tenant}\n{owner.actor}".encode()).hexdigest()[:8]
        return self._context.folder / "memories" / f"{name[:40] or 'person'}-{digest}"


def _put(connection: Connection, owner: Owner, entry: MemoryEntry, source: Source, space: int, now: str) -> None:
    """Store text and facts of a memory in one transaction."""
    documents.put(connection, source, space, english=True, actor=owner.actor, now=now)
    memories.put(connection, owner, entry)


def _refuse_job() -> None:
    if identity.current().caller == "job":
        raise HomeportError("denied", "Only a person has preferences; a job has none.", "Use kind = semantic.")


def _none(identifier: str) -> HomeportError:
    return HomeportError("not_found", f"There is no memory {identifier!r} of yours.", "recall names them.")
