"""Jobs, runs and events in one SQLite file; what they mean is decided elsewhere."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from homeport_scheduler.definitions import Definition
from homeport_scheduler.records import Job, Note, Run
from homeport_shared.sqlite import Schema, SqliteFile

T = TypeVar("T")
_JOB = "id, enabled, agreed, owner, next, version, created, updated, deleted, sources, body"
_RUN = (
    "id, job, name, kind, cause, state, planned, not_before, priority, attempt, started, finished, seconds, category,"
    " detail, agreed, event, attempts, host_run, process"
)
_COLUMNS = tuple(_RUN.replace(",", "").split())
_UPDATE = f"UPDATE runs SET {', '.join(f'{name} = ?' for name in _COLUMNS[5:])} WHERE id = ?"  # noqa: S608 - own names
SCHEMA = Schema(
    "homeport.scheduler",
    (
        """
        CREATE TABLE jobs (
            id TEXT PRIMARY KEY, name TEXT NOT NULL, enabled INTEGER NOT NULL, agreed INTEGER NOT NULL,
            owner TEXT NOT NULL, kind TEXT NOT NULL, trigger TEXT NOT NULL, next TEXT NOT NULL,
            version INTEGER NOT NULL, created TEXT NOT NULL, updated TEXT NOT NULL, deleted TEXT NOT NULL,
            sources TEXT NOT NULL, body TEXT NOT NULL
        );
        CREATE UNIQUE INDEX jobs_name ON jobs (name) WHERE deleted = '';
        CREATE INDEX jobs_next ON jobs (next) WHERE enabled AND next != '' AND deleted = '';
        CREATE INDEX jobs_trigger ON jobs (trigger);
        CREATE TABLE runs (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, job TEXT NOT NULL, name TEXT NOT NULL,
            kind TEXT NOT NULL, cause TEXT NOT NULL, state TEXT NOT NULL, planned TEXT NOT NULL,
            not_before TEXT NOT NULL, priority INTEGER NOT NULL, attempt INTEGER NOT NULL, started TEXT NOT NULL,
            finished TEXT NOT NULL, seconds REAL NOT NULL, category TEXT NOT NULL, detail TEXT NOT NULL,
            agreed INTEGER NOT NULL, event TEXT NOT NULL, attempts TEXT NOT NULL, host_run TEXT NOT NULL,
            process TEXT NOT NULL
        );
        CREATE INDEX runs_job ON runs (job, seq);
        CREATE INDEX runs_open ON runs (state, not_before) WHERE state IN ('queued', 'running');
        CREATE TABLE events (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, at TEXT NOT NULL, kind TEXT NOT NULL,
            subject TEXT NOT NULL, data TEXT NOT NULL
        );
        CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
        """,
        "ALTER TABLE events ADD COLUMN correlation TEXT NOT NULL DEFAULT ''",
    ),
)


class Books:
    """The tables, inside one transaction. All methods belong to the block that got it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def fact(self, name: str, default: str = "") -> str:
        """Return a remembered value."""
        row = self._connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return row[0] if row else default

    def remember(self, name: str, value: str) -> None:
        """Remember a value under a name."""
        self._connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    # Jobs

    def job(self, wanted: str, *, deleted: bool = False) -> Job | None:
        """Return a job by id or name; the deleted ones only by id and when asked for."""
        found = self._jobs("(id = ? OR name = ?) AND (deleted = '' OR ?) LIMIT 1", (wanted, wanted, deleted))
        return found[0] if found else None

    def put(self, job: Job) -> None:
        """Store a job in place of what was stored under its id."""
        definition = job.definition
        self._connection.execute(
            "INSERT OR REPLACE INTO jobs (id, name, enabled, agreed, owner, kind, trigger, next, version, created,"
            " updated, deleted, sources, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                job.id, definition.name, job.enabled, job.agreed, job.owner, job.kind, job.trigger, job.next,
                job.version, job.created, job.updated, job.deleted, json.dumps(job.sources),
                definition.model_dump_json(exclude_defaults=True),
            ),
        )  # fmt: skip

    def named(self, name: str) -> str:
        """Return the id of the job of that name; empty when there is none."""
        row = self._connection.execute("SELECT id FROM jobs WHERE name = ? AND deleted = ''", (name,)).fetchone()
        return row[0] if row else ""

    def all(self) -> list[Job]:
        """Return every job, by name."""
        return self._jobs("deleted = '' ORDER BY name", ())

    def that_come_after(self) -> list[Job]:
        """Return the jobs that come after others, by name; perhaps a few more, for the words may stand elsewhere."""
        return self._jobs("deleted = '' AND instr(body, '\"after\":') ORDER BY name", ())

    def search(self, query: str, filters: dict[str, str | int], after: str, limit: int) -> list[Job]:
        """Return jobs by name.

        Args:
            query: Part of the name or of what it does; empty = any.
            filters: Column → value; only `enabled`, `kind`, `trigger` and `owner`.
            after: Only names behind this one.
            limit: Most jobs to return.
        """
        columns = [name for name in filters if name in {"enabled", "kind", "trigger", "owner"}]
        chosen = "".join(f" AND {name} = ?" for name in columns)
        return self._jobs(
            f"deleted = '' AND name > ? AND (? = '' OR instr(lower(body), lower(?))){chosen} ORDER BY name LIMIT ?",
            (after, query, query, *(filters[name] for name in columns), limit),
        )

    def due(self, now: str, limit: int) -> list[Job]:
        """Return the jobs whose next instant is there, the oldest first."""
        return self._jobs("enabled AND deleted = '' AND next != '' AND next <= ? ORDER BY next LIMIT ?", (now, limit))

    def waiting_for_events(self) -> list[Job]:
        """Return the jobs that an event may start."""
        return self._jobs("trigger = 'event' AND enabled AND deleted = ''", ())

    def set_next(self, job: str, following: str) -> None:
        """Store the next instant of a job."""
        self._connection.execute("UPDATE jobs SET next = ? WHERE id = ?", (following, job))

    def coming(self, limit: int) -> list[Job]:
        """Return the enabled jobs that have a next instant, the next one first."""
        return self._jobs("enabled AND deleted = '' AND next != '' ORDER BY next LIMIT ?", (limit,))

    def counts(self) -> tuple[int, int]:
        """Return how many jobs there are, and how many of them are enabled."""
        row = self._connection.execute(
            "SELECT count(*), coalesce(sum(enabled), 0) FROM jobs WHERE deleted = ''"
        ).fetchone()
        return row[0], row[1]

    def _jobs(self, condition: str, values: Sequence[Any]) -> list[Job]:
        rows = self._connection.execute(f"SELECT {_JOB} FROM jobs WHERE {condition}", tuple(values))  # noqa: S608
        return [_job(row) for row in rows]

    # Runs

    def add(self, run: Run) -> bool:
        """Store a new run; False when there is one of its id, and nothing is stored."""
        marks = ", ".join("?" * len(_COLUMNS))
        statement = f"INSERT OR IGNORE INTO runs ({_RUN}) VALUES ({marks})"  # noqa: S608 - own names
        return self._connection.execute(statement, _values(run)).rowcount == 1

    def change(self, run: Run) -> None:
        """Store a run in place of what was stored under its id."""
        self._connection.execute(_UPDATE, (*_values(run)[5:], run.id))

    def run(self, identifier: str) -> Run | None:
        """Return a run."""
        found = self._runs("id = ?", (identifier,))
        return found[0] if found else None

    def open(self, now: str, limit: int) -> list[Run]:
        """Return the runs that wait and may start, most urgent first, the oldest of them first."""
        return self._runs(
            "state = 'queued' AND not_before <= ? ORDER BY priority DESC, planned, seq LIMIT ?", (now, limit)
        )

    def running(self) -> list[Run]:
        """Return the runs that are under way."""
        return self._runs("state = 'running'", ())

    def unfinished(self, job: str) -> int:
        """Return how many runs of a job wait or are under way."""
        query = "SELECT count(*) FROM runs WHERE state IN ('queued', 'running') AND job = ?"
        return self._connection.execute(query, (job,)).fetchone()[0]

    def last(self, job: str) -> Run | None:
        """Return the newest run of a job that was not skipped."""
        found = self._runs("job = ? AND state != 'skipped' ORDER BY seq DESC LIMIT 1", (job,))
        return found[0] if found else None

    def history(self, filters: dict[str, str], before: int, limit: int) -> list[tuple[int, Run]]:
        """Return runs with their number, newest first.

        Args:
            filters: `job`, `state`, `cause` and `kind` must be equal; `since` is the earliest planned
                instant; `query` is part of the name or the detail. Empty values do not count.
            before: Only numbers below; 0 = any.
            limit: Most runs to return.
        """
        rules = {
            "job": "job = ?", "state": "state = ?", "cause": "cause = ?", "kind": "kind = ?",
            "since": "planned >= ?", "query": "instr(lower(name || ' ' || detail), lower(?))",
        }  # fmt: skip
        used = [name for name, value in filters.items() if value]
        condition = "".join(f"{rules[name]} AND " for name in used) + "(? = 0 OR seq < ?) ORDER BY seq DESC LIMIT ?"
        values = (*(filters[name] for name in used), before, before, limit)
        rows = self._connection.execute(f"SELECT seq, {_RUN} FROM runs WHERE {condition}", values)  # noqa: S608
        return [(row[0], _run(row[1:])) for row in rows]

    def first_wait(self, now: str) -> str:
        """Return when, after now, a job is due or a delayed run may start; empty when there is neither."""
        return self._connection.execute(
            "SELECT coalesce(min(at), '') FROM (SELECT min(next) AS at FROM jobs WHERE enabled AND next > ?"
            " AND deleted = '' UNION ALL SELECT min(not_before) FROM runs WHERE state = 'queued' AND not_before > ?)",
            (now, now),
        ).fetchone()[0]

    def totals(self, job: str, since: str) -> list[tuple[str, int, float, float, float]]:
        """Return state, number, mean, shortest and longest seconds of the runs planned since, of one or all jobs."""
        query = (
            "SELECT state, count(*), avg(seconds), min(seconds), max(seconds) FROM runs"
            " WHERE (? = '' OR job = ?) AND planned >= ? GROUP BY state"
        )
        return self._connection.execute(query, (job, job, since)).fetchall()

    def _runs(self, condition: str, values: Sequence[Any]) -> list[Run]:
        rows = self._connection.execute(f"SELECT {_RUN} FROM runs WHERE {condition}", tuple(values))  # noqa: S608
        return [_run(row) for row in rows]

    # Events

    def note(self, notes: Iterable[Note]) -> int:
        """Keep events, each key once; return how many were new."""
        return sum(
            self._connection.execute(
                "INSERT OR IGNORE INTO events (key, at, kind, subject, data, correlation) VALUES (?, ?, ?, ?, ?, ?)",
                (note.key, note.at, note.kind, note.subject, json.dumps(note.data), note.correlation),
            ).rowcount
            for note in notes
        )

    def notes(self, after: int, limit: int, since: str = "") -> list[Note]:
        """Return events with a number above `after`, oldest first."""
        query = (
            "SELECT key, at, kind, subject, data, seq, correlation FROM events"
            " WHERE seq > ? AND at >= ? ORDER BY seq LIMIT ?"
        )
        rows = self._connection.execute(query, (after, since, limit))
        return [Note(*row[:4], data=json.loads(row[4]), seq=row[5], correlation=row[6]) for row in rows]

    def forget(self, before: str, most_events: int) -> None:
        """Delete ended runs and events from before a moment, deleted jobs too, and events beyond a number."""
        execute = self._connection.execute
        execute("DELETE FROM runs WHERE finished != '' AND finished < ?", (before,))
        execute("DELETE FROM jobs WHERE deleted != '' AND deleted < ?", (before,))
        execute("DELETE FROM events WHERE at < ?", (before,))
        execute("DELETE FROM events WHERE seq <= (SELECT max(seq) FROM events) - ?", (most_events,))


