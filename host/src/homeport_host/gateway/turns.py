"""Which call a question of a 2025 server belongs to: over HTTP the context says so, over stdio calls take turns."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar

import anyio
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult

Elicit = Callable[[ElicitRequestParams], Awaitable[ElicitResult]]

asking: ContextVar[Elicit | None] = ContextVar("homeport_asking", default=None)
"""How the call of this task puts a question to its person; set by the front, None = nobody can be asked."""


class Question:
    """A running call and its way to ask.

    Attributes:
        scope: The call's; its deadline moves on while a person thinks.
    """

    def __init__(self, elicit: Elicit | None) -> None:
        self.elicit = elicit
        self.scope = anyio.CancelScope()
        self.has_turn = False
        self.over = False

    async def put(self, params: ElicitRequestParams) -> ElicitResult:
        """Ask, or decline where nobody can be asked."""
        if self.elicit is None:
            return ElicitResult(action="decline")
        began = anyio.current_time()
        self.scope.deadline, left = float("inf"), self.scope.deadline - began
        try:
            return await self.elicit(params)
        finally:
            self.scope.deadline = anyio.current_time() + left


_call: ContextVar[Question | None] = ContextVar("homeport_call", default=None)


class Turns:
    """The calls of one 2025 server. Those over stdio run one at a time; one that waits for its person gives way."""

    def __init__(self) -> None:
        self._turn = anyio.Semaphore(1)
        self._holder: Question | None = None

    @asynccontextmanager
    async def turn(self, question: Question, *, needed: bool) -> AsyncGenerator[None]:
        """Run the body as the call that questions belong to.

        Args:
            question: The call.
            needed: The server cannot tell calls apart.
        """
        token = _call.set(question)
        try:
            if needed:
                await self._take(question)
            yield
        finally:
            question.over = True
            if question.has_turn:
                self._give(question)
            _call.reset(token)

    async def on_question(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        """Answer `elicitation/create` of the server."""
        question = self._holder or _call.get()
        if question is None:
            return ElicitResult(action="decline")
        if not question.has_turn:
            return await question.put(params)
        self._give(question)
        try:
            return await question.put(params)
        finally:
            if not question.over:
                await self._take(question)

    async def _take(self, question: Question) -> None:
        await self._turn.acquire()
        question.has_turn = not question.over
        if question.over:
            self._turn.release()
        else:
            self._holder = question

    def _give(self, question: Question) -> None:
        question.has_turn = False
        self._holder = None
        self._turn.release()
