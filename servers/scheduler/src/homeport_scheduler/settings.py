"""The settings of the scheduler."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class SchedulerSettings(BaseModel):
    """Run jobs on time, on events or on demand, over MCP. Changes in the file count within seconds."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = Field(default=True, description="Run jobs; off = nothing starts by itself.")
    time_zone: str = Field(
        default="", description="Time zone of jobs that name none, such as Europe/Berlin; empty = the system's."
    )
    max_concurrent: int = Field(default=8, ge=1, le=2_000, description="The most runs at the same time.")
    max_tools: int = Field(default=8, ge=1, le=2_000, description="The most tool calls at the same time.")
    max_agents: int = Field(default=2, ge=1, le=200, description="The most runs of agents at the same time.")
    history_days: int = Field(default=90, ge=1, description="How long runs and events are kept, in days.")
    most_events: int = Field(default=20_000, ge=100, description="The most events that are kept for dry runs.")
    servers: str = Field(
        default="",
        description="File with the MCP servers that jobs call when the scheduler runs alone, as desktop clients have "
        "it (mcpServers); empty = mcp.json in the data folder. Counts from the next start.",
    )
    watch: list[str] = Field(
        default_factory=list,
        description="Folders whose changes are events (file.created, …) for jobs. Counts from the next start.",
    )
    webhooks: str = Field(
        default="",
        description="Loopback HOST:PORT where POST /hooks/NAME is an event webhook.NAME; empty = off. "
        "Counts from the next start.",
    )
