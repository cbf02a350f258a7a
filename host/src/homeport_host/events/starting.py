"""Start what a subscription says: a job of the scheduler, a workflow, or an agent with a task."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from homeport_host.events.delivering import Delivery
from homeport_host.events.subscriptions import Start, Subscription
from homeport_host.events.tables import Stored
from homeport_host.governance.taint import of_server
from homeport_host.orders.gateway import HostGateway
from homeport_shared.errors import HomeportError
from homeport_shared.gateway import Order
from homeport_shared.matching import fill, matches, told

Json = dict[str, Any]
Call = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


class Starter:
    """Starts durable runs for events.

    Args:
        orders: Starts agents and workflows, under the policy for jobs.
        call: Calls a tool of a server, for the person who saved the subscription.
    """

    def __init__(self, orders: HostGateway, call: Call) -> None:
        self._orders = orders
        self._call = call

    async def problems(self, start: Start) -> list[str]:
        """Say what speaks against starting this; nothing is started."""
        if not start.job:
            return await self._orders.problems(_order(start, "check", "", {}))
        try:
            await self._call("scheduler__get_job", {"job": start.job})
        except HomeportError as error:
            return [str(error)]
        return []

    async def checked_job(self, definition: dict[str, Any]) -> dict[str, Any]:
        """Return what the scheduler says of a job; nothing is saved."""
        return await self._call("scheduler__validate_job", {"definition": definition})

    async def begin(self, subscription: Subscription, event: Stored, delivery: Delivery) -> str:
        """Start it, once under the delivery's id; return the run.

        Raises:
            HomeportError: Why it cannot be started.
        """
        start, data = subscription.starts, event.as_json()
        if start.job:
            started = await self._call("scheduler__start_job", {"job": start.job, "event": data, "key": delivery.id})
            return str(started["run_id"])
        return await self._orders.accepted(_order(start, delivery.id, subscription.name, data))

    async def waiting_jobs(self, event: Json) -> list[Json]:
        """Return the jobs that wait for events: whether this one would start each, and with which input."""
        try:
            listed = (await self._call("scheduler__list_jobs", {"trigger": "event", "limit": 200}))["jobs"]
            if not listed:
                return []  # without names, all jobs would be exported
            names = [job["id"] for job in listed]
            exported = (await self._call("scheduler__export_jobs", {"names": names}))["document"]["jobs"]
        except HomeportError:
            return []  # there is no scheduler, or it restarts
        return [await self._tried(job, each, event) for job, each in zip(listed, exported, strict=True)]

    async def _tried(self, job: Json, definition: Json, event: Json) -> Json:
        trigger = definition["trigger"]
        fits = matches(trigger["event"], trigger.get("where", {}), event)
        problems = cast("list[str]", (await self.checked_job(definition))["problems"] if fits else [])
        return {
            "id": job["id"],
            "name": job["name"],
            "job": True,
            "enabled": job["enabled"],
            "would_start": fits and job["enabled"] and not problems,
            "problems": problems,
            "input": _filled(definition["action"], event) if fits else None,
        }


def _filled(action: Json, event: Json) -> Json:
    """Return what a job does for an event, as a trial shows it."""
    arguments = fill(action.get("arguments", {}), event)
    if action.get("workflow"):
        return {"workflow": action["workflow"], "parameters": arguments}
    if action.get("prompt"):
        return {"agent": action.get("agent") or "assistant", "prompt": told(action["prompt"], event)}
    return {name: action[name] for name in ("tool", "event") if action.get(name)} | {"arguments": arguments}


def shown(start: Start, event: Json) -> Json:
    """Return what would be started with which input, as a trial shows it."""
    if start.job:
        return {"job": start.job, "event": event}
    if start.workflow:
        return {"workflow": start.workflow, "parameters": fill(start.parameters, event)}
    return {"agent": start.agent or "assistant", "prompt": told(start.prompt, event)}


def _order(start: Start, id: str, title: str, event: dict[str, Any]) -> Order:
    return Order(
        id=id,
        title=title,
        workflow=start.workflow,
        arguments=fill(start.parameters, event) if event else start.parameters,
        agent=start.agent,
        prompt=told(start.prompt, event) if event and start.prompt else start.prompt,
        tools=tuple(start.tools),
        agreed=True,  # only a person saves subscriptions
        origin="event",
        sources=_sources(event),
        event=event,
    )


def _sources(event: dict[str, Any]) -> tuple[str, ...]:
    """Return whose words are in an event: those of the run it happened in, and of the server that tells it."""
    cause, server = str(event.get("cause", "")), str(event.get("source", ""))
    return (*filter(None, [cause]), *([of_server(server)] if server else []))