class Store:
    """The scheduler's file.

    Args:
        path: The database file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: SqliteFile | None = None

    async def read(self, work: Callable[[Books], T]) -> T:
        """Run `work` on the tables and return its result."""
        return await self._opened().read(lambda connection: work(Books(connection)))

    async def write(self, work: Callable[[Books], T]) -> T:
        """Run `work` in one transaction: all of it is kept, or none."""
        return await self._opened().write(lambda connection: work(Books(connection)))

    async def aclose(self) -> None:
        """Close the file."""
        if self._file is not None:
            await self._file.aclose()

    def _opened(self) -> SqliteFile:
        if self._file is None:
            self._file = SqliteFile(self.path, SCHEMA)
        return self._file


def _job(row: Sequence[Any]) -> Job:
    identifier, enabled, agreed, owner, following, version, created, updated, deleted, sources, body = row
    definition, told = Definition.model_validate_json(body), tuple(json.loads(sources))
    return Job(
        identifier, definition, bool(enabled), bool(agreed), owner, following, version, created, updated, deleted, told
    )


def _run(row: Sequence[Any]) -> Run:
    fields = dict(zip(_COLUMNS, row, strict=True))
    event = json.loads(fields.pop("event"))
    attempts = json.loads(fields.pop("attempts"))
    return replace(Run(**fields), event=event, attempts=attempts, agreed=bool(fields["agreed"]))


def _values(run: Run) -> tuple[Any, ...]:
    return tuple(
        json.dumps(getattr(run, name)) if name in {"event", "attempts"} else getattr(run, name) for name in _COLUMNS
    )
