"""The life of an agent's run, as the body of a durable run: it begins, takes its turns, and ends in one of two ways.

A run ends as a success only with an answer that has no fault; everything else ends as a failure that says what to do.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import DBAPIError

from homeport_host.agents.limits import Spent
from homeport_host.agents.task import Task
from homeport_host.agents.turns import Parts, Turns
from homeport_host.engine.protocol import RunState, Steps
from homeport_shared.errors import HomeportError

Done = Callable[[str], Awaitable[None]]
logger = logging.getLogger(__name__)


class AgentLoop:
    """The body of every run of an agent.

    Args:
        parts: What every run uses.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.on_done: list[Done] = []

    async def __call__(self, steps: Steps, parameters: dict[str, Any]) -> dict[str, Any]:
        """Do one run to its end, whatever the end is."""
        task = Task.model_validate(parameters)
        turns = Turns(self._parts, steps, task)
        await self._parts.enter(steps.run, "running", key="running")
        await self._parts.store.change(steps.run, started=self._parts.store.now())
        try:
            outcome = _Outcome("completed", *await turns.answer())
        except DBAPIError:
            raise  # the engine keeps the run open and tries again
        except HomeportError as error:
            outcome = _Outcome("failed", error=error.as_dict())
        except Exception:  # the boundary of a run: a bug ends this run, with a reference, and nothing else
            reference = secrets.token_hex(4)
            logger.exception("run %s failed, reference %s", steps.run, reference)
            error = HomeportError("internal", f"The run failed in a way nobody foresaw (reference {reference}).")
            outcome = _Outcome("failed", error=error.as_dict())
        await steps.step("finish", lambda: self.finish(steps.run, outcome, turns.spent))
        return {"state": outcome.state}

    async def finish(self, run: str, outcome: _Outcome, spent: Spent) -> None:
        """Store how a run ended, tell those who wait for it, and the readers last."""
        usage = spent.as_usage()
        await self._parts.store.change(
            run,
            state=outcome.state,
            finished=self._parts.store.now(),
            answer=outcome.answer,
            error=outcome.error,
            citations=outcome.citations,
            steps=spent.turns + spent.tool_calls,
            usage=usage,
        )
        for told in self.on_done:
            await told(run)
        done = {
            "status": outcome.state,
            "answer": outcome.answer,
            "citations": outcome.citations,
            "usage": usage,
            "error": outcome.error,
        }
        await self._parts.recorder.emit(run, "state", {"state": outcome.state}, key="ended")
        await self._parts.recorder.emit(run, "done", done, key="done", durable=True)


@dataclass(frozen=True, slots=True)
class _Outcome:
    state: RunState
    answer: str = ""
    citations: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    error: dict[str, str] | None = None
