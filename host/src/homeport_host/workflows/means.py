"""What every run of a workflow uses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from homeport_host.agents.runs import Run
from homeport_host.agents.service import Runs
from homeport_host.agents.turns import Parts
from homeport_host.engine.protocol import FINAL, Engine
from homeport_host.governance.approvals import Approvals
from homeport_host.workflows.checking import Known
from homeport_host.workflows.journal import Journal, Step
from homeport_host.workflows.task import WorkflowTask
from homeport_shared.errors import HomeportError

Within = Callable[[WorkflowTask, str, str, str, dict[str, Any]], Awaitable[str]]


@dataclass
class Means:
    """What every run of a workflow uses.

    Attributes:
        parts: What it has in common with the runs of agents.
        runs: Starts and cancels the agents of a workflow.
        known: What there is around a workflow now.
        within: Starts another workflow for a run: its task and id, the new run's id, the name, the parameters.
    """

    parts: Parts
    engine: Engine
    approvals: Approvals
    runs: Runs
    journal: Journal
    known: Callable[[], Known]
    within: Within = field(init=False)

    async def ended(self, run: str) -> Run:
        """Wait for the end of another run."""
        while True:
            end = self.parts.admission.end_of(run)  # before looking, so that it is not missed
            row = await self.parts.store.get(run)
            if row.state in FINAL:
                return row
            await end.wait()

    async def stop_children(self, steps: list[Step]) -> None:
        """Cancel the runs that these steps wait for."""
        for step in steps:
            if step.notes.get("run") and step.state in {"running", "waiting", "cancelled", "failed"}:
                try:
                    await self.runs.cancel(step.notes["run"])
                except HomeportError as error:
                    if error.code != "not_found":  # it was never started
                        raise
