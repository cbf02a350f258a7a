"""The loop: looks at the clock when something is due, starts what it took up, and writes down how it ended."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import anyio
import anyio.to_thread

from homeport_scheduler.announcing import Announcer
from homeport_scheduler.processes import Presence
from homeport_scheduler.records import FINAL, Job, Note, Run
from homeport_scheduler.running import Running, told
from homeport_scheduler.store import Books, Store
from homeport_scheduler.ticking import Look, Rules, look, realign
from homeport_shared.batching import Batcher
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError
from homeport_shared.gateway import Gateway, Happened

LONGEST_WAIT = 5.0  # seconds: another process may have written, the clock may have been put forward
AGAIN_SECONDS = 1.0
OWN = "scheduler://"
HOST_CURSOR = "host events"
logger = logging.getLogger(__name__)


class Scheduler:
    """Starts what is due, for as long as the server lives.

    Args:
        context: The server's context; its task group runs the runs.
        store: The tables.
        gateway: Has the work done.
        announcer: Tells clients what changed.
        rules: Returns the settings as they are now.

    Attributes:
        problem: Why the scheduler cannot work; empty when it can.
    """

    def __init__(
        self, context: ServerContext, store: Store, gateway: Gateway, announcer: Announcer, rules: Callable[[], Rules]
    ) -> None:
        self._context = context
        self._store = store
        self._gateway = gateway
        self._announcer = announcer
        self._rules = rules
        self._presence = Presence(store.path.parent / "processes")
        self._running = Running(gateway, context.clock, self.emit)
        self._ends = Batcher[tuple[Run, Job | None]](context.tasks, self._write_ends)
        self._bell = anyio.Event()
        self._seen: datetime | None = None
        self._tasks: set[str] = set()  # of the host, that jobs which wait come after
        self.problem = ""

    def wake(self) -> None:
        """Look at the clock at once."""
        self._bell.set()

    async def run(self) -> None:
        """Look at the clock whenever something is due, until cancelled."""
        try:
            while True:
                self._bell = anyio.Event()
                with anyio.move_on_after(await self._wait()):
                    await self._bell.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._presence.release)

    async def follow(self) -> None:
        """Take over the events of the host, from where the last process stopped."""
        while True:
            try:
                cursor = await self._store.read(lambda books: books.fact(HOST_CURSOR))
                await self._gateway.follow(int(cursor) if cursor else None, self._take)
            except HomeportError as error:
                logger.warning("the events of the host cannot be followed, tried again: %s", error)
                await anyio.sleep(LONGEST_WAIT)

    async def emit(self, *notes: Note) -> None:
        """Keep events of our own, tell the new ones to the host, and look who waits for them."""
        begun = [replace(note, correlation=note.correlation or note.key) for note in notes]
        new = await self._store.write(lambda books: [note for note in begun if books.note([note])])
        for note in new:
            await self._context.events.publish(note.as_event())
        self.wake()

    async def stop_run(self, run: Run) -> None:
        """Stop a run of this process at once; that of another process is stopped by itself within seconds."""
        self._running.stop(run.id)
        self.wake()

    async def _wait(self) -> float:
        """Look at the clock once; return for how many seconds nothing is due."""
        try:
            found = await self._look()
        except HomeportError as error:  # a full disk, a locked file: it passes, and nothing was started meanwhile
            self._become(str(error))
            return AGAIN_SECONDS
        self._become("")
        if found.more:
            return 0
        if not found.wait_until:
            return LONGEST_WAIT
        left = (datetime.fromisoformat(found.wait_until) - self._context.clock.now()).total_seconds()
        return min(max(left, 0.001), LONGEST_WAIT)

    async def _look(self) -> Look:
        now, rules = self._context.clock.now(), self._rules()
        put_back = self._seen is not None and now < self._seen
        self._seen = now
        presence, asked = self._presence, set[str]()
        states = await self._gateway.states(sorted(self._tasks)) if self._tasks else {}

        def task(name: str) -> str:
            asked.add(name)
            return states.get(name, "waiting")

        def work(books: Books) -> Look:
            presence.hold()
            if put_back:
                realign(books, now, rules.zone)
            return look(books, now, rules, presence.token, presence.alive, task)

        found = await self._store.write(work)
        found.more = found.more or bool(asked - self._tasks)  # whose state was not known yet
        self._tasks = asked
        for run, job in found.start:
            self._context.tasks.start_soon(self._carry_out, run, job)
            self._announcer.changed(f"{OWN}runs/{run.id}")
        for run in found.stop:
            self._running.stop(run)
        if found.jobs or found.start:
            self._announcer.changed(f"{OWN}jobs", f"{OWN}runs", f"{OWN}status")
            self._announcer.changed(*(f"{OWN}jobs/{job}" for job in found.jobs))
        return found

    async def _carry_out(self, run: Run, job: Job | None) -> None:
        ended = await self._running.carry_out(run, job)
        with anyio.CancelScope(shield=True):
            await self._keep(ended, job)
        if ended.state == "failed":
            logger.warning("job %s failed: %s", ended.name, ended.detail)
        if ended.state in FINAL:
            note = told(ended, job.definition if job else None)
            await self._context.events.publish(note.as_event())
        names = (f"{OWN}jobs", f"{OWN}runs", f"{OWN}status", f"{OWN}jobs/{ended.job}", f"{OWN}runs/{ended.id}")
        self._announcer.changed(*names)
        self.wake()

    async def _keep(self, ended: Run, job: Job | None) -> None:
        """Write down how a run ended; while the file cannot be written, it counts as under way."""
        while True:
            try:
                return await self._ends.add((ended, job), durable=True)
            except HomeportError as error:
                self._become(str(error))
                await anyio.sleep(AGAIN_SECONDS)

    async def _write_ends(self, batch: list[tuple[Run, Job | None]]) -> None:
        def work(books: Books) -> None:
            for run, job in batch:
                books.change(run)
                if run.state in FINAL:
                    books.note([told(run, job.definition if job else None)])

        await self._store.write(work)

    async def _take(self, events: list[Happened]) -> None:
        if not events:
            return
        notes = [
            Note(f"host:{each.seq}", each.at, each.kind, each.subject, each.data, correlation=each.correlation)
            for each in events
            # Our own are here already; what becomes of a run of ours is told by `job.*`.
            if not each.subject.startswith(OWN) and not str(each.data.get("order", "")).startswith("sched-")
        ]

        def work(books: Books) -> None:
            books.note(notes)
            books.remember(HOST_CURSOR, str(events[-1].seq))

        await self._store.write(work)
        self.wake()

    def _become(self, problem: str) -> None:
        if problem != self.problem:
            if problem:
                logger.error("the scheduler cannot use its file: %s", problem)
            self.problem = problem
            self._announcer.changed(f"{OWN}status")
