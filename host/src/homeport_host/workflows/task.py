"""What a run of a workflow is asked to do, as it is recorded when it starts: nothing in it changes afterwards."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from homeport_host.agents.runs import Origin, Run
from homeport_host.agents.task import LONGEST_TITLE
from homeport_shared.identity import Identity

KIND = "workflow"
DEEPEST = 5  # workflows within workflows


class WorkflowTask(BaseModel):
    """The parameters of a run.

    Attributes:
        workflow: The id of the workflow; empty for a graph that is not stored.
        graph: The whole workflow as it was when the run started.
        trigger: What the trigger brought, such as an event.
        policy: Under whose rules its calls are: `chat` asks a person, `job` can ask nobody.
        agreed: A person saved this version: what its calls say word for word may be done unasked.
        dry: Nothing outside is changed.
        start: Where to begin; empty = at the entry point.
        pinned: Outputs that are taken instead of doing the nodes.
        caller: Which kind of caller started it.
        depth: How many workflows are around this one.
    """

    model_config = ConfigDict(frozen=True)

    workflow: str = ""
    version: int = 0
    graph: dict[str, Any]
    parameters: dict[str, Any] = Field(default_factory=dict)
    trigger: dict[str, Any] = Field(default_factory=dict)
    policy: Literal["chat", "job"] = "chat"
    agreed: bool = False
    dry: bool = False
    start: str = ""
    pinned: dict[str, Any] = Field(default_factory=dict)
    origin: Origin = "user"
    actor: str = ""
    caller: str = ""
    tenant: str = ""
    sources: list[str] = Field(default_factory=list)
    parent: str = ""
    priority: int = 1
    depth: int = 0
    title: str = ""
    tags: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The workflow's name."""
        return str(self.graph["name"])

    def identity(self, run: str) -> Identity:
        """Return who acts in the run."""
        return Identity(actor=self.actor, caller=self.caller, run=run, tenant=self.tenant)

    def row(self, run: str, created: str) -> Run:
        """Return a run that has not begun, as it is stored."""
        given = ", ".join(f"{name} = {value}" for name, value in self.parameters.items())
        tags = [*self.tags, *(["dry run"] if self.dry else [])]
        return Run(
            run, KIND, "", "", f"{self.name}{f': {given[:2_000]}' if given else ''}", "", "queued", created,
            owner=self.identity(run).owner, title=(self.title or self.name)[:LONGEST_TITLE], origin=self.origin,
            priority=self.priority, parent=self.parent, tags=tags, type="workflow",
        )  # fmt: skip
