"""The `Engine` on DBOS: each step's result is committed before the next step begins.

DBOS is imported when the first run starts (0.4 s, 66 MiB), and lives once per process. What it does not do is done
here: a cancelled run stops inside its call, a run that waits does not poll, and a run whose task died with an error of
the database goes on without a restart. Facts about DBOS 3.4: its public API, source and `docs.dbos.dev`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread
from anyio.abc import TaskGroup
from sqlalchemy.exc import DBAPIError

from homeport_host.database import Database
from homeport_host.dialects import Where
from homeport_host.engine import system
from homeport_host.engine.protocol import Body
from homeport_host.engine.records import Records
from homeport_host.engine.workers import Sightings, Workers
from homeport_shared.clock import Clock, SystemClock
from homeport_shared.errors import HomeportError

if TYPE_CHECKING:
    from dbos import DBOS

T = TypeVar("T")
LOCAL = "local"  # recovery finds the runs of this worker, so the name must survive restarts
WATCH_SECONDS = 30.0
BEATS = 4  # in a lease
MOST_RECOVERIES = 1_000_000  # ours is the counter below: DBOS's begins anew when a run is taken over
MOST_STARTS = 20  # without one step recorded between them: such a run kills the process each time
logger = logging.getLogger(__name__)


class DbosEngine:
    """Durable runs in one SQLite file, or in a PostgreSQL database that several workers may share.

    Args:
        where: DBOS's own file, such as `host/engine.db`, or a PostgreSQL database.
        database: The host's database, for accepted runs and signals.
        tasks: Runs the watchdog.
        clock: Decides when a signal's time is over.
        watch_seconds: How often runs without a task are looked for.
        worker: The name of this process among those that share the database; the same after each restart.
        lease: Seconds after which the runs of a silent worker are taken over; 0 = nobody shares the database.

    Attributes:
        on_given_up: Awaited with a run that ends although its body could not end it, and why.
    """

    def __init__(
        self,
        where: Where,
        database: Database,
        tasks: TaskGroup,
        *,
        clock: Clock | None = None,
        watch_seconds: float = WATCH_SECONDS,
        worker: str = LOCAL,
        lease: float = 0.0,
    ) -> None:
        self._where = where
        self._worker = worker
        self._lease = lease
        self._workers = Workers(database)
        self._clock = clock or SystemClock()
        self._records = Records(database, tasks, self._clock)
        self._tasks = tasks
        self._watch_seconds = watch_seconds
        self._bodies: dict[str, Body] = {}
        self._live: dict[str, _Live] = {}
        self._fresh = set[str]()
        self._signalled: dict[str, anyio.Event] = {}
        self._waking = anyio.Lock()
        self._shown = self._clock.monotonic()  # since then the others know that this worker lives
        self._watchdog: anyio.CancelScope | None = None
        self._sharing: anyio.CancelScope | None = None
        self._dbos: type[DBOS] | None = None
        self._workflow: Callable[..., Any] | None = None
        self.on_given_up: list[Callable[[str, HomeportError], Awaitable[None]]] = []

    def register(self, kind: str, body: Body) -> None:
        """Make `kind` startable."""
        self._bodies[kind] = body

    async def launch(self) -> None:
        """Go on with what a crash cut off; without such runs, DBOS is not even loaded."""
        if await self._records.unfinished(self._worker):
            await self._awake()
        if self._lease:
            self._tasks.start_soon(self._share)

    async def start(self, kind: str, parameters: dict[str, Any], *, run: str) -> bool:
        """Start a run under the id `run`; False when that id was started before.

        Raises:
            HomeportError: `invalid` for a kind that nobody registered.
        """
        if kind not in self._bodies:
            raise HomeportError("invalid", f"There is no kind of run {kind!r}.", f"Use one of {sorted(self._bodies)}.")
        await self._awake()
        if not await self._records.accept(run, kind, parameters, self._worker):
            return False
        self._fresh.add(run)
        await self._begin(run, kind, parameters)
        return True

    async def send(self, run: str, name: str, value: Any) -> None:
        """Give a run its signal; it is kept until the run asks for it."""
        await self._records.send(run, name, value)
        if waiting := self._signalled.pop(run, None):
            waiting.set()

    async def cancel(self, run: str) -> None:
        """Stop a run for good and return when the call that it was in has ended."""
        dbos = await self._awake()
        await dbos.cancel_workflow_async(run)
        if live := self._live.get(run):
            live.scope.cancel()
            await live.ended.wait()
        await self._records.end(run)

    async def steps(self, run: str) -> list[dict[str, Any]]:
        """List the recorded steps of a run."""
        dbos = await self._awake()
        return [system.shaped(step) for step in await dbos.list_workflow_steps_async(run)]

    async def fork(self, run: str, step: int, *, into: str) -> None:
        """Start the run `into` with what `run` recorded before the step of that number."""
        from dbos import SetWorkflowID

        dbos = await self._awake()
        found = await self._records.find(run)
        if found is None:
            raise _unknown(run)
        with SetWorkflowID(into):  # durable with this: should we die now, it is found and begun all the same
            await dbos.fork_workflow_async(run, step)
        await self._records.accept(into, *found, self._worker)

    async def parameters(self, run: str) -> dict[str, Any]:
        """Return what a run was started with."""
        found = await self._records.find(run)
        if found is None:
            raise _unknown(run)
        return found[1]

    async def forget(self, run: str) -> None:
        """Forget an ended run."""
        dbos = await self._awake()
        await dbos.delete_workflow_async(run)
        await self._records.forget(run)

    async def aclose(self) -> None:
        """Stop without ending the runs: they go on at the next launch."""
        with anyio.CancelScope(shield=True):
            if self._sharing is not None:
                self._sharing.cancel()
            if self._dbos is None:
                return
            if self._watchdog is not None:
                self._watchdog.cancel()
            live = list(self._live.values())
            await self._records.sound(list(self._live))
            for one in live:
                one.scope.cancel()
            for one in live:
                await one.ended.wait()
            await self._records.drain()
            dbos, self._dbos = self._dbos, None
            await anyio.to_thread.run_sync(lambda: dbos.destroy(destroy_registry=True))
        # DBOS made its own thread pool, which is gone now, the loop's default.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(4))

    async def wait_signal(self, run: str, name: str, number: int, until: float | None) -> Any:
        """Park until the signal is there; None when the epoch second `until` passes first."""
        while True:
            changed = self._signalled.setdefault(run, anyio.Event())
            found = await self._records.signal(run, name, number)
            if found is not None:
                return found[0]
            left = None if until is None else until - self._clock.now().timestamp()
            if left is not None and left <= 0:
                return None
            with anyio.move_on_after(left):
                await changed.wait()

    async def got_further(self, run: str) -> None:
        """Note that a run that was cut off has done the step at which that happened."""
        await self._records.sound([run])

    async def _awake(self) -> type[DBOS]:
        async with self._waking:
            if self._dbos is None:
                await system.load()
                self._dbos = self._open()
                await self._recover()
                self._tasks.start_soon(self._watch)
            return self._dbos

    def _open(self) -> type[DBOS]:
        """Make and launch DBOS; it must see the running loop, or runs would land on a thread of its own."""
        from dbos import DBOS

        logging.getLogger("dbos").addHandler(logging.NullHandler())  # else it writes to the console by itself
        if isinstance(self._where, Path):
            self._where.parent.mkdir(parents=True, exist_ok=True)
        DBOS(config=system.configuration(self._where, self._worker))

        @DBOS.workflow(name="homeport.run", max_recovery_attempts=MOST_RECOVERIES)
        async def workflow(kind: str, parameters: dict[str, Any]) -> Any:
            return await self._run(kind, parameters)

        self._workflow = workflow
        DBOS.launch()
        return DBOS

    async def _begin(self, run: str, kind: str, parameters: dict[str, Any]) -> None:
        """Let DBOS begin a run, from outside of every other one.

        Within a run DBOS would record the start as that run's next step, by number; after a restart a run that goes by
        records of its own starts another run there, and DBOS would take it for the one that it knows.
        """
        from dbos import DBOS, SetWorkflowID

        workflow = self._workflow
        assert workflow is not None
        begun, failed = anyio.Event(), list[Exception]()

        async def begin() -> None:
            try:
                with SetWorkflowID(run):
                    await DBOS.start_workflow_async(workflow, kind, parameters)
            except Exception as error:  # raised where the run is started
                failed.append(error)
            finally:
                begun.set()

        Context().run(self._tasks.start_soon, begin)
        await begun.wait()
        if failed:
            raise failed[0]

    async def _run(self, kind: str, parameters: dict[str, Any]) -> Any:
        """Do the work of one run, as DBOS's workflow. A stop leaves it open; an end is noted."""
        run = _own_id()
        if former := self._live.get(run):  # DBOS was told to resume it: from now on it records nothing of that task
            former.scope.cancel()
            await former.ended.wait()
        with anyio.CancelScope() as scope:
            live = self._live[run] = _Live(scope)
            try:
                result = await self._bodies[kind](_Steps(self, run, cut_off=await self._cut_off(run)), parameters)
                await self._records.end(run, durable=False)
                return result
            except DBAPIError:
                # The disk is full, say: an ERROR would be final, so the run stays open for the watchdog.
                logger.exception("run %s stopped: its database refused a write; it is tried again", run)
            except Exception as error:
                if not scope.cancel_called:
                    await self._give_up(run, error)
                    raise
            finally:
                live.ended.set()
                if self._live.get(run) is live:
                    del self._live[run]
        raise anyio.get_cancelled_exc_class()  # DBOS records nothing for a cancelled task

    async def _cut_off(self, run: str) -> bool:
        """Say whether a run that begins here goes on after a stop.

        Raises:
            HomeportError: `internal`, when it was cut off again and again at the same step.
        """
        if run in self._fresh:
            self._fresh.discard(run)
            return False
        if await self._records.go_on(run, self._worker) > MOST_STARTS:
            raise HomeportError(
                "internal",
                f"The run was cut off {MOST_STARTS} times at the same step, so it is not tried again.",
                "Look into the host's log for what ended it, then retry the run.",
            )
        return True

    async def _give_up(self, run: str, error: Exception) -> None:
        if not isinstance(error, HomeportError):
            error = HomeportError("internal", f"The run ended in a way nobody foresaw ({type(error).__name__}).")
        await self._records.end(run)
        for told in self.on_given_up:
            await told(run, error)

    async def _recover(self) -> None:
        """Start what was accepted and never begun; what DBOS began it recovers by itself."""
        for run, kind, parameters in await self._records.unfinished(self._worker):
            await self._look_after(run, kind, parameters, resume=False)

    async def _watch(self) -> None:
        """Resume runs that nobody works on: two looks in a row find one in the same state and without a task."""
        with anyio.CancelScope() as self._watchdog:
            before = dict[str, str | None]()
            while True:
                await anyio.sleep(self._watch_seconds)
                try:
                    unfinished = await self._records.unfinished(self._worker)
                except HomeportError:  # such as a full disk: the host goes on, and looks again
                    logger.exception("unfinished runs could not be looked up")
                    continue
                idle = [each for each in unfinished if each[0] not in self._live]
                now = {run: await self._status(run) for run, _, _ in idle}
                for run, kind, parameters in idle:
                    if run in before and now[run] == before[run]:  # else it may be on its way from a queue
                        await self._look_after(run, kind, parameters, resume=True)
                before = now

    async def _status(self, run: str) -> str | None:
        from dbos import DBOS

        status = await DBOS.get_workflow_status_async(run)
        return None if status is None else status.status

    async def _look_after(self, run: str, kind: str, parameters: dict[str, Any], *, resume: bool) -> None:
        from dbos import DBOS

        status = await self._status(run)
        if kind not in self._bodies:
            logger.error("run %s is of the kind %r, which this version does not know", run, kind)
        elif status is None:
            await self._begin(run, kind, parameters)
        elif status in {"SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"}:
            await self._records.end(run)
        elif resume and status == "PENDING" and run not in self._live:
            await DBOS.resume_workflow_async(run)

    async def _share(self) -> None:
        """Show that this worker lives, hear what others did to its runs, and take over the runs of the dead."""
        sightings = Sightings(self._lease)
        newest, _ = await self._records.signalled(0)
        with anyio.CancelScope() as self._sharing:
            while True:
                try:
                    now = self._clock.monotonic()
                    beats = await self._workers.beat(self._worker)
                    if now - self._shown >= self._lease:
                        await self._stop_lost()
                    self._shown = now
                    newest, runs = await self._records.signalled(newest)
                    self._stop(await self._records.ended(list(self._live)))  # cancelled by another
                    for run in runs & self._signalled.keys():
                        self._signalled.pop(run).set()
                    for worker in sightings.dead(beats, self._clock.monotonic()):
                        await self._take_over(worker, beats[worker])
                except HomeportError:  # the database is away: it is looked for again
                    logger.exception("the other workers could not be looked up")
                await anyio.sleep(self._lease / BEATS)

    async def _take_over(self, dead: str, beats: int) -> None:
        runs = await self._records.take_over(dead, beats, self._worker)
        if runs:
            await self._awake()
        for run, kind, parameters in runs:
            logger.warning("run %s of the worker %s, which is silent, is taken over", run, dead)
            await self._look_after(run, kind, parameters, resume=True)

    async def keep_only_own(self, run: str) -> None:
        """Stop the task of a run that was taken over while this worker was silent, because it was frozen, say.

        Raises:
            CancelledError: In that task.
        """
        while self._lease and self._clock.monotonic() - self._shown >= self._lease:
            with contextlib.suppress(HomeportError):  # the database is away, for the others as well
                await self._stop_lost()
                break
            await anyio.sleep(self._lease / BEATS)
        await anyio.lowlevel.checkpoint_if_cancelled()

    async def _stop_lost(self) -> None:
        if lost := await self._records.lost(list(self._live), self._worker):
            logger.warning("runs are stopped here, as another worker took them over: %s", ", ".join(sorted(lost)))
            self._stop(lost)

    def _stop(self, runs: Iterable[str]) -> None:
        """Stop the tasks of runs that are no longer this worker's; some may have ended meanwhile."""
        for run in runs:
            if live := self._live.get(run):
                live.scope.cancel()


