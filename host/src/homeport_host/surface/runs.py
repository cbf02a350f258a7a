"""Runs of agents, and the agents themselves, as tools and resources."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import asdict, replace
from typing import Annotated, Any

from pydantic import Field

from homeport_host.agents.runs import Run, Wanted, not_found
from homeport_host.agents.steering import Action
from homeport_host.agents.task import RunKind
from homeport_host.surface.filters import Several, wanted
from homeport_host.surface.results import (
    NO_JSON,
    NONE,
    AgentList,
    Item,
    Json,
    Rows,
    RunEvents,
    RunList,
    Started,
    dumped,
    run_json,
)
from homeport_host.surface.services import HostServices
from homeport_host.surface.tools import changing, destroying, reading
from homeport_host.tasks.serverjobs import SEPARATOR
from homeport_shared import identity
from homeport_shared.errors import HomeportError
from homeport_shared.server import Server

Priority = Annotated[int, Field(ge=0, le=3)]
START_SECONDS = 30.0  # how long a tool that is to be allowed is waited for, while servers are starting


def register(server: Server, host: HostServices) -> None:
    """Add what concerns runs and agents."""
    _starting(server, host)
    _steering(server, host)
    _watching(server, host)
    _agents(server, host)
    _resources(server, host)


def _starting(server: Server, host: HostServices) -> None:
    @changing(server, "Start a run")
    async def run_start(
        prompt: str,
        agent: str = "",
        model: str = "",
        kind: RunKind = "ask",
        tools: Annotated[Sequence[str], Field(description="patterns that narrow the agent's tools")] = NONE,
        yes: Annotated[Sequence[str], Field(description="tools allowed beforehand")] = NONE,
        limits: dict[str, Any] = NO_JSON,
        instructions: str = "",
        num_ctx: Annotated[int, Field(ge=0)] = 0,
        idempotency_key: str = "",
        title: str = "",
        priority: Priority = 1,
        after: Annotated[Sequence[str], Field(description="runs to complete first")] = NONE,
        tags: Sequence[str] = NONE,
        interactive: Annotated[bool, Field(description="somebody answers approvals")] = True,
    ) -> Started:
        """Let an agent do something; returns at once. Follow `run_events`."""
        by_person = identity.current().caller == "person"
        if yes and not by_person:
            raise HomeportError("denied", "Only a person allows tools beforehand.", "Leave `yes` empty.")
        await _know(host, yes)
        run = await host.runs.start(
            prompt,
            agent=agent,
            model=model,
            kind=kind if by_person else "chat",
            tools=tuple(tools),
            yes=tuple(yes),
            limits=limits,
            instructions=instructions,
            num_ctx=num_ctx,
            interactive=interactive,
            idempotency_key=idempotency_key,
            title=title,
            priority=priority,
            after=tuple(after),
            tags=tuple(tags),
        )
        return Started(run_id=run)


async def _know(host: HostServices, tools: Sequence[str]) -> None:
    """Refuse tools that nobody offers, after waiting for their servers where these are starting."""

    def unknown() -> list[str]:
        return [name for name in tools if host.registry.catalog.tool(name) is None]

    if servers := {name.partition("__")[0] for name in unknown()}:
        await host.registry.upstreams.wait_ready(START_SECONDS, servers)
    if missing := unknown():
        raise HomeportError("not_found", f"There is no tool {missing[0]!r} to allow.", "See: homeport tools.")


def _steering(server: Server, host: HostServices) -> None:
    @changing(server, "Cancel a run")
    async def run_cancel(run_id: str) -> Item:
        """Stop a run and the call that it is in."""
        await _own(host, run_id)
        return Item(**run_json(await host.runs.cancel(run_id)))

    @changing(server, "Steer runs")
    async def run_steer(
        run_ids: Annotated[list[str], Field(min_length=1, max_length=500)],
        action: Action,
        step: Annotated[int, Field(ge=0, description="retry: from this recorded step on")] = 0,
    ) -> Rows:
        """Pause, resume, cancel or retry (as new) runs; each row tells how it went."""
        return Rows(rows=[await _told(run, _steered(host, run, action, step)) for run in run_ids])

    @destroying(server, "Forget runs", "person-only")
    async def run_forget(run_ids: Annotated[list[str], Field(min_length=1, max_length=500)]) -> Rows:
        """Delete ended runs with their logs; each row tells how it went."""
        return Rows(rows=[await _told(run, _forgotten(host, run)) for run in run_ids])

    @changing(server, "Label a run", idempotent=True)
    async def run_label(
        run_id: str,
        title: str = "",
        priority: Priority | None = None,
        tags: list[str] | None = None,
        agent: str = "",
    ) -> Item:
        """Change title, tags, priority (3 critical) or, before it begins, agent."""
        await _own(host, run_id)
        labelled = await host.steering.label(run_id, title=title, priority=priority, tags=tags, agent=agent)
        return Item(**run_json(labelled))


def _watching(server: Server, host: HostServices) -> None:
    @reading(server, "Run")
    async def run_get(run_id: str) -> Item:
        """Read a run: state, answer, citations, usage, error."""
        return Item(**run_json(await _own(host, run_id)))

    @reading(server, "Events of a run")
    async def run_events(run_id: str, after: int = 0, limit: Annotated[int, Field(ge=1, le=2000)] = 500) -> RunEvents:
        """Read what happened in a run after event `after`."""
        return RunEvents(**await _events(host, run_id, after, limit))

    @reading(server, "Steps of a run")
    async def run_steps(run_id: str) -> Rows:
        """List a run's recorded steps."""
        await _own(host, run_id)
        return Rows(rows=await host.runs.steps(run_id))

    @reading(server, "Runs")
    async def list_runs(
        state: Several = "",
        kind: str = "",
        agent: str = "",
        tag: str = "",
        parent: str = "",
        query: str = "",
        since: str = "",
        until: str = "",
        limit: Annotated[int, Field(ge=1, le=200)] = 50,
        cursor: str = "",
    ) -> RunList:
        """List runs, newest first, counted by state."""
        owner = identity.current().owner
        chosen = wanted(
            owner=owner, state=state, kind=kind, agent=agent, tag=tag, parent=parent, query=query, since=since,
            until=until,
        )  # fmt: skip
        page, following = await host.runs.list(chosen, limit=limit, cursor=cursor)
        counts = await host.run_store.count(replace(chosen, states=()))
        return RunList(runs=[run_json(run) for run in page], counts=counts, next=following)


