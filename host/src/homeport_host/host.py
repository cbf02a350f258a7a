"""The host, put together: stores, governance, servers, models, agents and the one endpoint over all of it."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server as LowLevelServer
from starlette.applications import Starlette

from homeport_host import dialects, metrics, process
from homeport_host.agents.admission import Admission
from homeport_host.agents.briefing import Briefing
from homeport_host.agents.definition import AgentFolder
from homeport_host.agents.loop import AgentLoop
from homeport_host.agents.messages import Messages
from homeport_host.agents.recorder import Recorder
from homeport_host.agents.runs import RunStore
from homeport_host.agents.service import KIND, Runs
from homeport_host.agents.steering import Steering
from homeport_host.agents.turns import Parts
from homeport_host.chat.attach import Attaching
from homeport_host.chat.service import Chats
from homeport_host.chat.store import ChatStore
from homeport_host.configuration import HostSettings
from homeport_host.database import Database, refuse_damaged
from homeport_host.documents import Documents
from homeport_host.engine.dbos import LOCAL, DbosEngine
from homeport_host.events.bus import EventBus
from homeport_host.events.feeds import Feeds
from homeport_host.events.reactions import Reactions
from homeport_host.events.starting import Starter
from homeport_host.events.telling import InRuns
from homeport_host.gateway import config
from homeport_host.gateway.catalog import Catalog
from homeport_host.gateway.echoes import Echoes
from homeport_host.gateway.exposure import Exposures
from homeport_host.gateway.front import Front, holder_of
from homeport_host.gateway.http import mcp_app
from homeport_host.gateway.neighbours import HostNeighbours
from homeport_host.gateway.routing import OWN_SERVER, Routing
from homeport_host.gateway.search import ToolIndex
from homeport_host.gateway.serverfile import ServerFile
from homeport_host.gateway.tasks import CallTasks
from homeport_host.gateway.upstreams import Upstreams
from homeport_host.governance.approvals import Approvals
from homeport_host.governance.calls import Caller
from homeport_host.governance.definitions import DefinitionWatch
from homeport_host.governance.dispatch import Dispatcher
from homeport_host.governance.ledger import Ledger
from homeport_host.governance.pins import Pins
from homeport_host.governance.taint import Taints
from homeport_host.orders.calls import KIND as CALL
from homeport_host.orders.calls import CallBody
from homeport_host.orders.gateway import HostGateway
from homeport_host.providers.configured import providers_for
from homeport_host.providers.ollama import OllamaProvider
from homeport_host.providers.pulling import Pulling
from homeport_host.providers.router import Models
from homeport_host.providers.settings import ModelSettings
from homeport_host.providers.usage import UsageStore
from homeport_host.server import build_server
from homeport_host.surface.servers import Registry
from homeport_host.surface.services import HostServices
from homeport_host.tasks.details import Details
from homeport_host.tasks.plans import Planning
from homeport_host.tasks.serverjobs import ServerJobs
from homeport_host.tasks.service import Tasks
from homeport_host.tickets import Tickets
from homeport_host.workflows.body import WorkflowBody
from homeport_host.workflows.journal import Journal
from homeport_host.workflows.library import LIST as WORKFLOWS
from homeport_host.workflows.library import WorkflowLibrary
from homeport_host.workflows.means import Means
from homeport_host.workflows.scheduling import Schedules
from homeport_host.workflows.service import Workflows
from homeport_host.workflows.store import WorkflowStore
from homeport_host.workflows.task import KIND as WORKFLOW
from homeport_shared import identity, settings
from homeport_shared.audit import AuditLog, Entry
from homeport_shared.batching import Batcher
from homeport_shared.changes import ChangeBus
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError
from homeport_shared.identity import ERROR
from homeport_shared.server import Server
from homeport_shared.vault import Vault

logger = logging.getLogger(__name__)
GATHER = 0.05  # seconds that rows nobody waits for wait for more of them
TASKS, JOBS = "task://recent", "scheduler://jobs"
EXPOSE_HEADER = "x-homeport-expose"
# What the host does in one go because a person asked for it: adding a folder, attaching a file, deleting a chat.
OWN_STEPS = (
    "files__add_root", "rag__add_folder", "rag__sync_folder", "rag__add", "rag__create_collection", "rag__delete",
)  # fmt: skip
HOST = Caller("person", "host", approved=OWN_STEPS)


class Host:
    """One running host. Made by `open_host`.

    Args:
        home: The data root.
        url: The address of the HTTP server; empty when there is none.
        tasks: Runs everything that goes on in the background.
    """

    def __init__(self, home: Path, url: str, tasks: TaskGroup) -> None:
        self.home, self.url = home, url
        self._tasks = tasks
        self._started = time.monotonic()
        self.settings = settings.load(HostSettings, "host", home=home)
        folder = home / "host"
        shared = dialects.parse(self.settings.database) if self.settings.database else None
        self.database = Database(shared or folder / "host.db")
        self.worker = process.worker_id(folder) if shared else LOCAL
        self.call_tasks = CallTasks(tasks, self.database, host=self.worker)
        self.audit = AuditLog(folder / "audit.db")
        self.changes = ChangeBus()
        self.tickets = Tickets()
        self.vault = Vault(home)
        self._secrets: set[str] = set()
        self.events = EventBus(
            tasks,
            self.database,
            self.changes,
            per_minute=self.settings.events_per_minute,
            failures_per_hour=self.settings.event_failures_per_hour,
        )
        self._rows = Batcher[Entry](tasks, self._append, gather=GATHER)
        self._govern()
        self._think(folder)

    def _govern(self) -> None:
        """Servers, the catalog over them, and the one way to them."""
        self.upstreams = Upstreams(
            self._tasks,
            home=self.home,
            events=self.events.source,
            gateway=lambda: self.orders,
            neighbours=lambda server: HostNeighbours(server, self.call),
            connect_seconds=self.settings.connect_seconds,
        )
        labels = cast("Mapping[str, Iterable[str]]", self.settings.labels)
        self.catalog = Catalog(self.upstreams, labels)
        self.approvals = Approvals(self.database, self.changes)
        pins = Pins(self.database, lambda server: not self.upstreams.get(server).config.bundled)
        self.exposures = Exposures(self.settings.profiles)
        self.routing = Routing(self.catalog, self.upstreams)
        taints = Taints(self.database)
        self.dispatcher = Dispatcher(
            self.routing,
            self.exposures,
            approvals=self.approvals,
            taints=taints,
            pins=pins,
            ledger=Ledger(self.database),
            record=lambda entry, durable: self._rows.add(entry, durable=durable),
            secrets=lambda: self._secrets,
            internet=lambda: self.settings.internet,
        )
        self.catalog.on_change.append(DefinitionWatch(pins, self.approvals, self._third_party_tools).look)
        self.upstreams.on_change.append(self._tell_servers)
        allowed = self.settings.event_sources
        Echoes(self.upstreams, lambda one: ServerJobs.news(one.resources), lambda: self.changes.updated(TASKS))
        Echoes(self.upstreams, lambda one: JOBS if one.name == "scheduler" else None, self._tell_workflows)
        self.feeds = Feeds(self._tasks, self.upstreams, self.events, allowed, taints.mark, self.worker)

    def _think(self, folder: Path) -> None:
        """Models, agents, runs and conversations."""
        models = settings.load(ModelSettings, "models", home=self.home)
        self.usage = UsageStore(self.database, tasks=self._tasks)
        providers = providers_for(models, self.vault.get)
        self.models = Models(providers, models, self.usage, admit=self.dispatcher.admit_model, home=self.home)
        ollama = cast("OllamaProvider", providers["ollama"])
        self.pulling = Pulling(self._tasks, ollama.library.pull, lambda: self.changes.updated("homeport://models"))
        self.engine = self._engine(folder)
        self.run_store = RunStore(self.database)
        self.recorder = Recorder(self._tasks, self.run_store, self.changes)
        ready, admission = self.upstreams.wait_ready, Admission(self.settings.most_runs)
        self.agents = AgentFolder(self.home / "agents")
        self.messages = Messages(self.database, self.run_store.clock)
        parts = Parts(
            self.models, self.dispatcher, self.run_store, self.recorder, ready, admission, self.agents, self.messages
        )
        self.loop = AgentLoop(parts)
        self.engine.register(KIND, self.loop)
        briefing = Briefing(self.catalog.briefings, self.dispatcher.read_resource)
        self.runs = Runs(
            self.engine, self.run_store, self.recorder, admission, self.agents, lambda: self.models.default, briefing
        )
        self.steering = Steering(self.runs, self.engine, self.run_store, self.recorder, admission)
        attaching = Attaching(self.call, self.home / "uploads")
        self.chats = Chats(ChatStore(self.database), self.runs, attaching, self.changes)
        self.documents = Documents(self.home, self.call, self._ready, self.chats)
        self.engine.on_given_up.append(self.runs.given_up)
        walks = self._run_workflows(parts)
        self._take_orders(admission.ended, walks)
        self.loop.on_done.append(self.chats.ended)
        self.runs.on_cancelled.append(self.chats.ended)
        self.approvals.on_decided.append(self.runs.decided)

    def _engine(self, folder: Path) -> DbosEngine:
        where = self.database.where
        if isinstance(where, Path):
            return DbosEngine(folder / "engine.db", self.database, self._tasks)
        lease = self.settings.lease_seconds
        return DbosEngine(where, self.database, self._tasks, worker=self.worker, lease=lease)

    def _run_workflows(self, parts: Parts) -> WorkflowBody:
        """Workflows, as runs beside those of agents."""
        self.journal = journal = Journal(self.database)
        library = WorkflowLibrary(WorkflowStore(self.database), self.routing, self.agents, self.changes, self.vault.has)
        means = Means(parts, self.engine, self.approvals, self.runs, journal, library.known)
        body = WorkflowBody(means)
        self.engine.register(WORKFLOW, body)
        self.workflows = Workflows(library, self.engine, self.runs, journal, means)
        self.steering.repeat[WORKFLOW] = self.workflows.repeat
        self.steering.on_forgotten += [journal.forget, self.messages.forget]
        self.runs.on_cancelled.append(body.cancelled)
        return body

    def _take_orders(self, ended: Callable[[str], None], walks: WorkflowBody) -> None:
        """What servers order, such as the scheduler, as runs."""
        calls = CallBody(self.dispatcher, self.run_store, self.recorder, self.upstreams.wait_ready, ended)
        self.engine.register(CALL, calls)
        inherit = self.dispatcher.inherit
        self.orders = HostGateway(
            self.engine, self.runs, self.workflows, self.run_store, self.routing, self.events, inherit
        )
        for told in (calls.on_done, self.loop.on_done, walks.on_done, self.runs.on_cancelled):
            told.append(self.orders.ended)
        self.reactions = Reactions(
            self._tasks, self.database, self.events, self.changes, Starter(self.orders, self.call),
            long_run_seconds=self.settings.long_run_seconds,
        )  # fmt: skip
        self.orders.link = self.reactions.deliveries.link
        tell = InRuns(self.events)
        self.recorder.listeners.append(tell.in_run)
        self.approvals.on_held.append(tell.held)
        self.approvals.on_decided.append(tell.decided)

    async def open(self) -> None:
        """Open the stores, connect the servers and go on with what a crash cut off."""
        for store in ("host.db", "audit.db", "engine.db"):  # damage that shows when first needed shows too late
            await anyio.to_thread.run_sync(refuse_damaged, self.home / "host" / store)
        await self.database.open()
        await self.call_tasks.open()
        await anyio.to_thread.run_sync(self._load_secrets)
        self.file = ServerFile(self.home / "mcp.json")
        own = config.ServerConfig(OWN_SERVER, "in-process", build=self._build_own_server)
        for each in (own, *config.bundled(self.settings.isolated), *self.file.configs()):
            self.upstreams.add(each)
        await self.upstreams.wait_ready()
        await self.engine.launch()
        await self.chats.recover()
        await self.reactions.deliveries.open()
        keep = timedelta(days=self.settings.keep_event_days)
        self._tasks.start_soon(self.events.sweep_daily, keep, self.settings.most_events)
        if self.settings.keep_days:
            self._tasks.start_soon(self.steering.sweep_daily, timedelta(days=self.settings.keep_days))

    async def aclose(self) -> None:
        """Write what is still to be written and close the stores; runs go on at the next start."""
        self.orders.close()
        self.feeds.close()
        await self.engine.aclose()
        await self.recorder.drain()
        await self.events.drain()
        await self._rows.drain()
        await self.usage.drain()
        await self.models.aclose()
        await self.database.aclose()
        await self.audit.aclose()

    # Endpoints

    def mcp_app(self, port: int) -> Starlette:
        """Return the ASGI app of `/mcp`; its lifespan must be entered."""
        self._http = self.front(self._caller_over_http)
        return mcp_app(self._http, port=port)

    def person_server(self) -> LowLevelServer[Any]:
        """Return the endpoint of a person in this process, such as the dashboard."""
        self._pages = self.front(lambda _: Caller("person", "dashboard"))
        return self._pages.server

    def front(self, caller_of: Callable[[ServerRequestContext[Any, Any]], Caller]) -> Front:
        """Return an endpoint over everything, for the callers that `caller_of` tells."""
        return Front(
            self.catalog,
            self.dispatcher,
            self.upstreams,
            caller_of,
            tasks=self._tasks,
            index=ToolIndex,
            pinned=self.settings.pinned,
            call_tasks=self.call_tasks,
        )

    def close_streams(self) -> None:
        """End the streams that clients listen on, so that the HTTP server can stop."""
        self._http.listening.close()

    def _caller_over_http(self, context: ServerRequestContext[Any, Any]) -> Caller:
        holder = holder_of(context)
        if holder in {"person", "job"}:
            return Caller("person" if holder == "person" else "job", "command line" if holder == "person" else holder)
        name = holder.removeprefix("client:")
        headers = cast("Mapping[str, str]", getattr(context.request, "headers", None) or {})
        exposure = self.settings.exposure.get(name) or headers.get(EXPOSE_HEADER) or "all"
        return Caller("client", name, exposure=exposure)

    # What the routes beside /mcp need

    async def health(self) -> dict[str, Any]:
        """Whether the host works, without anything private."""
        down = [upstream.name for upstream in self.upstreams.all() if upstream.state == "down"]
        return {"status": "degraded" if down else "ok", "down": down}

    async def metrics(self) -> str:
        """The counters in Prometheus' text format."""
        runs, used = await self.run_store.count(), await self.usage.totals("provider")
        servers = [(upstream.name, upstream.state == "ready") for upstream in self.upstreams.all()]
        waiting, counts = len(await self.approvals.list()), self.events.counts
        return metrics.text(
            [
                ("homeport_uptime_seconds", "Since the host started.", {}, time.monotonic() - self._started),
                ("homeport_approvals_pending", "Calls that wait for a person.", {}, waiting),
                *[("homeport_server_up", "Whether a server is ready.", {"server": name}, up) for name, up in servers],
                *[("homeport_runs", "Runs by state.", {"state": state}, n) for state, n in sorted(runs.items())],
                *[("homeport_model_calls", "Calls of models.", {"provider": u.group}, u.calls) for u in used],
                *[("homeport_events", "Events so far.", {"what": what}, n) for what, n in counts.items()],
                *[("homeport_model_usd", "US dollars spent.", {"provider": u.group}, u.usd) for u in used],
            ]
        )

    async def receive_upload(self, target: str, file: Path, name: str) -> dict[str, Any]:
        """Take over an uploaded file; see `Documents.receive`."""
        return await self.documents.receive(target, file, name)

    async def store_secret(self, name: str, value: str) -> None:
        """Put a secret that a person entered into the vault."""
        await anyio.to_thread.run_sync(self.vault.set, name, value)
        self._secrets.add(value)
        await self.changes.updated("homeport://models", "homeport://setup")

    async def busy(self) -> bool:
        """Whether a run or an indexing job is under way, or a job is to run later."""
        runs = await self.run_store.count()
        documents = await self.documents.counted() or {}
        return bool(runs.get("running") or runs.get("queued") or documents.get("indexing") or await self._automated())

    # The host's own server and what it needs

    async def call(self, tool: str, arguments: dict[str, Any], caller: Caller = HOST) -> dict[str, Any]:
        """Call a tool, for a person unless `caller` says otherwise, through the dispatch path.

        Returns:
            Its structured content.

        Raises:
            HomeportError: What the tool, or policy, says.
        """
        served = identity.current()
        try:
            result = await self.dispatcher.call_tool(caller, tool, arguments)
        finally:  # a server in this process serves it in this task, as somebody else
            identity.enter(served)
        if result.get("isError"):
            meta = cast("dict[str, dict[str, Any]]", result.get("_meta") or {})
            raise HomeportError.from_dict(meta.get(ERROR) or {}, f"{tool} failed: {result['content']}")
        return cast("dict[str, Any]", result.get("structuredContent") or {})

    def _build_own_server(self, context: ServerContext) -> Server:
        context.changes = self.changes
        services = HostServices(
            home=self.home,
            runs=self.runs,
            run_store=self.run_store,
            steering=self.steering,
            tasks=self._tasks_shown(),
            workflows=self.workflows,
            schedules=Schedules(self.workflows.library, self.call, lambda: self._ready("scheduler")),
            agents=self.agents,
            chats=self.chats,
            approvals=self.approvals,
            registry=Registry(self.upstreams, self.catalog, self.file, lambda: self.dispatcher.last_used),
            models=self.models,
            events=self.events,
            reactions=self.reactions,
            audit=self.audit,
            tickets=self.tickets,
            usage=self.usage,
            internet=lambda: self.settings.internet,
            set_internet=self._set_internet,
            add_folder=self.documents.add_folder,
            folders=self.documents.folders,
            keys=lambda: anyio.to_thread.run_sync(self.vault.names),
            documents=self.documents.counted,
            pulling=self.pulling,
            url=lambda: self.url,
            uptime=lambda: time.monotonic() - self._started,
        )
        return build_server(context, services)

    def _tasks_shown(self) -> Tasks:
        """Everything that anybody works on, as people see it."""
        tools = self.routing.tools
        doing, files = self.recorder.doing.get, lambda: self._ready("files")
        loaded = cast("OllamaProvider", self.models.providers["ollama"]).library.running
        details = Details(self.run_store, self.engine, self.journal, doing, self.call, files, loaded)
        jobs = ServerJobs(tools, self.call, self.run_store.clock)
        return Tasks(self.run_store, details, jobs, Planning(self.runs, tools, self.call), self.call)

    async def _set_internet(self, allowed: bool) -> None:
        await anyio.to_thread.run_sync(settings.save, self.home, "host", {"internet": allowed})
        self.settings = self.settings.model_copy(update={"internet": allowed})

    async def _automated(self) -> bool:
        """Whether there are jobs that the scheduler is to start: the host must not leave then."""
        if not self._ready("scheduler"):
            return False
        try:
            return (await self.call("scheduler__status", {}))["status"]["enabled"] > 0
        except HomeportError:
            return False

    def _ready(self, server: str) -> bool:
        return any(upstream.name == server and upstream.state == "ready" for upstream in self.upstreams.all())

    async def _append(self, entries: list[Entry]) -> None:
        await self.audit.append(*entries)
        await self.changes.updated("audit://recent")

    async def _tell_workflows(self) -> None:
        await self.changes.updated(WORKFLOWS)  # they show when their jobs start them

    async def _tell_servers(self) -> None:
        await self.changes.updated("homeport://servers", "homeport://tools", "homeport://status")

    def _third_party_tools(self) -> list[tuple[str, Sequence[Mapping[str, Any]]]]:
        known = [upstream for upstream in self.upstreams.all() if not upstream.config.bundled]
        return [(upstream.name, upstream.tools) for upstream in known if upstream.state == "ready"]

    def _load_secrets(self) -> None:
        names = {*self.vault.names(), "OPENROUTER_API_KEY"}
        self._secrets = {value for name in names if (value := self.vault.get(name))}


@asynccontextmanager
async def open_host(home: Path, *, url: str = "") -> AsyncGenerator[Host]:
    """Run the host of `home` for as long as the block.

    Args:
        home: The data root; the caller holds it (`process.sole_host`).
        url: The address of the HTTP server that the caller starts; empty when there is none.

    Raises:
        HomeportError: When settings, a store or `mcp.json` cannot be used.
    """
    async with anyio.create_task_group() as tasks:
        host = Host(home, url, tasks)
        await host.open()
        try:
            yield host
        finally:
            with anyio.CancelScope(shield=True):
                await host.aclose()
            tasks.cancel_scope.cancel()
