"""What the host's own MCP server stands on: the services of one host, filled in where the host is put together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from homeport_host.agents.definition import AgentFolder
from homeport_host.agents.runs import RunStore
from homeport_host.agents.service import Runs
from homeport_host.chat.service import Chats
from homeport_host.events.bus import EventBus
from homeport_host.governance.approvals import Approvals
from homeport_host.providers.protocol import ModelInfo
from homeport_host.surface.servers import Registry
from homeport_host.tickets import Tickets
from homeport_shared.audit import AuditLog

Json = dict[str, Any]


class Models(Protocol):
    """The models, as pages and the command line see them."""

    @property
    def mode(self) -> str:
        """LOCAL, CLOUD or HYBRID."""
        ...

    @property
    def default(self) -> str:
        """The default model; empty = none is chosen."""
        ...

    async def models(self, query: str = "") -> list[ModelInfo]:
        """List the models that can be used now."""
        ...

    async def check(self, provider: str) -> None:
        """Make a real call to a provider."""
        ...

    def set_mode(self, mode: Any) -> None:
        """Store the mode."""
        ...

    def set_default(self, name: str) -> None:
        """Store the default model."""
        ...


@dataclass
class HostServices:
    """The services of one host.

    Attributes:
        usage: Totals of model calls by `day`, `model`, `provider`, `agent`, `session` or `user`.
        add_folder: Makes a folder a root of files and has it indexed; returns `{root, job_id}`.
        folders: The folders that were added.
        documents: `{count, indexing}`, or None while the knowledge base is not there.
        pull_model: Starts the download of a local model; returns `{job_id, state}`.
        url: The address of the dashboard; empty when there is none.
        uptime: Seconds since the host started.
    """

    home: Path
    runs: Runs
    run_store: RunStore
    agents: AgentFolder
    chats: Chats
    approvals: Approvals
    registry: Registry
    models: Models
    events: EventBus
    audit: AuditLog
    tickets: Tickets
    usage: Callable[[str], Awaitable[list[Json]]]
    add_folder: Callable[[str, str], Awaitable[Json]]
    folders: Callable[[], list[str]]
    documents: Callable[[], Awaitable[Json | None]]
    pull_model: Callable[[str], Awaitable[Json]]
    url: Callable[[], str]
    uptime: Callable[[], float]
