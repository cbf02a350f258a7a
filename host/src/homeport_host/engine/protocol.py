"""What the host asks of an engine, so that no other module knows which one it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol, TypeVar

T = TypeVar("T")
RunState = Literal["queued", "running", "waiting", "paused", "completed", "failed", "cancelled"]
FINAL: frozenset[str] = frozenset({"completed", "failed", "cancelled"})


class Steps(Protocol):
    """What the body of a durable run uses. Between two steps the body must be deterministic."""

    @property
    def run(self) -> str:
        """The run's id."""
        ...

    async def step(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work` and record its JSON-able result; after a crash the recorded result is returned instead.

        `work` runs at least once: an effect inside it needs the effect ledger.
        """
        ...

    async def signal(self, name: str, seconds: float | None = None) -> Any:
        """Wait, parked, for a signal of this name; None when `seconds` pass without one."""
        ...


Body = Callable[[Steps, dict[str, Any]], Awaitable[Any]]


class Engine(Protocol):
    """Starts and steers durable runs."""

    def register(self, kind: str, body: Body) -> None:
        """Make `kind` startable; before `launch`, so that runs cut off by a crash find their body again."""
        ...

    async def launch(self) -> None:
        """Open the store inside the running loop and go on with what a crash cut off."""
        ...

    async def start(self, kind: str, parameters: dict[str, Any], *, run: str) -> bool:
        """Start a run under the id `run`; False when that id was started before (it is not started twice)."""
        ...

    async def send(self, run: str, name: str, value: Any) -> None:
        """Give a waiting run its signal; a signal sent before the run waits is kept for it."""
        ...

    async def wait_signal(self, run: str, name: str, number: int, until: float | None) -> Any:
        """Wait, parked, for the signal with this number among those of one name, from 0, outside of any step.

        Returns:
            Its value; None when the epoch second `until` passes first.
        """
        ...

    async def cancel(self, run: str) -> None:
        """Stop a run for good: the call that it is in is cancelled, and no further step begins."""
        ...

    async def steps(self, run: str) -> list[dict[str, Any]]:
        """List the recorded steps: number, name, result, error, started and completed in epoch milliseconds."""
        ...

    async def fork(self, run: str, step: int, *, into: str) -> None:
        """Start the run `into`: what `run` recorded before the step of that number is taken over, the rest done anew.

        Raises:
            HomeportError: `not_found`.
        """
        ...

    async def parameters(self, run: str) -> dict[str, Any]:
        """Return what a run was started with.

        Raises:
            HomeportError: `not_found`.
        """
        ...

    async def forget(self, run: str) -> None:
        """Forget an ended run: its steps, signals and parameters."""
        ...

    async def aclose(self) -> None:
        """Stop without ending the runs: they go on at the next launch."""
        ...
