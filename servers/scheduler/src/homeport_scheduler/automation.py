"""The scheduler as its settings make it: jobs, the loop that starts them, and the sensors."""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio.to_thread

from homeport_scheduler.announcing import Announcer
from homeport_scheduler.choosing import Limits
from homeport_scheduler.jobs import Jobs
from homeport_scheduler.records import FINAL
from homeport_scheduler.results import RunRow
from homeport_scheduler.scheduler import Scheduler
from homeport_scheduler.schedules import zone_of
from homeport_scheduler.sensors import Webhooks, folders_of, notes_of, secret_in
from homeport_scheduler.settings import SchedulerSettings
from homeport_scheduler.showing import Showing
from homeport_scheduler.store import Books, Store
from homeport_scheduler.ticking import Rules, skipped
from homeport_scheduler.transfer import Transfer
from homeport_shared.bursts import Batch
from homeport_shared.clock import iso
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError
from homeport_shared.gateway import Gateway
from homeport_shared.peers import Peers
from homeport_shared.settings import FILE, SettingList, changed, save, shown

logger = logging.getLogger(__name__)
Serve = Callable[[Any, str], Awaitable[None]]


class Automation:
    """Everything behind the tools.

    Args:
        context: The server's context; the loop and the sensors run in its task group.
        serve: Serves an ASGI application on HOST:PORT, for webhooks.

    Attributes:
        jobs: Makes and changes jobs.
        transfer: Exports and imports them.
        showing: Shows jobs and runs.
    """

    def __init__(self, context: ServerContext, serve: Serve) -> None:
        self._context = context
        self._settings = _Settings(context)
        settings = self._settings.now()
        file = Path(settings.servers).expanduser() if settings.servers else context.home / "mcp.json"
        if context.key and context.gateway is None:
            raise HomeportError(
                "unsupported", "The scheduler cannot run in a process of its own.", "Take it out of host.isolated."
            )
        gateway: Gateway = context.gateway or Peers(file, context.tasks)
        self._gateway = gateway
        self._store = Store(context.folder / "scheduler.db")
        context.closing(self._store.aclose)
        announcer = Announcer(context.changes)
        self._scheduler = Scheduler(context, self._store, gateway, announcer, self._settings.rules)
        self._announcer = announcer
        self.jobs = Jobs(context, self._store, gateway, announcer, self._settings.rules, self._scheduler.wake)
        self.transfer = Transfer(self.jobs, self._store)
        self.showing = Showing(context, self._store, gateway, self._settings.rules, lambda: self._scheduler.problem)
        for work in (announcer.run, self._scheduler.run, self._scheduler.follow):
            context.tasks.start_soon(work)
        if settings.watch:
            context.tasks.start_soon(self._watch, settings.watch)
        if settings.webhooks:
            context.tasks.start_soon(self._hook, settings.webhooks, serve)

    async def stop(self, identifier: str) -> RunRow:
        """Stop a run, be it waiting or under way; one that has ended stays as it is.

        Raises:
            HomeportError: `not_found`.
        """
        now = self._context.clock.now()

        def work(books: Books) -> bool:
            run = books.run(identifier)
            if run is None or run.state in FINAL:
                return False
            if run.state == "queued":
                books.change(replace(skipped(run, now, "cancelled", "It was stopped."), state="cancelled"))
                return False
            books.change(replace(run, category="stopping"))
            return True

        if await self._store.write(work):
            self._scheduler.wake()
        self._announcer.changed("scheduler://runs", f"scheduler://runs/{identifier}")
        return await self.showing.run(identifier)

    def configuration(self) -> SettingList:
        """Return every setting with its value, its default and what it means."""
        return shown(self._settings.now(), self._context.flags)

    async def configure(self, values: Mapping[str, Any]) -> SettingList:
        """Check settings and store them; most are in force at once.

        Raises:
            HomeportError: `invalid`, when a value does not fit; `denied`, when the command line says otherwise.
        """
        wanted = changed(self._settings.now(), values, self._context.flags)
        zone_of(wanted.time_zone or system_zone())
        kept = {name: getattr(wanted, name) for name in values}
        await anyio.to_thread.run_sync(save, self._context.home, self._context.name, kept)
        self._scheduler.wake()
        self._announcer.changed("scheduler://status", "scheduler://settings")
        return self.configuration()

    async def _watch(self, names: list[str]) -> None:
        from homeport_shared.watching import watch  # watchdog is loaded only where folders are watched

        folders = await anyio.to_thread.run_sync(folders_of, names)

        async def tell(batch: Batch) -> None:
            await self._scheduler.emit(*notes_of(batch, iso(self._context.clock.now())))

        await watch(lambda: folders, tell, ignored=[self._context.home])

    async def _hook(self, where: str, serve: Serve) -> None:
        secret = await anyio.to_thread.run_sync(secret_in, self._context.folder / "webhook-secret")
        try:
            await serve(Webhooks(secret, self._scheduler.emit, self._context.clock), where)
        except HomeportError as error:  # a port that somebody else has must not stop the jobs
            logger.error("webhooks are off: %s", error)


class _Settings:
    """The settings, read again when the file changed."""

    def __init__(self, context: ServerContext) -> None:
        self._context = context
        self._file = context.home / FILE
        self._changed = self._stamp()
        self._settings = context.settings(SchedulerSettings)

    def now(self) -> SchedulerSettings:
        """Return the settings as the file has them now; while it does not fit, as they were before."""
        stamp = self._stamp()
        if stamp != self._changed:
            self._changed = stamp
            try:
                self._settings = self._context.settings(SchedulerSettings)
            except HomeportError:  # somebody is in the middle of editing it
                return self._settings
        return self._settings

    def rules(self) -> Rules:
        """Return what the loop needs of them."""
        settings = self.now()
        return Rules(
            enabled=settings.enabled,
            zone=settings.time_zone or system_zone(),
            limits=Limits(settings.max_concurrent, settings.max_tools, settings.max_agents),
            keep=timedelta(days=settings.history_days),
            most_events=settings.most_events,
        )

    def _stamp(self) -> int:
        try:
            return self._file.stat().st_mtime_ns
        except OSError:
            return 0


@functools.cache
def system_zone() -> str:
    """Return the name of the system's time zone; UTC where it has none."""
    import tzlocal

    try:
        return tzlocal.get_localzone_name() or "UTC"
    except (LookupError, ValueError):  # TZ is set to something that no zone is called
        return "UTC"
