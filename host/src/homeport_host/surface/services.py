"""What the host's own MCP server stands on: the services of one host, filled in where the host is put together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homeport_host.agents.definition import AgentFolder
from homeport_host.agents.runs import RunStore
from homeport_host.agents.service import Runs
from homeport_host.agents.steering import Steering
from homeport_host.chat.service import Chats
from homeport_host.events.bus import EventBus
from homeport_host.events.reactions import Reactions
from homeport_host.governance.approvals import Approvals
from homeport_host.providers.pulling import Pulling
from homeport_host.providers.router import Models
from homeport_host.providers.usage import UsageStore
from homeport_host.surface.servers import Registry
from homeport_host.tasks.service import Tasks
from homeport_host.tickets import Tickets
from homeport_host.workflows.scheduling import Schedules
from homeport_host.workflows.service import Workflows
from homeport_shared.audit import AuditLog

Json = dict[str, Any]


@dataclass
class HostServices:
    """The services of one host.

    Attributes:
        internet: Whether agents and other programs may use the internet; `set_internet` changes it for good.
        add_folder: Makes a folder a root of files and has it indexed; returns `{root, job_id}`.
        folders: The folders that were added.
        keys: The names of the secrets in the vault.
        documents: `{count, indexing}`, or None while the knowledge base is not there.
        pulling: Downloads of local models.
        url: The address of the dashboard; empty when there is none.
        uptime: Seconds since the host started.
    """

    home: Path
    runs: Runs
    run_store: RunStore
    steering: Steering
    tasks: Tasks
    workflows: Workflows
    schedules: Schedules
    agents: AgentFolder
    chats: Chats
    approvals: Approvals
    registry: Registry
    models: Models
    usage: UsageStore
    events: EventBus
    reactions: Reactions
    audit: AuditLog
    tickets: Tickets
    internet: Callable[[], bool]
    set_internet: Callable[[bool], Awaitable[None]]
    add_folder: Callable[[str, str, bool], Awaitable[Json]]
    folders: Callable[[], list[str]]
    keys: Callable[[], Awaitable[list[str]]]
    documents: Callable[[], Awaitable[Json | None]]
    pulling: Pulling
    url: Callable[[], str]
    uptime: Callable[[], float]
