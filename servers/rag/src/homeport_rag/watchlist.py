"""Searches that are kept under a name, and tell when a new document fits them."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import anyio

from homeport_rag.insight import asked, asking
from homeport_rag.results.documents import Named
from homeport_rag.results.searches import SavedList
from homeport_rag.retrieval import Question, Retrieval
from homeport_rag.store import Store, queries
from homeport_shared.clock import iso
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError
from homeport_shared.events import Event

logger = logging.getLogger(__name__)
ALERT_HITS = 1_000  # passages of what changed that are looked at
BACK = 7_200.0  # seconds: what is noted as changed then may have been stored only now, such as a long scan
AGAIN = 10.0  # seconds until searches that could not be made are tried again
PAUSE = 1.0  # seconds that changes are gathered before kept searches are made again


class Watchlist:
    """The kept searches.

    Args:
        context: The server's context.
        store: Holds them.
        retrieval: Makes them.
    """

    def __init__(self, context: ServerContext, store: Store, retrieval: Retrieval) -> None:
        self._context = context
        self._store = store
        self._retrieval = retrieval

    async def save(self, name: str, question: Question, *, alert: bool) -> Named:
        """Keep a search under a name; with `alert`, an event is published when it finds a new document.

        Raises:
            HomeportError: `invalid`, when the name is blank.
        """
        if not name.strip() or len(name) > 100:
            raise HomeportError("invalid", "A name has 1 to 100 characters.", "Give the search a name.")
        await self._store.write(queries.save, name, asked(question), alert=alert, now=iso(self._context.clock.now()))
        if alert:
            await self._look(name, question)
            await self._store.write(queries.looked_at, name)
        await self._context.changes.updated("rag://queries")
        return Named(id=name, state="saved")

    async def unsave(self, name: str) -> Named:
        """Forget a kept search.

        Raises:
            HomeportError: `not_found`.
        """
        if not await self._store.write(queries.unsave, name):
            raise HomeportError("not_found", f"No search is saved as {name!r}.", "List the saved searches.")
        await self._context.changes.updated("rag://queries")
        return Named(id=name, state="forgotten")

    async def look(self, name: str) -> Named:
        """Note that somebody saw what is new in a kept search.

        Raises:
            HomeportError: `not_found`.
        """
        if not await self._store.write(queries.looked_at, name):
            raise HomeportError("not_found", f"No search is saved as {name!r}.", "List the saved searches.")
        await self._context.changes.updated("rag://queries")
        return Named(id=name, state="seen")

    async def saved(self) -> SavedList:
        """Return the kept searches."""
        return SavedList(queries=await self._store.read(queries.saved))

    async def alert(self) -> None:
        """Make the kept searches with an alert again whenever documents changed, for as long as the server lives."""
        changed = anyio.Event()

        def listen(event: Any) -> None:
            if str(getattr(event, "uri", "")) == "rag://collections":
                changed.set()

        unsubscribe = self._context.changes.subscribe(listen)
        try:
            while True:
                await changed.wait()
                await anyio.sleep(PAUSE)
                changed = anyio.Event()
                if not await self._alert():
                    await anyio.sleep(AGAIN)
                    changed.set()
        finally:
            unsubscribe()

    async def _alert(self) -> bool:
        """Make them; False when that failed, so that what changed is still to be told."""
        try:
            for kept in (await self.saved()).queries:
                if kept.alert and (fresh := await self._look(kept.name, asking(kept.asked))):
                    await self._context.events.publish(
                        Event("rag.saved_search_matched", f"rag://queries/{kept.name}", {"documents": fresh})
                    )
                    await self._context.changes.updated("rag://queries")
        except HomeportError:
            logger.exception("the saved searches cannot be made now")
            return False
        return True

    async def _look(self, name: str, question: Question) -> list[str]:
        """Return the documents that are new to a kept search. By words only: by meaning something is always near."""
        documents = await self._store.read(queries.recent, name, BACK)
        found: list[str] = []
        if documents:
            filters = replace(question.filters, documents=documents)
            wanted = replace(question, k=ALERT_HITS, mode="lexical", rerank=False, filters=filters, depth=ALERT_HITS)
            hits = (await self._retrieval.search(wanted)).hits
            found = list(dict.fromkeys(hit.document_id for hit in hits))
        return await self._store.write(queries.seen, name, found, iso(self._context.clock.now()))
