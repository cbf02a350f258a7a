"""A time limit over a stream that is read step by step: no cancel scope may stay open across a `yield`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from typing import TypeVar

import anyio

from homeport_host.providers.refusals import timed_out

T = TypeVar("T")
_END = object()


class Deadline:
    """The end of one call.

    Args:
        seconds: From now.
        provider: Whose call it is, for the error.
    """

    def __init__(self, seconds: float, provider: str) -> None:
        self._seconds = seconds
        self._provider = provider
        self._end = anyio.current_time() + seconds

    async def within(self, step: Awaitable[T]) -> T:
        """Await `step`.

        Raises:
            ProviderError: `timeout`, when it is not done before the end.
        """
        with anyio.move_on_after(self._end - anyio.current_time()):
            return await step
        raise timed_out(self._provider, self._seconds)

    async def each(self, stream: AsyncIterator[T]) -> AsyncGenerator[T]:
        """Yield what `stream` yields.

        Raises:
            ProviderError: `timeout`, when the next item is not there before the end.
        """
        while (item := await self.within(_next(stream))) is not _END:
            yield item  # pyright: ignore[reportReturnType] - the mark never gets here


async def _next(stream: AsyncIterator[T]) -> T | object:
    return await anext(stream, _END)
