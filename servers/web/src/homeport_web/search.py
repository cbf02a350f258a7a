"""Asking search engines one after the other until one has results, and saying what became of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import anyio

from homeport_shared.clock import Clock
from homeport_shared.errors import HomeportError
from homeport_web.results import BackendState, Found, Hit

Since = Literal["", "day", "week", "month", "year"]


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for.

    Attributes:
        region: Country and language, such as `us-en`.
        since: How old a page may be; empty = any age.
    """

    text: str
    limit: int
    region: str
    since: Since


@dataclass(frozen=True, slots=True)
class Answer:
    """What an engine found, best first, and what it says about that; mostly nothing."""

    hits: list[Hit]
    note: str = ""


class Backend(Protocol):
    """One search engine."""

    @property
    def name(self) -> str:
        """What it is called in settings and results."""
        ...

    async def missing(self) -> str:
        """Return what has to be set before it can be asked; empty when it can."""
        ...

    async def search(self, query: Query) -> Answer:
        """Ask it.

        Raises:
            HomeportError: When it does not answer, or refuses.
        """
        ...


class Search:
    """The search engines of the settings.

    Args:
        backends: In the order of preference.
        seconds: The longest wait for one.
        clock: Measures them.
    """

    def __init__(self, backends: Sequence[Backend], seconds: float, clock: Clock) -> None:
        self._backends = backends
        self._seconds = seconds
        self._clock = clock

    async def search(self, query: Query, only: str = "") -> Found:
        """Return results of the first engine that has some, and what became of each.

        Args:
            query: What is looked for.
            only: The name of the one engine to ask; empty = as the settings say.

        Raises:
            HomeportError: `invalid`, for an empty query; `not_found`, for an unknown engine; `unavailable`, when none
                answered, saying why of each.
        """
        if not query.text.strip():
            raise HomeportError("invalid", "The query is empty.", "Say what to look for.")
        states: list[BackendState] = []
        results: list[Hit] = []
        for backend in self._chosen(only):
            if results:
                states.append(BackendState(name=backend.name, state="not asked"))
                continue
            state, results = await self._asked(backend, query)
            states.append(state)
        if not any(state.state in {"answered", "nothing"} for state in states):
            raise HomeportError(
                "unavailable",
                f"No search engine answered: {'; '.join(f'{s.name}: {s.why}' for s in states)}",
                "Try again later, or set up another one in the settings of web.",
            )
        return Found(results=results, backends=states)

    def _chosen(self, only: str) -> Sequence[Backend]:
        chosen = [backend for backend in self._backends if only in {"", backend.name}]
        if not chosen:
            names = ", ".join(backend.name for backend in self._backends)
            raise HomeportError("not_found", f"There is no search engine {only!r}.", f"There are {names}.")
        return chosen

    async def _asked(self, backend: Backend, query: Query) -> tuple[BackendState, list[Hit]]:
        """Ask one engine; what it says is kept, whatever goes wrong."""
        if why := await backend.missing():
            return BackendState(name=backend.name, state="off", why=why), []
        started = self._clock.monotonic()
        answer, why = Answer([]), f"It did not answer within {self._seconds:g} seconds."
        failed = True
        with anyio.move_on_after(self._seconds):
            try:
                answer = await backend.search(query)
                why, failed = answer.note, False
            except HomeportError as error:
                why = str(error)
        hits = _usable(answer.hits)[: query.limit]
        return (
            BackendState(
                name=backend.name,
                state="failed" if failed else "answered" if hits else "nothing",
                hits=len(hits),
                seconds=round(self._clock.monotonic() - started, 2),
                why=why,
            ),
            hits,
        )


def _usable(hits: list[Hit]) -> list[Hit]:
    """Return each address once, and only those that can be visited."""
    unique: dict[str, Hit] = {}
    for hit in hits:
        if hit.url.startswith(("http://", "https://")):
            unique.setdefault(hit.url, hit)
    return list(unique.values())
