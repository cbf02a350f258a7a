"""One answer of the model, live: its text goes to the readers as it comes, a failed attempt is tried once more."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

import anyio

from homeport_host.agents.recorder import Recorder
from homeport_host.agents.task import Turn
from homeport_host.providers.protocol import (
    ModelAnswer,
    ModelEvent,
    ModelInfo,
    ModelRequest,
    ProviderError,
    ProviderFault,
    Restarted,
    TextDelta,
    UsageOwner,
)

ATTEMPTS = 2
PAUSE_SECONDS, LONGEST_PAUSE = 0.5, 10.0
PASSING: frozenset[ProviderFault] = frozenset({"unreachable", "broken_stream", "server_error"})
logger = logging.getLogger(__name__)


class Models(Protocol):
    """The models of the host."""

    def stream(self, name: str, request: ModelRequest, *, who: UsageOwner) -> AsyncGenerator[ModelEvent]:
        """Yield deltas, then one answer."""
        ...

    async def describe(self, name: str) -> ModelInfo:
        """Tell what a model can do."""
        ...


class Asking:
    """Asks models on behalf of runs."""

    def __init__(self, models: Models, recorder: Recorder) -> None:
        self._models = models
        self._recorder = recorder

    async def ask(self, name: str, request: ModelRequest, who: UsageOwner, *, message: str, turn: int) -> Turn:
        """Return one complete answer.

        Args:
            name: The model with its provider, such as `ollama/qwen3:8b`.
            request: What to ask.
            who: Whom it is counted for; its run is told the text.
            message: The message that the text belongs to.
            turn: The number of this turn, for the log.

        Raises:
            ProviderError: When there is no complete answer.
        """
        started = time.perf_counter()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = await self._once(name, request, who, message)
                return Turn(answer, time.perf_counter() - started)
            except ProviderError as error:
                if attempt == ATTEMPTS or error.fault not in PASSING:
                    raise
                logger.warning("run %s, turn %d: %s; trying again", who.run, turn, error)
                await self._recorder.emit(who.run, "restart", {"reason": f"{error.message} Trying again."})
                await anyio.sleep(min(error.retry_after or PAUSE_SECONDS, LONGEST_PAUSE))
        raise AssertionError("the last attempt returns or raises")

    async def _once(self, name: str, request: ModelRequest, who: UsageOwner, message: str) -> ModelAnswer:
        answer: ModelAnswer | None = None
        async with aclosing(self._models.stream(name, request, who=who)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    await self._recorder.text(who.run, message, event.text, thinking=event.thinking)
                elif isinstance(event, Restarted):
                    await self._recorder.emit(who.run, "restart", {"reason": event.reason})
                else:
                    answer = event
        if answer is None:
            raise ProviderError("broken_stream", f"The answer of {name} broke off.", "Try again.")
        return answer
