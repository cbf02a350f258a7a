"""What a job is: its trigger, its action and its policies, as they are stored, exported and imported."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from homeport_scheduler.crontab import Dst

Missed = Literal["skip", "once", "all"]
Overlap = Literal["skip", "queue", "allow"]
OnFailedDependency = Literal["wait", "skip", "run"]
Priority = Literal["low", "normal", "high", "critical"]
TriggerKind = Literal["cron", "interval", "date", "event", "manual"]
Kind = Literal["tool", "agent", "event"]
PRIORITIES: dict[Priority, int] = {"low": 0, "normal": 1, "high": 2, "critical": 3}
FORMAT = "homeport.jobs/1"
Text = Annotated[str, Field(max_length=10_000)]


class Trigger(BaseModel):
    """When a job runs. One of cron, every, at, event; none of them = on demand only."""

    model_config = ConfigDict(extra="forbid")

    cron: str = Field("", max_length=200, description="0 9 * * 1-5, seconds may come first, or @daily")
    every: str = Field("", max_length=60, description="90s, 15m, 2h, 1d")
    start: str = Field("", max_length=60, description="with every: where counting begins")
    at: str = Field("", max_length=60, description="one date and time, 2026-11-30T09:00")
    event: str = Field("", max_length=200, description="pattern of event kinds: file.*, job.failed, webhook.NAME")
    where: dict[str, Any] = Field(
        default_factory=dict, description='with event: field → pattern, such as {"data.path": "*.pdf"}'
    )

    @property
    def kind(self) -> TriggerKind:
        """Which of the five it is."""
        kinds: tuple[tuple[str, TriggerKind], ...] = (
            (self.cron, "cron"),
            (self.every, "interval"),
            (self.at, "date"),
            (self.event, "event"),
        )
        return next((kind for text, kind in kinds if text), "manual")

    @property
    def text(self) -> str:
        """The trigger in a few words."""
        if self.every:
            return f"every {self.every}"
        return self.cron or self.at or (f"on {self.event}" if self.event else "on demand")


class Action(BaseModel):
    """What a job does: call a tool, give an agent a task, or emit an event. {{event.data.x}} is filled in."""

    model_config = ConfigDict(extra="forbid")

    tool: str = Field("", max_length=200, description="server__tool")
    arguments: dict[str, Any] = Field(default_factory=dict)
    agent: str = Field("", max_length=100)
    prompt: Text = Field("", description="the agent's task")
    tools: list[str] = Field(default_factory=list, description="tools that the agent may change things with")
    event: str = Field("", max_length=100, description="kind of the event to emit; arguments are its data")

    @property
    def kind(self) -> Kind:
        """Which of the three it is."""
        return "tool" if self.tool else "event" if self.event else "agent"

    @property
    def text(self) -> str:
        """The action in a few words."""
        return self.tool or (f"emit {self.event}" if self.event else f"{self.agent or 'assistant'}: {self.prompt[:80]}")


class Definition(BaseModel):
    """A job as somebody writes it down."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=120)
    description: Text = ""
    trigger: Trigger = Field(default_factory=Trigger)
    action: Action
    time_zone: str = Field("", max_length=60, description="IANA; empty = the default")
    dst: Dst = Field("once", description="fixed times on the days the clocks change")
    missed: Missed = Field("once", description="runs missed while off")
    missed_most: int = Field(10, ge=1, le=1000)
    overlap: Overlap = Field("skip", description="when it still runs")
    jitter: int = Field(0, ge=0, le=86_400, description="seconds")
    retries: int = Field(0, ge=0, le=20)
    back_off: int = Field(30, ge=0, le=86_400, description="seconds, doubled each time")
    timeout: int = Field(3_600, ge=1, le=86_400, description="seconds")
    after: list[str] = Field(default_factory=list, max_length=50, description="jobs that must have succeeded")
    on_failed: OnFailedDependency = Field("wait", description="when one of those failed")
    priority: Priority = "normal"
    notify: bool = Field(True, description="tell a person when it fails")


class Document(BaseModel):
    """Exported jobs: what `import_jobs` takes."""

    format: str = FORMAT
    jobs: list[Definition]
