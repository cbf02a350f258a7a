"""Long work that outlives the call that started it: progress, cancellation, and resumption after a crash.

A job is a row. A process that runs it holds a lease on the row and renews it every second; when the process dies, the
lease runs out and the next process that looks takes the job over. A handler must therefore find out by itself what is
done already: it is called again from the start.
"""

from __future__ import annotations

import json
import logging
import secrets
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import anyio

from homeport_shared.clock import iso
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError
from homeport_shared.events import Event
from homeport_shared.identity import PREFIX
from homeport_shared.sqlite import Schema, SqliteFile

logger = logging.getLogger(__name__)

State = Literal["queued", "running", "completed", "failed", "cancelled"]
FINAL = ("completed", "failed", "cancelled")
RECENT = "recent"  # the list of the latest jobs, beside each by its id
NEWS: dict[str, Any] = {f"{PREFIX}jobs": True}  # `_meta` of the resource that lists them: it changes with each
TICK_SECONDS = 0.1  # progress is written and published no more often than this
BEAT_SECONDS = 1.0
LEASE_SECONDS = 5.0
MAX_NOTES = 50
KEPT_JOBS = 200
SCHEMA = Schema(
    "homeport.jobs",
    (
        """
        CREATE TABLE jobs (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, state TEXT NOT NULL,
            created TEXT NOT NULL, owner TEXT NOT NULL DEFAULT '', beat TEXT NOT NULL DEFAULT '',
            cancel INTEGER NOT NULL DEFAULT 0, body TEXT NOT NULL
        );
        CREATE INDEX jobs_unfinished ON jobs (kind, state);
        """,
    ),
)


@dataclass(frozen=True, slots=True)
class Job:
    """The state of one piece of long work.

    Attributes:
        kind: Which handler does it.
        params: What it was asked to do; JSON-able.
        done: Units finished, of `total`; 0 of 0 while the total is not known.
        message: What it is doing, one short line.
        counters: Figures of the kind's own, such as `new` or `chunks`.
        notes: Problems that did not end the job, at most `MAX_NOTES`.
        created: RFC 3339, like the other times; empty = not yet.
        error: Why it failed, one or two sentences.
    """

    id: str
    kind: str
    params: dict[str, Any]
    state: State = "queued"
    done: int = 0
    total: int = 0
    message: str = ""
    counters: dict[str, float] = field(default_factory=dict[str, float])
    notes: list[str] = field(default_factory=list[str])
    created: str = ""
    started: str = ""
    finished: str = ""
    error: str = ""


