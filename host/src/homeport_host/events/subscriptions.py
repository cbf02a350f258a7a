"""Who wants to hear of which events, and what these start: written down, checked, kept."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from sqlalchemy import Connection, Row, delete, func, select
from sqlalchemy.exc import IntegrityError

from homeport_host.database import Database
from homeport_host.events.kinds import check_pattern
from homeport_host.events.tables import deliveries, subscriptions
from homeport_shared.changes import ChangeBus
from homeport_shared.clock import Clock, iso
from homeport_shared.errors import HomeportError

SUBSCRIPTIONS = "events://subscriptions"


class Start(BaseModel):
    """What an event starts: a job, a workflow, or an agent with a task. {{event.data.x}} is filled in."""

    model_config = ConfigDict(extra="forbid")

    job: str = Field("", description="name of a job of the scheduler")
    workflow: str = Field("", description="name of an active workflow")
    parameters: dict[str, Any] = Field(default_factory=dict[str, Any], description="of the workflow")
    prompt: str = Field("", description="the agent's task")
    agent: str = Field("", description="empty = the assistant")
    tools: list[str] = Field(default_factory=list[str], description="the agent may change things with")

    @model_validator(mode="after")
    def _is_one(self) -> Start:
        if sum(map(bool, (self.job, self.workflow, self.prompt))) != 1:
            raise ValueError("it starts one of job, workflow and prompt")
        return self

    @property
    def text(self) -> str:
        """It in a few words."""
        if self.job:
            return f"job {self.job}"
        return f"workflow {self.workflow}" if self.workflow else f"{self.agent or 'assistant'}: {self.prompt[:80]}"


class Definition(BaseModel):
    """A subscription as somebody writes it down."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: Annotated[str, Field(min_length=1, max_length=120)]
    kind: str = Field(description="type of event, or a pattern such as file.*")
    where: dict[str, Any] = Field(default_factory=dict[str, Any], description='{"data.path": "*.pdf"}')
    start: Start
    at_once: Annotated[int, Field(ge=1, le=100, description="how many may be unfinished; the others wait")] = 5


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription as it is kept; `start` as `Start` writes it."""

    id: str
    name: str
    kind: str
    where: dict[str, Any]
    start: dict[str, Any]
    at_once: int
    enabled: bool
    created: str
    updated: str

    @property
    def starts(self) -> Start:
        """What it starts."""
        return Start.model_validate(self.start)


class Subscriptions:
    """The subscriptions of one host.

    Args:
        database: Where they are kept.
        changes: Told that `events://subscriptions` has news.
        clock: The time.
        problems: Says what speaks against what one would start.
    """

    def __init__(
        self,
        database: Database,
        changes: ChangeBus,
        clock: Clock,
        problems: Callable[[Start], Awaitable[list[str]]],
    ) -> None:
        self._database = database
        self._changes = changes
        self._clock = clock
        self._problems = problems
        self._alone = isinstance(database.where, Path)  # nobody else writes into it
        self._number = 0  # of the last change
        self._on: tuple[int, list[Subscription]] | None = None

    async def check(self, definition: dict[str, Any]) -> tuple[Definition, list[str]]:
        """Return a definition and what speaks against it.

        Raises:
            HomeportError: `invalid`, naming each field that does not fit.
        """
        try:
            checked = Definition.model_validate(definition)
        except ValidationError as error:
            wrong = [f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg']}" for each in error.errors()[:8]]
            raise HomeportError(
                "invalid", f"This does not fit: {'; '.join(wrong)}.", "Correct it as the fields are described."
            ) from error
        check_pattern(checked.kind)
        return checked, await self._problems(checked.start)

    async def save(self, definition: dict[str, Any], *, subscription: str = "", enabled: bool = True) -> Subscription:
        """Keep a new subscription, or another definition of the one named.

        Raises:
            HomeportError: `invalid`, naming every problem; `not_found`; `conflict`, when the name is taken.
        """
        checked, problems = await self.check(definition)
        if problems:
            raise HomeportError("invalid", " ".join(problems), "Correct it.")
        old = await self.get(subscription) if subscription else None
        now = iso(self._clock.now())
        saved = Subscription(
            old.id if old else secrets.token_hex(5),
            checked.name,
            checked.kind,
            checked.where,
            checked.start.model_dump(exclude_defaults=True),
            checked.at_once,
            enabled,
            old.created if old else now,
            now,
        )

        def work(connection: Connection) -> None:
            connection.execute(delete(subscriptions).where(subscriptions.c.id == saved.id))
            connection.execute(subscriptions.insert().values(asdict(saved)))

        try:
            await self._database.write(work)
        except HomeportError as error:
            if isinstance(error.__cause__, IntegrityError):
                raise HomeportError(
                    "conflict", f"There is a subscription {saved.name!r} already.", "Choose another name."
                ) from error
            raise
        await self._changed()
        return saved

    async def switch(self, subscription: str, *, on: bool) -> Subscription:
        """Switch a subscription on or off; what it has not started yet waits until it is on again.

        Raises:
            HomeportError: `not_found`.
        """
        found = await self.get(subscription)
        values = {"enabled": on, "updated": iso(self._clock.now())}
        change = subscriptions.update().where(subscriptions.c.id == found.id).values(values)
        await self._database.write(lambda connection: connection.execute(change))
        await self._changed()
        return await self.get(found.id)

    async def remove(self, subscription: str) -> Subscription:
        """Delete a subscription and what it has not started yet.

        Raises:
            HomeportError: `not_found`.
        """
        found = await self.get(subscription)

        def work(connection: Connection) -> None:
            connection.execute(delete(subscriptions).where(subscriptions.c.id == found.id))
            waiting = (deliveries.c.subscription == found.id) & (deliveries.c.state == "waiting")
            connection.execute(delete(deliveries).where(waiting))

        await self._database.write(work)
        await self._changed()
        return found

    async def get(self, wanted: str) -> Subscription:
        """Return a subscription by id or name.

        Raises:
            HomeportError: `not_found`.
        """
        query = select(subscriptions).where((subscriptions.c.id == wanted) | (subscriptions.c.name == wanted))
        row = await self._database.read(lambda connection: connection.execute(query).first())
        if row is None:
            raise HomeportError("not_found", f"There is no subscription {wanted[:80]!r}.", "List the subscriptions.")
        return Subscription(*row)

    async def list(self) -> list[tuple[Subscription, dict[str, int]]]:
        """Return the subscriptions by name, each with how many of its deliveries are in which state."""

        def work(connection: Connection) -> list[tuple[Subscription, dict[str, int]]]:
            found = connection.execute(select(subscriptions).order_by(subscriptions.c.name)).all()
            states = select(deliveries.c.subscription, deliveries.c.state, func.count())
            counts: dict[str, dict[str, int]] = {}
            for subscription, state, number in connection.execute(
                states.group_by(deliveries.c.subscription, deliveries.c.state)
            ):
                counts.setdefault(subscription, {})[state] = number
            return [(Subscription(*row), counts.get(row[0], {})) for row in found]

        return await self._database.read(work)

    def on(self, connection: Connection) -> list[Subscription]:
        """Return the subscriptions that are on: read once after each change, by every event from several hosts."""
        number = self._number
        if self._on is None or self._on[0] != number or not self._alone:
            found: list[Row[Any]] = list(connection.execute(select(subscriptions).where(subscriptions.c.enabled)))
            self._on = number, [Subscription(*row) for row in found]
        return self._on[1]

    async def _changed(self) -> None:
        self._number += 1
        await self._changes.updated(SUBSCRIPTIONS)
