"""What comes of events in one host: what they start, and what a person is told of."""

from __future__ import annotations

from anyio.abc import TaskGroup

from homeport_host.database import Database
from homeport_host.events.bus import EventBus
from homeport_host.events.delivering import Deliveries
from homeport_host.events.notifications import Notifications
from homeport_host.events.starting import Starter
from homeport_host.events.subscriptions import Subscriptions
from homeport_shared.changes import ChangeBus
from homeport_shared.clock import Clock, SystemClock


class Reactions:
    """Subscriptions, deliveries and notifications over one bus.

    Args:
        tasks: Runs the starting.
        database: Where all of it is kept.
        bus: The events.
        changes: Told what has news.
        starter: Starts jobs, workflows and agents.
        clock: The time.
        long_run_seconds: The end of a longer task is a notification; 0 = never.
    """

    def __init__(
        self,
        tasks: TaskGroup,
        database: Database,
        bus: EventBus,
        changes: ChangeBus,
        starter: Starter,
        clock: Clock | None = None,
        *,
        long_run_seconds: int = 0,
    ) -> None:
        clock = clock or SystemClock()
        self.starter = starter
        self.subscriptions = Subscriptions(database, changes, clock, starter.problems)
        self.deliveries = Deliveries(tasks, database, bus, changes, clock, self.subscriptions.on, starter.begin)
        self.notifications = Notifications(tasks, database, bus, changes, clock, long_run_seconds=long_run_seconds)