class Run:
    """What a handler gets: the job it works on, and how to tell how far it is."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.changed = False

    def progress(
        self,
        *,
        done: int | None = None,
        total: int | None = None,
        message: str | None = None,
        counters: dict[str, float] | None = None,
        notes: list[str] | None = None,
    ) -> None:
        """Say how far the work is; what is None stays as it was. Costs nothing: it is written at the next tick."""
        given = {"done": done, "total": total, "message": message, "counters": counters}
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if notes is not None:
            changes["notes"] = notes[:MAX_NOTES]
        self.job = replace(self.job, **changes)
        self.changed = True


Handler = Callable[[Run], Awaitable[None]]


class Jobs:
    """The jobs of one server, kept in `jobs.db` of its folder.

    Each kind is a lane: its jobs run one after the other in this process, lanes run beside each other. Nothing runs
    and no file is opened before there is a job.

    Args:
        context: The server's context; its task group runs the lanes, its change bus and events tell the news.
        handlers: Kind → what does it. Raising HomeportError fails the job with that message.
        address: The URI of a job without its id: where clients read and subscribe to it.
    """

    def __init__(self, context: ServerContext, handlers: Mapping[str, Handler], *, address: str = "job://") -> None:
        self._context = context
        self._address = address
        self._handlers = handlers
        self._path = context.folder / "jobs.db"
        self._opened: SqliteFile | None = None
        self._owner = secrets.token_hex(8)
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._wake = {kind: anyio.Event() for kind in handlers}
        context.closing(self._close)
        for kind in handlers:
            context.tasks.start_soon(self._lane, kind)

    @property
    def _file(self) -> SqliteFile:
        if self._opened is None:
            self._opened = SqliteFile(self._path, SCHEMA)
        return self._opened

    async def _close(self) -> None:
        if self._opened is not None:
            await self._opened.aclose()

    async def start(self, kind: str, params: dict[str, Any], *, once: bool = False) -> Job:
        """Queue a job.

        Args:
            kind: One of the handlers' kinds.
            params: What to do; JSON-able.
            once: Return the unfinished job of the same kind and params instead, if there is one.
        """
        job = Job(secrets.token_hex(6), kind, params, created=self._now())
        wanted = json.dumps(params, sort_keys=True)

        def work(connection: sqlite3.Connection) -> Job:
            for found in _select(connection, "kind = ? AND state IN ('queued', 'running')", (kind,)) if once else []:
                if json.dumps(found.params, sort_keys=True) == wanted:
                    return found
            connection.execute(
                "INSERT INTO jobs (id, kind, state, created, body) VALUES (?, ?, 'queued', ?, ?)",
                (job.id, kind, job.created, _body(job)),
            )
            connection.execute(
                "DELETE FROM jobs WHERE state IN ('completed', 'failed', 'cancelled') AND seq <="
                " (SELECT max(seq) FROM jobs) - ?",
                (KEPT_JOBS,),
            )
            return job

        queued = await self._file.write(work)
        self._wake[kind].set()
        await self._tell(queued)
        return queued

    async def get(self, identifier: str) -> Job:
        """Return a job.

        Raises:
            HomeportError: `not_found`.
        """
        found = await self._file.read(lambda connection: _select(connection, "id = ?", (identifier,)))
        if not found:
            raise HomeportError("not_found", f"There is no job {identifier!r}.", "List the jobs to see their ids.")
        return found[0]

    async def latest(self, limit: int = 20) -> list[Job]:
        """Return up to `limit` jobs, newest first."""
        return await self._file.read(lambda connection: _select(connection, "1 ORDER BY seq DESC LIMIT ?", (limit,)))

    async def cancel(self, identifier: str) -> Job:
        """Cancel a job: at once when it waits or runs here, within a second when another process runs it.

        Raises:
            HomeportError: `not_found`, or `conflict` when it is finished already.
        """
        job = await self.get(identifier)
        if job.state in FINAL:
            raise HomeportError("conflict", f"The job {identifier} is {job.state} already.", "There is nothing to do.")

        def work(connection: sqlite3.Connection) -> None:
            ended = replace(job, finished=self._now())
            connection.execute(
                "UPDATE jobs SET state = 'cancelled', body = ? WHERE id = ? AND state = 'queued'",
                (_body(ended), identifier),
            )
            connection.execute("UPDATE jobs SET cancel = 1 WHERE id = ? AND state = 'running'", (identifier,))

        await self._file.write(work)
        if scope := self._scopes.get(identifier):
            scope.cancel()
        with anyio.move_on_after(2 * BEAT_SECONDS):
            return await self.wait(identifier)
        job = await self.get(identifier)
        await self._tell(job)
        return job

    async def wait(self, identifier: str) -> Job:
        """Return the job once it is finished, whichever process runs it."""
        while (job := await self.get(identifier)).state not in FINAL:  # noqa: ASYNC110 - maybe another process's
            await anyio.sleep(TICK_SECONDS)
        return job

    async def _lane(self, kind: str) -> None:
        """Run the jobs of one kind, one after the other, for as long as the server lives."""
        if not self._path.exists():
            await self._wake[kind].wait()
        while True:
            self._wake[kind] = anyio.Event()
            try:
                job, elsewhere = await self._claim(kind)
            except HomeportError:
                logger.exception("the jobs of %s cannot be read", self._context.name)
                job, elsewhere = None, False
            if job is not None:
                await self._run(job)
            else:  # a job that another process runs is looked at again: that process may die
                with anyio.move_on_after(LEASE_SECONDS if elsewhere else None):
                    await self._wake[kind].wait()

    async def _claim(self, kind: str) -> tuple[Job | None, bool]:
        """Take the oldest job that waits or whose owner is dead; else say whether others are running one."""
        now = self._context.clock.now()
        stale = iso(now - timedelta(seconds=LEASE_SECONDS))

        def work(connection: sqlite3.Connection) -> tuple[Job | None, bool]:
            free = "kind = ? AND (state = 'queued' OR (state = 'running' AND beat < ?)) ORDER BY seq LIMIT 1"
            for job in _select(connection, free, (kind, stale)):
                job = replace(job, state="running", started=job.started or iso(now))
                connection.execute(
                    "UPDATE jobs SET state = 'running', owner = ?, beat = ?, body = ? WHERE id = ?",
                    (self._owner, iso(now), _body(job), job.id),
                )
                return job, False
            return None, bool(_select(connection, "kind = ? AND state = 'running'", (kind,)))

        return await self._file.write(work)

    async def _run(self, job: Job) -> None:
        run = Run(job)
        ended: Job | None = None
        try:
            async with anyio.create_task_group() as group:
                self._scopes[job.id] = group.cancel_scope
                group.start_soon(self._keep, run, group.cancel_scope)
                ended = await self._work(run)
                group.cancel_scope.cancel()
        finally:
            self._scopes.pop(job.id, None)
            with anyio.CancelScope(shield=True):
                try:
                    await self._finish(run, ended)
                except HomeportError:  # its lease runs out, then it is done again
                    logger.exception("the end of job %s could not be written", job.id)

    async def _work(self, run: Run) -> Job:
        try:
            await self._handlers[run.job.kind](run)
        except HomeportError as error:
            return replace(run.job, state="failed", error=str(error), finished=self._now())
        except Exception:  # a handler's bug must end its job, not the server
            logger.exception("job %s of kind %s failed", run.job.id, run.job.kind)
            sentence = f"The job failed in a way nobody foresaw; the log holds the details under {run.job.id}."
            return replace(run.job, state="failed", error=sentence, finished=self._now())
        return replace(run.job, state="completed", finished=self._now())

    async def _keep(self, run: Run, scope: anyio.CancelScope) -> None:
        """Write progress and renew the lease until cancelled; stop the work when it is no longer ours to do."""
        beat = self._context.clock.monotonic()
        while True:
            await anyio.sleep(TICK_SECONDS)
            now = self._context.clock.monotonic()
            if not run.changed and now - beat < BEAT_SECONDS:
                continue
            changed, run.changed, beat = run.changed, False, now
            try:
                ours = await self._beat(run.job)
            except HomeportError:  # the next beat may get through; if none does, another process takes over
                logger.exception("the progress of job %s could not be written", run.job.id)
                continue
            if not ours:
                scope.cancel()
            elif changed:
                await self._tell(run.job)

    async def _beat(self, job: Job) -> bool:
        """Renew the lease; False when the job was cancelled or another process took it over."""

        def work(connection: sqlite3.Connection) -> bool:
            cursor = connection.execute(
                "UPDATE jobs SET beat = ?, body = ? WHERE id = ? AND owner = ? AND state = 'running' AND cancel = 0",
                (self._now(), _body(job), job.id, self._owner),
            )
            return cursor.rowcount == 1

        return await self._file.write(work)

    async def _finish(self, run: Run, ended: Job | None) -> None:
        """Write the end of a job. Without one it was interrupted: cancelled when asked for, else it waits again."""

        def work(connection: sqlite3.Connection) -> Job | None:
            row = connection.execute(
                "SELECT cancel FROM jobs WHERE id = ? AND owner = ? AND state = 'running'", (run.job.id, self._owner)
            ).fetchone()
            if row is None:
                return None
            job = ended or replace(run.job, state="queued")
            if row[0] and ended is None:
                job = replace(run.job, state="cancelled", finished=self._now())
            connection.execute(
                "UPDATE jobs SET state = ?, owner = '', body = ? WHERE id = ?", (job.state, _body(job), job.id)
            )
            return job

        job = await self._file.write(work)
        if job is not None and job.state in FINAL:
            await self._tell(job)
            kind = f"{job.kind}.{'finished' if job.state == 'completed' else job.state}"
            await self._context.events.publish(
                Event(kind, self._uri(job), {"counters": job.counters, "error": job.error})
            )

    async def _tell(self, job: Job) -> None:
        await self._context.changes.updated(self._uri(job), f"{self._address}{RECENT}")

    def _uri(self, job: Job) -> str:
        return f"{self._address}{job.id}"

    def elapsed(self, job: Job) -> float:
        """Return the seconds from the first start of a job to its end, or to now while it runs."""
        if not job.started:
            return 0.0
        end = datetime.fromisoformat(job.finished) if job.finished else self._context.clock.now()
        return round(max((end - datetime.fromisoformat(job.started)).total_seconds(), 0.0), 1)

    def _now(self) -> str:
        return iso(self._context.clock.now())


def _body(job: Job) -> str:
    fields = asdict(job)
    for column in ("id", "kind", "state", "created"):
        del fields[column]
    return json.dumps(fields)  # in ASCII: a path whose bytes are no UTF-8 comes back as it was


def _select(connection: sqlite3.Connection, where: str, values: tuple[Any, ...]) -> list[Job]:
    rows = connection.execute(f"SELECT id, kind, state, created, body FROM jobs WHERE {where}", values)  # noqa: S608
    return [
        Job(id=i, kind=kind, state=state, created=created, **json.loads(body)) for i, kind, state, created, body in rows
    ]
