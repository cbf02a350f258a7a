"""Events, what they start, and notifications, as tools and resources; a person writes subscriptions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from pydantic import Field

from homeport_host.events import kinds
from homeport_host.events.bus import Wanted
from homeport_host.events.delivering import MOST_REPLAYED
from homeport_host.events.drafting import drafted, drafting
from homeport_host.events.notifications import Moment
from homeport_host.events.starting import shown
from homeport_host.events.tables import Stored
from homeport_host.surface.results import NO_JSON, Item, Json, Named, Rows, Started, dumped
from homeport_host.surface.services import HostServices
from homeport_host.surface.tools import FOR_PERSONS, changing, destroying, reading
from homeport_shared import identity
from homeport_shared.clock import SystemClock, iso
from homeport_shared.errors import HomeportError
from homeport_shared.events import Event
from homeport_shared.matching import matches
from homeport_shared.server import Server

JSON = "application/json"
Limit = Annotated[int, Field(ge=1, le=1_000)]
NO_IDS: list[int] = []


def register(server: Server, host: HostServices) -> None:
    """Add what concerns events."""
    _looking(server, host)
    _raising(server, host)
    _subscriptions(server, host)
    _drafts(server, host)
    _notifications(server, host)
    _resources(server, host)
    _lists(server, host)


def _looking(server: Server, host: HostServices) -> None:
    @reading(server, "Find events", "person-only")
    async def find_events(
        kinds: str = "*",
        where: Annotated[Json, Field(description='{"data.path": "*.pdf"}')] = NO_JSON,
        correlation: str = "",
        since: str = "",
        until: str = "",
        before: int = 0,
        limit: Limit = 100,
    ) -> Rows:
        """List events, newest first: by type, fields, time, or what led to them."""
        wanted = Wanted(kinds or "*", where, correlation, since, until, before)
        return Rows(rows=[event.as_json() for event in await host.events.latest(limit, wanted)])

    @reading(server, "Event", "person-only")
    async def get_event(event: int) -> Item:
        """Read an event and all that it led to: events, deliveries, runs with their results."""
        return Item(**await _event(host, event))

    @reading(server, "Types of events", "page-only")
    async def event_types() -> Rows:
        """List the types of events: what happened, who raises them, the schema of their data."""
        return Rows(rows=kinds.types())

    @reading(server, "Figures of events", "person-only")
    async def event_statistics() -> Item:
        """Tell how many events of each type there were in the last hour and day, and what went wrong."""
        return Item(**await _statistics(host))

    @reading(server, "Try an event", "person-only")
    async def event_try(kind: str, data: Json = NO_JSON, subject: str = "", definition: Json = NO_JSON) -> Rows:
        """Tell what a sample event would start (subscriptions and jobs) and with which input, or `definition`."""
        return Rows(rows=await _tried(host, Event(kind, subject or "event://sample", data), definition))


def _raising(server: Server, host: HostServices) -> None:
    @changing(server, "Raise an event", "page-only")
    async def event_emit(kind: str, data: Json = NO_JSON, subject: str = "") -> Named:
        """Raise an event of your own, such as report.wanted; subscriptions and jobs may wait for it."""
        who = identity.current()
        place = subject or f"event://{who.run or who.actor or 'person'}"
        await host.events.publish(Event(kind, place, data), source=f"tool:{who.caller or 'person'}")
        await host.events.drain()
        return Named(id=kind, state="raised")

    @changing(server, "Replay events", "person-only", idempotent=True)
    async def event_replay(
        replay_id: Annotated[str, Field(min_length=1, max_length=100)],
        events: Annotated[list[int], Field(description="numbers; empty = by the filter")] = NO_IDS,
        kinds: str = "*",
        where: Json = NO_JSON,
        since: str = "",
        until: str = "",
        subscription: str = "",
    ) -> Item:
        """Let events start their subscriptions again; the same replay_id starts nothing twice."""
        if events:
            found = [await host.events.get(event) for event in events[:MOST_REPLAYED]]
        else:
            found = await host.events.latest(MOST_REPLAYED + 1, Wanted(kinds, where, since=since, until=until))
        reactions = host.reactions
        chosen = (await reactions.subscriptions.get(subscription)).id if subscription else ""
        counts = await reactions.deliveries.replay(found, replay_id, chosen)
        return _item(events=len(found), **counts)


def _subscriptions(server: Server, host: HostServices) -> None:
    known = host.reactions.subscriptions

    @reading(server, "Subscriptions", "person-only")
    async def list_subscriptions() -> Rows:
        """List the subscriptions: type of event, filter, what they start, how many wait, ended and failed."""
        return Rows(rows=await _listed(host))

    @changing(server, "Save a subscription", "person-only")
    async def save_subscription(
        definition: Annotated[Json, Field(description="name, kind, where, start {job | workflow | prompt}, at_once")],
        subscription: str = "",
        enabled: bool = True,
    ) -> Item:
        """Save a new subscription, or another definition of `subscription`: it starts once for each event."""
        return Item(**asdict(await known.save(definition, subscription=subscription, enabled=enabled)))

    @changing(server, "Switch a subscription", "person-only", idempotent=True)
    async def switch_subscription(subscription: str, on: bool) -> Item:
        """Switch a subscription on or off; events that come while it is off start nothing."""
        switched = await known.switch(subscription, on=on)
        host.reactions.deliveries.wake([switched.id])
        return Item(**asdict(switched))

    @destroying(server, "Delete a subscription", "person-only")
    async def delete_subscription(subscription: str) -> Named:
        """Delete a subscription and what it has not started yet."""
        return Named(id=(await known.remove(subscription)).id, state="deleted")


def _drafts(server: Server, host: HostServices) -> None:
    @changing(server, "Draft an automation", "person-only")
    async def automation_draft(sentence: str, model: str = "") -> Started:
        """Let an agent draft a job or a subscription for a plain sentence; automation_drafted gives it."""
        library = host.workflows.library
        tools = [tool for name in library.near(sentence, 12) if (tool := library.known().tool(name))]
        return Started(run_id=await host.runs.start(sentence, **drafting(tools, model)))

    @reading(server, "Drafted automation", "person-only")
    async def automation_drafted(run_id: str) -> Item:
        """Return the draft of a run, checked, not saved: `job` for scheduler__add_job, or `subscription`."""
        kind, definition = drafted(await host.runs.get(run_id))
        return _item(**{kind: definition, "problems": await _problems(host, kind, definition)})


def _notifications(server: Server, host: HostServices) -> None:
    kept = host.reactions.notifications

    @reading(server, "Notifications", "person-only")
    async def list_notifications(unread: bool = False, limit: Limit = 50) -> Item:
        """List what you were told, newest first, and how many are not read."""
        found, count = await kept.list(identity.current().tenant, unread=unread, limit=limit)
        return _item(notifications=[asdict(each) for each in found], unread=count)

    @changing(server, "Mark notifications", "person-only", idempotent=True)
    async def mark_notifications(ids: list[int] = NO_IDS, read: bool = True) -> Item:
        """Mark notifications, or all, as read or not read."""
        return _item(changed=await kept.mark(identity.current().tenant, ids, read=read))

    @changing(server, "Tell me of a run", "person-only", idempotent=True)
    async def notify_me(run_id: str, moments: list[Moment]) -> Item:
        """Be told when a run starts waiting, completes, fails or is cancelled; none = no more."""
        return _item(run_id=run_id, moments=await kept.watch(run_id, identity.current().tenant, moments))

    @reading(server, "What I am told of a run", "person-only")
    async def notified_of(run_id: str) -> Item:
        """Return the moments of a run at which you are told."""
        return _item(run_id=run_id, moments=await kept.watched(run_id, identity.current().tenant))


def _resources(server: Server, host: HostServices) -> None:
    @server.resource("events://recent", title="Recent events", mime_type=JSON)
    async def recent() -> str:
        """The newest events, newest first; the tool list_events pages."""
        found = await host.events.latest()
        return dumped({"events": [event.as_json() for event in found], "next": found[0].seq if found else 0})

    @server.resource("events://{event}", title="Event", mime_type=JSON, meta=FOR_PERSONS)
    async def event(event: str) -> str:
        """An event and all that it led to; also the tool get_event."""
        if not event.isdecimal():
            raise HomeportError("not_found", f"There is no event {event[:40]!r}.", "Events have numbers.")
        return dumped(await _event(host, int(event)))


def _lists(server: Server, host: HostServices) -> None:
    @server.resource("events://subscriptions", title="Subscriptions", mime_type=JSON, meta=FOR_PERSONS)
    async def subscriptions() -> str:
        """The subscriptions; also the tool list_subscriptions."""
        return dumped({"rows": await _listed(host)})

    @server.resource("events://types", title="Types of events", mime_type=JSON)
    async def types() -> str:
        """The types of events; also the tool event_types."""
        return dumped({"rows": kinds.types()})

    @server.resource("events://statistics", title="Figures of events", mime_type=JSON, meta=FOR_PERSONS)
    async def statistics() -> str:
        """Rates and failures; also the tool event_statistics."""
        return dumped(await _statistics(host))

    @server.resource("notifications://recent", title="Notifications", mime_type=JSON, meta=FOR_PERSONS)
    async def notifications() -> str:
        """What you were told; also the tool list_notifications."""
        found, count = await host.reactions.notifications.list(identity.current().tenant)
        return dumped({"notifications": [asdict(each) for each in found], "unread": count})


def _item(**fields: Any) -> Item:
    return Item(**fields)


async def _event(host: HostServices, number: int) -> Json:
    event = await host.events.get(number)
    return {"event": event.as_json(), "chain": await host.reactions.deliveries.chain(event.correlation)}


async def _statistics(host: HostServices) -> Json:
    names = ("published", "refused", "started", "failed", "dropped")
    return {
        "kinds": await host.events.rates(),
        "since_start": {name: host.events.counts[name] for name in names},
    }


async def _listed(host: HostServices) -> list[Json]:
    rows = await host.reactions.subscriptions.list()
    return [{**asdict(each), "starts": each.starts.text, "counts": counts} for each, counts in rows]


async def _tried(host: HostServices, event: Event, definition: Json) -> list[Json]:
    known = kinds.known(event.kind)
    kinds.check(event, known.sources[0] if known and known.sources else "person")
    sample = Stored(0, iso(SystemClock().now()), event.kind, event.subject, event.data).as_json()
    if definition:
        given, problems = await host.reactions.subscriptions.check(definition)
        fits = matches(given.kind, given.where, sample)
        return [{"name": given.name, "would_start": fits and not problems, "problems": problems,
                 "input": shown(given.start, sample)}]  # fmt: skip
    rows: list[Json] = []
    for each, _ in await host.reactions.subscriptions.list():
        fits = matches(each.kind, each.where, sample)
        problems = await host.reactions.starter.problems(each.starts) if fits else []
        starts = fits and each.enabled and not problems
        rows.append({"id": each.id, "name": each.name, "enabled": each.enabled, "would_start": starts,
                     "problems": problems, "input": shown(each.starts, sample) if fits else None})  # fmt: skip
    return [*rows, *await host.reactions.starter.waiting_jobs(sample)]


async def _problems(host: HostServices, kind: str, definition: Json) -> list[str]:
    try:
        if kind == "subscription":
            return (await host.reactions.subscriptions.check(definition))[1]
        return (await host.reactions.starter.checked_job(definition))["problems"]
    except HomeportError as error:
        return [str(error)]
