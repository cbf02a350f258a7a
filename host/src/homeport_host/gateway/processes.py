"""The processes of stdio servers: started so that they end with the host, and cleaned up when the host was killed."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TextIO

import psutil

from homeport_shared import redaction
from homeport_shared.errors import HomeportError

logger = logging.getLogger(__name__)
LAUNCHER = Path(__file__).with_name("launcher.py")
LOG_BYTES = 5_000_000
LOG_FILES = 3
CLOCK_SLACK_SECONDS = 2  # psutil derives start times from the boot time, which is known to the second


def find_command(command: str, path: str | None = None) -> str:
    """Return the full path of a program.

    Args:
        command: A name to look up on PATH, or a path.
        path: The PATH to look on; None = this process's.

    Raises:
        HomeportError: `not_found`, with how to put it right.
    """
    found = shutil.which(command, path=path)
    if found is None:
        raise HomeportError(
            "not_found",
            f"The command {command!r} was not found on PATH.",
            f"Install it, or write the full path of {Path(command).name!r} into the server's configuration.",
        )
    return found


@contextmanager
def launch(folder: Path, name: str, command: str, args: tuple[str, ...]) -> Generator[list[str]]:
    """Yield the command line that starts a server, and forget its record afterwards.

    Linux kills the child together with the host. On macOS a server leaves when its stdin ends; one that ignores
    this is found by its record at the next start. On Windows the SDK's job object ends it.

    Args:
        folder: Where the records of running servers are.
        name: The server's key.
        command: The full path of the program.
        args: Its arguments.
    """
    if sys.platform == "win32":
        yield [command, *args]
        return
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / f"{name}-{secrets.token_hex(4)}"
    try:
        yield [sys.executable, "-I", "-S", str(LAUNCHER), str(record), str(os.getpid()), command, *args]
    finally:
        record.unlink(missing_ok=True)


def clean_up(folder: Path) -> list[int]:
    """Kill the servers that an earlier host left behind; return their pids.

    A recorded process is killed only when it started before its record was written, so that a later process with the
    same number is left alone, and when its parent is no longer the host that started it.
    """
    killed: list[int] = []
    for record in sorted(folder.glob("*")) if folder.is_dir() else []:
        pid = _orphan(record)
        if pid is not None:
            _kill_group(pid)
            killed.append(pid)
            logger.warning("killed process %d, which the server %s had left behind", pid, record.name)
        record.unlink(missing_ok=True)
    return killed


def _orphan(record: Path) -> int | None:
    try:
        pid, host = map(int, record.read_text(encoding="ascii").split())
        process = psutil.Process(pid)
        if process.create_time() > record.stat().st_mtime + CLOCK_SLACK_SECONDS or process.ppid() == host:
            return None
    except (ValueError, OSError, psutil.Error):
        return None
    return pid


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform != "win32" and os.getpgid(pid) == pid:  # the SDK makes each server the leader of a group
            os.killpg(pid, signal.SIGKILL)
        else:
            psutil.Process(pid).kill()


@contextmanager
def log_of(name: str, folder: Path) -> Generator[TextIO]:
    """Yield a text file for a server's stderr; its lines go to the rotating `folder/<name>.log`."""
    folder.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(
        folder / f"{name}.log", maxBytes=LOG_BYTES, backupCount=LOG_FILES - 1, encoding="utf-8", delay=True
    )
    handler.setFormatter(logging.Formatter(f"%(asctime)s {name}: %(message)s"))
    read, write = os.pipe()

    def pump() -> None:
        with os.fdopen(read, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                handler.emit(logging.makeLogRecord({"msg": redaction.text(line.rstrip("\n"))}))
        handler.close()

    # A daemon: a grandchild that keeps the pipe open must not keep the host from ending.
    threading.Thread(target=pump, name=f"stderr of {name}", daemon=True).start()
    with os.fdopen(write, "w", encoding="utf-8") as end:
        yield end
