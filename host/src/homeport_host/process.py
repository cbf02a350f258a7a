"""One host per data root: who it is, how to reach it, with which credential, and how to start and stop it."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import anyio
import anyio.to_thread
import psutil
from filelock import FileLock, Timeout

from homeport_shared.atomic import write_atomically
from homeport_shared.errors import HomeportError

DEFAULT_PORT = 8642
START_SECONDS = 60.0
IDLE_EXIT_SECONDS = 900

# person: the dashboard and the command line; client: the stdio shim and what `homeport install` writes.
Role = Literal["person", "client", "job"]
ROLES: tuple[Role, ...] = ("person", "client", "job")


@dataclass(frozen=True, slots=True)
class HostRecord:
    """How to reach the running host; `host/host.json` in the data root.

    Attributes:
        created: The process's creation time in seconds since the epoch: a pid alone may belong to somebody else by now.
    """

    pid: int
    created: float
    address: str
    version: str

    @property
    def mcp_url(self) -> str:
        """The address of the MCP endpoint."""
        return f"{self.address}/mcp"


def folder(home: Path) -> Path:
    """Return the host's own folder in the data root."""
    return home / "host"


def running(home: Path) -> HostRecord | None:
    """Return the record of the host that runs on `home` now; None when there is none."""
    try:
        record = HostRecord(**json.loads((folder(home) / "host.json").read_text("utf-8")))
        process = psutil.Process(record.pid)
        alive = abs(process.create_time() - record.created) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except (FileNotFoundError, ValueError, TypeError, psutil.Error):
        return None
    return record if alive else None


def worker_id(folder: Path) -> str:
    """Return the name of this host among those that share a database: made once, kept in its folder."""
    path = folder / "worker"
    if not path.exists():
        write_atomically(path, secrets.token_hex(8).encode())
    return path.read_text("ascii")


@contextmanager
def sole_host(home: Path) -> Generator[None]:
    """Hold the data root for this process; the lock goes with the process, however it ends.

    Raises:
        HomeportError: `conflict`, naming the host that holds it.
    """
    folder(home).mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder(home) / "host.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        record = running(home)
        who = f"process {record.pid} at {record.address}" if record else "another process"
        raise HomeportError(
            "conflict",
            f"A host runs on {home} already ({who}).",
            "Use it, stop it with `homeport stop`, or set HOMEPORT_HOME to another folder.",
        ) from None
    try:
        yield
    finally:
        (folder(home) / "host.json").unlink(missing_ok=True)
        lock.release()


def announce(home: Path, address: str, version: str) -> HostRecord:
    """Write `host.json` for this process."""
    record = HostRecord(os.getpid(), psutil.Process().create_time(), address, version)
    write_atomically(folder(home) / "host.json", json.dumps(asdict(record)).encode(), secret=True)
    return record


class Credentials(Mapping[str, str]):
    """Token → holder, as the file has it now: a client that came after the host is let in, one taken out is not."""

    def __init__(self, home: Path) -> None:
        self._path = folder(home) / "credentials.json"
        for role in ROLES:
            credential(home, role)
        self._seen = 0
        self._holders: dict[str, str] = {}

    def __getitem__(self, token: str) -> str:
        return self._current()[token]

    def __iter__(self) -> Iterator[str]:
        return iter(self._current())

    def __len__(self) -> int:
        return len(self._current())

    def _current(self) -> dict[str, str]:
        try:
            changed = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            changed = -1
        if changed != self._seen:
            self._holders = {str(token): holder for holder, token in _read_json(self._path).items()}
            self._seen = changed
        return self._holders


def credential(home: Path, holder: str) -> str:
    """Return the token of a role, or of the client `client:NAME`; it is made when missing.

    The file is readable by its owner only. Deleting it takes all credentials back.

    Raises:
        HomeportError: `damaged`, when the file does not parse.
    """
    path = folder(home) / "credentials.json"
    if holder not in (tokens := _read_json(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder(home) / "credentials.lock"):  # two clients that come for the first time at once
            tokens = _read_json(path)
            tokens.setdefault(holder, secrets.token_urlsafe(32))
            write_atomically(path, json.dumps(tokens, indent=1).encode(), secret=True)
    return tokens[holder]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise HomeportError("damaged", f"{path} does not parse.", "Delete it; clients then install again.") from error


async def ensure_running(home: Path) -> HostRecord:
    """Return the running host, after starting one in the background when there is none.

    It leaves by itself after `IDLE_EXIT_SECONDS` without a client or a run.

    Raises:
        HomeportError: `unavailable`, with the end of its log, when it does not come up in `START_SECONDS`.
    """
    if (record := running(home)) is not None:
        return record
    folder(home).mkdir(parents=True, exist_ok=True)
    starting = FileLock(folder(home) / "starting.lock")  # two clients that come at once start one host
    await anyio.to_thread.run_sync(starting.acquire)
    try:
        return running(home) or await _start(home)
    finally:
        starting.release()


async def _start(home: Path) -> HostRecord:
    log = home / "logs" / "host-start.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        child = _start_detached(home, output)
    # It outlives us, or we it: then its end must be noticed, or it stays a zombie.
    threading.Thread(target=child.wait, name="end of the host", daemon=True).start()
    await _until(lambda: running(home) is not None or child.poll() is not None, START_SECONDS)
    record = running(home)
    if record is None:
        tail = log.read_text("utf-8", errors="replace")[-800:].strip()
        raise HomeportError("unavailable", f"The host did not start: {tail or 'it said nothing'}.", f"See {log}.")
    return record


def _start_detached(home: Path, output: BinaryIO) -> subprocess.Popen[bytes]:  # noqa: TID251 - see below
    """Start a host that outlives this process, its terminal and its client: no task group may own it."""
    where = ["--http", "127.0.0.1:0", "--idle-exit", str(IDLE_EXIT_SECONDS)]
    detach: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        detach = {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    return subprocess.Popen[bytes](  # noqa: TID251
        [sys.executable, "-P", "-m", "homeport", "serve", *where],  # -P: no module out of the folder it starts in
        env=os.environ | {"HOMEPORT_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        close_fds=True,
        **detach,
    )


async def _until(true: Callable[[], bool], seconds: float) -> bool:
    with anyio.move_on_after(seconds):
        while not true():  # noqa: ASYNC110 - another process tells us by a file: there is nothing to wait on
            await anyio.sleep(0.05)
        return True
    return False


async def stop(home: Path, seconds: float = 15.0) -> bool:
    """Stop the running host and wait until it is gone; False when there was none.

    Raises:
        HomeportError: `timeout`, when it does not go in time.
    """
    record = running(home)
    if record is None:
        return False
    process = psutil.Process(record.pid)
    process.terminate()
    if not await _until(lambda: _ended(process), seconds):
        raise HomeportError(
            "timeout", f"Host {record.pid} did not stop in {seconds:.0f} s.", f"End process {record.pid}."
        )
    return True


def _ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # between the two questions
        return True
