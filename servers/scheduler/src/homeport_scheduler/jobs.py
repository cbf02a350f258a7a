"""Make, change, check, copy and delete jobs."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from homeport_scheduler.announcing import Announcer
from homeport_scheduler.definitions import TASK, Definition, parsed
from homeport_scheduler.records import Cause, Job, Run
from homeport_scheduler.results import Changed, Checked
from homeport_scheduler.running import order_of
from homeport_scheduler.schedules import Schedule, schedule_of, zone_of
from homeport_scheduler.showing import occurrences
from homeport_scheduler.store import Books, Store
from homeport_scheduler.ticking import Rules, new_run, next_of, realign
from homeport_scheduler.validation import circle, problems, warnings
from homeport_shared import identity
from homeport_shared.clock import iso
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError
from homeport_shared.gateway import Gateway

BulkAction = Literal["enable", "disable", "delete", "restore", "duplicate"]
PAUSED = "paused"


class Jobs:
    """The jobs of one data root.

    Args:
        context: The server's context.
        store: The tables.
        gateway: Knows whether an action can be carried out.
        announcer: Tells clients what changed.
        rules: Returns the settings as they are now.
        wake: Has the scheduler look at the clock.
    """

    def __init__(
        self,
        context: ServerContext,
        store: Store,
        gateway: Gateway,
        announcer: Announcer,
        rules: Callable[[], Rules],
        wake: Callable[[], None],
    ) -> None:
        self._context = context
        self._store = store
        self._gateway = gateway
        self._announcer = announcer
        self._rules = rules
        self._wake = wake

    async def check(self, definition: Definition, *, known_as: str = "", off: bool = False) -> Checked:
        """Say what is wrong with a job, without saving or running it.

        Args:
            definition: The job.
            known_as: The id of the job that it changes; empty = that of its name.
            off: It is not to be enabled: that its action cannot be carried out now is a warning.
        """
        now, zone = self._context.clock.now(), self._rules().zone
        found = problems(definition, now, zone)
        schedule: Schedule | None = None
        if not found:
            schedule = schedule_of(definition.trigger, zone_of(definition.time_zone or zone), definition.dst)
        tasks = [name for name in definition.after if name.startswith(TASK)]
        states = await self._gateway.states(tasks) if tasks else {}
        found += [f"There is no task {name!r} to come after." for name in tasks if states.get(name, "gone") == "gone"]
        usual = await self._store.read(lambda books: _check_others(books, definition, known_as, found))
        later: list[str] = []
        if definition.action.kind != "event" and not found:
            trial = Run(
                "check",
                "",
                definition.name,
                definition.action.kind,
                "manual",
                "queued",
                "",
                "",
                agreed=_by_person(self._context),
            )
            later = await self._gateway.problems(order_of(trial, definition))
            found += [] if off else later
        return Checked(
            ok=not found,
            problems=found,
            warnings=[*later, *warnings(definition, schedule, now, usual)] if not found else [],
            upcoming=occurrences(schedule, now, zone_of(definition.time_zone or zone), 5) if schedule else [],
        )

    async def add(self, definition: Definition, *, enabled: bool) -> tuple[Job, Checked]:
        """Save a new job.

        Raises:
            HomeportError: `invalid`, naming every problem; `conflict`, when the name is taken.
        """
        definition = self._anchored(definition)
        checked = await self._checked(definition)
        now = iso(self._context.clock.now())
        job = Job(secrets.token_hex(5), definition, enabled, _by_person(self._context), _owner(), "", 1, now, now)
        job = replace(job, sources=_sources(self._context))

        def work(books: Books) -> Job:
            _refuse_taken(books, definition.name, "")
            return self._put(books, job)

        saved = await self._store.write(work)
        self._told(saved)
        return saved, checked

    async def edit(self, wanted: str, changes: dict[str, Any], if_version: int) -> tuple[Job, Checked]:
        """Change fields of a job; `enabled` is one of them, `trigger` and `action` are replaced as a whole.

        Raises:
            HomeportError: `invalid`, `not_found`, or `conflict` when somebody else changed it since `if_version`.
        """
        job = await self.get(wanted)
        enabled = bool(changes.pop("enabled", job.enabled))
        definition = parsed(Definition, {**job.definition.model_dump(), **changes})
        definition = self._anchored(definition)
        checked = await self._checked(definition, known_as=job.id, off=not enabled)

        def work(books: Books) -> Job:
            now = self._stored(books, job.id)
            if now.version != (if_version or now.version):
                raise HomeportError(
                    "conflict", f"{now.definition.name} was changed meanwhile.", "Read it again and repeat the change."
                )
            _refuse_taken(books, definition.name, job.id)
            _rename(books, now.definition.name, definition.name)
            agreed = _by_person(self._context) or (now.agreed and not changes)
            # A person who saves it has seen all of it; anybody else adds what they have read.
            sources = () if _by_person(self._context) else (*now.sources, *_sources(self._context))
            edited = replace(now, definition=definition, enabled=enabled, agreed=agreed, sources=sources[-20:])
            return self._put(books, edited)

        saved = await self._store.write(work)
        self._told(saved)
        return saved, checked

    async def change(self, wanted: Sequence[str], action: BulkAction) -> Changed:
        """Do one thing to many jobs; what cannot be done to one is said of it, and the others go on."""
        result = Changed(changed=[])
        for each in wanted:
            try:
                result.changed.append(await self._change_one(each, action))
            except HomeportError as error:
                result.failed.append(str(error))
        self._wake()
        return result

    async def get(self, wanted: str) -> Job:
        """Return a job by id or name.

        Raises:
            HomeportError: `not_found`.
        """
        return await self._store.read(lambda books: self._stored(books, wanted))

    async def run(self, wanted: str, event: dict[str, Any] | None = None, key: str = "") -> Run:
        """Start a job at once; who is no person cannot have done by it what only a person may allow.

        Args:
            wanted: Its id or name.
            event: What fills the blanks of its action; None = a person wants it now.
            key: The same one starts the job once; empty = another time.

        Raises:
            HomeportError: `not_found`.
        """
        now = self._context.clock.now()

        def work(books: Books) -> Run:
            job = self._stored(books, wanted)
            cause: Cause = "manual" if event is None else "event"
            run = new_run(job, key or f"manual-{secrets.token_hex(5)}", now, now, cause)
            run = replace(run, event=event, agreed=job.agreed and _by_person(self._context))
            books.add(run)
            return run

        run = await self._store.write(work)
        self._wake()
        return run

    async def pause(self, paused: bool) -> bool:
        """Pause or resume everything; runs that fell into the pause are not made up for. Return whether that is new."""
        now, zone = self._context.clock.now(), self._rules().zone

        def work(books: Books) -> bool:
            if bool(books.fact(PAUSED)) == paused:
                return False
            books.remember(PAUSED, iso(now) if paused else "")
            if not paused:
                realign(books, now, zone)
            return True

        new = await self._store.write(work)
        self._announcer.changed("scheduler://status", "scheduler://jobs")
        self._wake()
        return new

    async def _change_one(self, wanted: str, action: BulkAction) -> str:
        if action == "duplicate":
            job = await self.get(wanted)
            name = await self._store.read(lambda books: _free_name(books, job.definition.name))
            copy, _ = await self.add(job.definition.model_copy(update={"name": name}), enabled=False)
            return copy.definition.name
        if action == "enable":
            job = await self.get(wanted)
            await self._checked(job.definition, known_as=job.id)
        now = self._context.clock.now()

        def work(books: Books) -> Job:
            job = books.job(wanted, deleted=True) if action == "restore" else None
            job = job or self._stored(books, wanted)
            if action == "delete":
                _refuse_needed(books, job)
                return self._put(books, replace(job, deleted=iso(now)))
            if action == "restore":
                _refuse_taken(books, job.definition.name, job.id)
                return self._put(books, replace(job, deleted="", enabled=False))
            return self._put(books, replace(job, enabled=action == "enable"))

        saved = await self._store.write(work)
        self._told(saved)
        return saved.definition.name

    def _put(self, books: Books, job: Job) -> Job:
        now = self._context.clock.now()
        following = next_of(job, now, self._rules().zone) if job.enabled and not job.deleted else ""
        stored = books.job(job.id, deleted=True)
        saved = replace(job, next=following, updated=iso(now), version=stored.version + 1 if stored else 1)
        books.put(saved)
        return saved

    def _stored(self, books: Books, wanted: str) -> Job:
        job = books.job(wanted)
        if job is None:
            raise HomeportError("not_found", f"There is no job {wanted[:80]!r}.", "List the jobs and use one of them.")
        return job

    async def _checked(self, definition: Definition, known_as: str = "", *, off: bool = False) -> Checked:
        checked = await self.check(definition, known_as=known_as, off=off)
        if not checked.ok:
            raise HomeportError("invalid", " ".join(checked.problems), "Correct it; preview shows when it would run.")
        return checked

    def _anchored(self, definition: Definition) -> Definition:
        """Fix where an interval is counted from, so that a copy on another machine runs at the same times."""
        if not definition.trigger.every or definition.trigger.start:
            return definition
        start = iso(self._context.clock.now().replace(microsecond=0))
        return definition.model_copy(update={"trigger": definition.trigger.model_copy(update={"start": start})})

    def _told(self, job: Job) -> None:
        self._announcer.changed("scheduler://jobs", f"scheduler://jobs/{job.id}", "scheduler://status")
        self._wake()


def _by_person(context: ServerContext) -> bool:
    """Whether a person speaks; alone there is no policy that asks."""
    return context.gateway is None or identity.current().caller == "person"


def _sources(context: ServerContext) -> tuple[str, ...]:
    """Return whose words a definition is, as the host's taint knows them; a person's own bring nothing in."""
    who = identity.current()
    return () if _by_person(context) else tuple(filter(None, (who.run or who.owner,)))


def _owner() -> str:
    who = identity.current()
    return f"agent:{who.agent}" if who.agent else who.owner or "user"


def _check_others(books: Books, definition: Definition, known_as: str, found: list[str]) -> float:
    """Add what does not fit to the other jobs; return how long runs of this one take, in seconds."""
    found += [f"There is no job {name!r} to come after." for name in definition.after if _missing(books, name)]
    old = books.job(known_as or books.named(definition.name))
    others = {job.definition.name: job.definition.after for job in books.that_come_after()}
    if old is not None:
        others.pop(old.definition.name, None)
    around = circle(definition.name, definition.after, others)
    if around:
        found.append(f"These jobs would wait for each other: {' → '.join(around)}.")
    if old is None:
        return 0.0
    return next((mean for state, _, mean, _, _ in books.totals(old.id, "") if state == "completed"), 0.0)


def _missing(books: Books, name: str) -> bool:
    return not name.startswith(TASK) and not books.named(name)


def _refuse_taken(books: Books, name: str, own: str) -> None:
    if books.named(name) not in {"", own}:
        raise HomeportError("conflict", f"There is a job {name!r} already.", "Choose another name, or edit that job.")


def _refuse_needed(books: Books, job: Job) -> None:
    name = job.definition.name
    needing = [each.definition.name for each in books.that_come_after() if name in each.definition.after]
    if needing:
        raise HomeportError(
            "conflict", f"{name} cannot be deleted: {', '.join(needing)} comes after it.", "Change that job first."
        )


def _rename(books: Books, old: str, new: str) -> None:
    """Let the jobs that come after a renamed job follow its name."""
    if old == new:
        return
    for job in books.that_come_after():
        if old in job.definition.after:
            after = [new if name == old else name for name in job.definition.after]
            books.put(replace(job, definition=job.definition.model_copy(update={"after": after})))


def _free_name(books: Books, name: str) -> str:
    number, free = 2, f"{name} (copy)"
    while books.named(free):
        free = f"{name} (copy {number})"
        number += 1
    return free
