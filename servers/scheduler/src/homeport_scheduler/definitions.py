"""What a job is: its trigger, its action and its policies, as they are stored, exported and imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from homeport_scheduler.crontab import Dst
from homeport_shared.errors import HomeportError
from homeport_shared.matching import matches

Missed = Literal["skip", "once", "all"]
Overlap = Literal["skip", "queue", "allow"]
OnFailedDependency = Literal["wait", "skip", "run"]
Priority = Literal["low", "normal", "high", "critical"]
TriggerKind = Literal["cron", "interval", "date", "event", "manual"]
Kind = Literal["tool", "agent", "workflow", "event"]
PRIORITIES: dict[Priority, int] = {"low": 0, "normal": 1, "high": 2, "critical": 3}
FORMAT = "homeport.jobs/1"
TASK = "run://"  # what a job comes after is a task of the host when it begins so, otherwise a job
LONGEST_NAME = 120
DAY = 86_400
M = TypeVar("M", bound=BaseModel)
# Limits are checked but not told in the schema: a model that is within reason never meets them.
LARGEST = 64 * 1024  # bytes of one definition
STRICT = ConfigDict(extra="forbid", json_schema_extra=lambda schema: schema.update(additionalProperties=True))


def _between(least: int, most: int) -> AfterValidator:
    def check(value: int) -> int:
        if not least <= value <= most:
            raise ValueError(f"it must be from {least} to {most}")
        return value

    return AfterValidator(check)


def _named(name: str) -> str:
    if not name.strip() or len(name) > LONGEST_NAME:
        raise ValueError(f"a name has 1 to {LONGEST_NAME} characters")
    return name.strip()


class Trigger(BaseModel):
    """When a job runs. One of cron, every, at, event; none of them = on demand only."""

    model_config = STRICT

    cron: str = Field("", description="0 9 * * 1-5; seconds may come first")
    every: str = Field("", description="90s, 15m, 2h, 1d")
    start: str = Field("", description="for every")
    at: str = Field("", description="2026-11-30T09:00")
    event: str = Field("", description="file.*, job.failed, webhook.NAME")
    where: dict[str, Any] = Field(default_factory=dict, description='{"data.path": "*.pdf"}')

    @property
    def kind(self) -> TriggerKind:
        """Which of the five it is."""
        kinds: tuple[tuple[str, TriggerKind], ...] = (
            (self.cron, "cron"),
            (self.every, "interval"),
            (self.at, "date"),
            (self.event, "event"),
        )
        for text, kind in kinds:
            if text:
                return kind
        return "manual"

    def fits(self, event: Mapping[str, Any]) -> bool:
        """Say whether this waits for `event`."""
        return matches(self.event, self.where, event)

    @property
    def text(self) -> str:
        """The trigger in a few words."""
        if self.every:
            return f"every {self.every}"
        return self.cron or self.at or (f"on {self.event}" if self.event else "on demand")


class Action(BaseModel):
    """What a job does: call a tool, give an agent a task, run a workflow, or emit an event.

    {{event.data.x}} is filled in.
    """

    model_config = STRICT

    tool: str = Field("", description="server__tool")
    arguments: dict[str, Any] = Field(default_factory=dict)
    agent: str = ""
    prompt: str = Field("", description="the agent's task")
    tools: list[str] = Field(default_factory=list, description="it may change things with")
    workflow: str = Field("", description="to run, with arguments")
    event: str = Field("", description="to emit, with arguments")

    @property
    def kind(self) -> Kind:
        """Which of the four it is."""
        return "tool" if self.tool else "event" if self.event else "workflow" if self.workflow else "agent"

    @property
    def text(self) -> str:
        """The action in a few words."""
        if self.workflow:
            return f"workflow {self.workflow}"
        return self.tool or (f"emit {self.event}" if self.event else f"{self.agent or 'assistant'}: {self.prompt[:80]}")


class Definition(BaseModel):
    """A job as somebody writes it down. Times are in seconds."""

    model_config = STRICT

    name: Annotated[str, AfterValidator(_named)]
    description: str = ""
    trigger: Trigger = Field(default_factory=lambda: parsed(Trigger, {}))
    action: Action
    time_zone: str = Field("", description="IANA")
    dst: Dst = Field("once", description="at clock changes")
    missed: Missed = Field("once", description="runs missed while off")
    missed_most: Annotated[int, _between(1, 1_000)] = 10
    overlap: Overlap | Literal[""] = Field("", description="when it still runs")
    jitter: Annotated[int, _between(0, DAY)] = 0
    retries: Annotated[int, _between(0, 20)] = 0
    back_off: Annotated[int, _between(0, DAY)] = Field(30, description="doubled each time")
    timeout: Annotated[int, _between(1, DAY)] = 3_600
    after: list[str] = Field(default_factory=list, description="jobs or run://TASK that succeed first")
    on_failed: OnFailedDependency = Field("wait", description="when one of those failed")
    priority: Priority = "normal"
    notify: bool = Field(True, description="when it fails")

    @property
    def overlaps(self) -> Overlap:
        """What becomes of a run while the one before it works: nothing is lost of events unless somebody wants it."""
        return self.overlap or ("queue" if self.trigger.event else "skip")

    @model_validator(mode="after")
    def _fits(self) -> Definition:
        if len(self.model_dump_json()) > LARGEST:
            raise ValueError(f"a job has at most {LARGEST >> 10} KB")
        return self


class Document(BaseModel):
    """Exported jobs: what `import_jobs` takes."""

    format: str = FORMAT
    jobs: list[Definition]


def parsed(model: type[M], value: Any) -> M:
    """Return `value` as `model`.

    Raises:
        HomeportError: `invalid`, naming each field that does not fit.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg']}" for each in error.errors()[:8]]
        raise HomeportError(
            "invalid", f"This does not fit: {'; '.join(wrong)}.", "Correct it as add_job says."
        ) from error