def _agents(server: Server, host: HostServices) -> None:
    @reading(server, "Agents")
    async def list_agents() -> AgentList:
        """List the agents with what they are for."""
        return AgentList(agents=_agent_list(host))

    @reading(server, "Agent")
    async def get_agent(name: str) -> Item:
        """Read an agent and its file."""
        agent = host.agents.get(name).model_dump(mode="json")
        return Item(**agent | {"markdown": host.agents.markdown(name)})

    @changing(server, "Save agent", "person-only")
    async def save_agent(name: str, markdown: str) -> Item:
        """Store an agent: Markdown with YAML front matter."""
        saved = host.agents.save(name, markdown)
        await server.homeport.changes.updated("homeport://agents")
        return Item(**saved.model_dump(mode="json"))


def _resources(server: Server, host: HostServices) -> None:
    @server.resource("homeport://agents", title="Agents", mime_type="application/json")
    async def agents() -> str:
        """The agents with what they are for."""
        return dumped({"agents": _agent_list(host)})

    @server.resource("run://recent", title="Runs", mime_type="application/json")
    async def recent() -> str:
        """The latest runs."""
        page, following = await host.runs.list(Wanted(identity.current().owner))
        return dumped({"runs": [run_json(run) for run in page], "next": following})

    @server.resource("run://{run_id}", title="Run", mime_type="application/json")
    async def run(run_id: str) -> str:
        """One run."""
        return dumped(run_json(await _own(host, run_id)))

    @server.resource("run://{run_id}/steps", title="Steps of a run", mime_type="application/json")
    async def steps(run_id: str) -> str:
        """The recorded steps of a run."""
        await _own(host, run_id)
        return dumped({"steps": await host.runs.steps(run_id)})

    @server.resource("run://{run_id}/events", title="Events of a run", mime_type="application/json")
    async def events(run_id: str) -> str:
        """The first 2,000 events of a run; read on with /events/{after}."""
        return dumped(await _events(host, run_id, 0, 2_000))

    @server.resource("run://{run_id}/events/{after}", title="Later events of a run", mime_type="application/json")
    async def events_after(run_id: str, after: int) -> str:
        """The events of a run after a number."""
        return dumped(await _events(host, run_id, after, 2_000))


async def _own(host: HostServices, run: str) -> Run:
    """Return a run; who is no person finds only those that it started itself."""
    found, asking = await host.runs.get(run), identity.current().owner
    if asking and found.owner != asking:
        raise not_found(run)
    return found


async def _steered(host: HostServices, run: str, action: Action, step: int) -> Json:
    if SEPARATOR in run:
        return await _stopped(host, run, action)
    await _own(host, run)
    now = await host.steering.act(run, action, step=step)
    return {"run_id": now, "state": (await host.runs.get(now)).state, "error": None}


async def _stopped(host: HostServices, job: str, action: Action) -> Json:
    """Cancel the job of a server, which only people see here; nothing else can be done with it."""
    if identity.current().owner:
        raise not_found(job)
    if action != "cancel":
        raise HomeportError("conflict", f"{job} is work of a server: it can only be cancelled.", "Use its own page.")
    return {"run_id": job, "state": (await host.tasks.jobs.cancel(job))["state"], "error": None}


async def _forgotten(host: HostServices, run: str) -> Json:
    await host.steering.forget(run)
    return {"run_id": run, "state": "forgotten", "error": None}


async def _told(run: str, work: Awaitable[Json]) -> Json:
    """Wait for what is done with one of several runs; a failure is its row and does not stop the others."""
    try:
        return await work
    except HomeportError as error:
        return {"run_id": run, "state": "", "error": error.as_dict()}


async def _events(host: HostServices, run: str, after: int, limit: int) -> Json:
    await _own(host, run)
    events, row = await host.runs.events(run, after=after, limit=limit)
    last = events[-1].seq if events else after
    return {"events": [asdict(event) for event in events], "next": last, "state": row.state}


def _agent_list(host: HostServices) -> list[Json]:
    agents = [host.agents.get(name) for name in host.agents.names()]
    return [agent.model_dump(mode="json", include={"name", "title", "description", "model"}) for agent in agents]
