"""The section `host` of `homeport.toml`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from homeport_host.governance.calls import Label


class HostSettings(BaseModel):
    """What clients are shown, and how servers are run."""

    model_config = ConfigDict(extra="forbid")

    exposure: dict[str, str] = Field(
        default_factory=dict[str, str], description="client name → what it is shown: all, search or profile:NAME"
    )
    profiles: dict[str, list[str]] = Field(
        default_factory=dict[str, list[str]], description="profile name → patterns of tool names, such as files__*"
    )
    pinned: list[str] = Field(
        default_factory=list[str], description="tools that the exposure `search` shows besides its own three"
    )
    labels: dict[str, list[Label]] = Field(
        default_factory=dict[str, list[Label]], description="tool name → labels that replace the tool's own"
    )
    internet: bool = Field(False, description="agents and other programs may search and read the web")
    connect_seconds: float = Field(
        60.0, gt=0, description="how long a server may take to introduce itself and to list what it has"
    )
    most_runs: dict[str, int] = Field(
        default_factory=lambda: {"job": 4}, description="kind of run (chat, ask, job) → how many may work at once"
    )
    keep_days: int = Field(90, ge=0, description="days until an ended run is forgotten; 0 = never")
    keep_event_days: int = Field(30, ge=1, description="days until an event is forgotten")
    most_events: int = Field(100_000, ge=1_000, description="how many events are kept at most")
    events_per_minute: int = Field(600, ge=0, description="more events than these raise an alert; 0 = never")
    event_failures_per_hour: int = Field(
        20, ge=0, description="more refused events and failed starts than these raise an alert; 0 = never"
    )
    event_sources: dict[str, list[str]] = Field(
        default_factory=dict[str, list[str]],
        description="server of somebody else → patterns of types of events that it may raise; others may raise none",
    )
    long_run_seconds: int = Field(600, ge=0, description="the end of a longer task is a notification; 0 = never")
    database: str = Field(
        "",
        description="address of a PostgreSQL database for runs and chats; empty = SQLite in the data root",
    )
    lease_seconds: float = Field(
        20.0, ge=1, description="with PostgreSQL: how long a host may be silent before another takes over its runs"
    )
    isolated: list[str] = Field(
        default_factory=list[str], description="bundled servers that run in a process of their own"
    )