class _Live:
    """A run that has a task now."""

    def __init__(self, scope: anyio.CancelScope) -> None:
        self.scope = scope
        self.ended = anyio.Event()


class _Steps:
    """The steps of one run; results and foreseen errors are recorded alike, so a replay raises what was raised."""

    def __init__(self, engine: DbosEngine, run: str, *, cut_off: bool) -> None:
        self._engine = engine
        self._cut_off = cut_off
        self._asked = Counter[str]()
        self.run = run

    async def step(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        from dbos import DBOS

        done_now = False

        async def recorded() -> dict[str, Any]:
            nonlocal done_now
            await self._engine.keep_only_own(self.run)
            done_now = True
            try:
                return {"value": await work()}
            except HomeportError as error:
                return {"failed": error.as_dict()}

        outcome = await DBOS.run_step_async({"name": name}, recorded)
        if done_now and self._cut_off:
            self._cut_off = False
            await self._engine.got_further(self.run)
        if "failed" in outcome:
            raise HomeportError.from_dict(outcome["failed"])
        return outcome["value"]

    async def signal(self, name: str, seconds: float | None = None) -> Any:
        number = self._asked[name]
        self._asked[name] += 1
        until: float | None = None
        if seconds is not None:
            until = await self.step(f"signal {name} until", lambda: self._deadline(seconds))
        return await self.step(f"signal {name}", lambda: self._engine.wait_signal(self.run, name, number, until))

    async def _deadline(self, seconds: float) -> float:
        return self._engine._clock.now().timestamp() + seconds  # pyright: ignore[reportPrivateUsage]


def _own_id() -> str:
    from dbos import DBOS

    run = DBOS.workflow_id
    assert run is not None
    return run


def _unknown(run: str) -> HomeportError:
    return HomeportError("not_found", f"There is no run {run[:64]!r}.", "List the runs.")
