"""Which scheduler processes are alive: each holds a lock that the system takes back when it ends, however it ends.

A lease with a time would end at a jump of the clock, or while a process is stopped; this lock does neither.
"""

from __future__ import annotations

import secrets
import sqlite3
from pathlib import Path


class Presence:
    """This process among those that share a folder.

    Args:
        folder: Where the lock files are.

    Attributes:
        token: Names this process.
    """

    def __init__(self, folder: Path) -> None:
        self.token = secrets.token_hex(8)
        self._folder = folder
        self._held: sqlite3.Connection | None = None

    def hold(self) -> None:
        """Show that this process is alive, until it ends or `release` is called."""
        if self._held is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._held = _locked(self._folder / f"{self.token}.lock")

    def release(self) -> None:
        """Show that this process does no more."""
        if self._held is not None:
            self._held.close()
            self._held = None
            (self._folder / f"{self.token}.lock").unlink(missing_ok=True)

    def alive(self, token: str) -> bool:
        """Say whether the process `token` holds its lock; what a dead one left is cleaned away."""
        if token == self.token:
            return self._held is not None
        path = self._folder / f"{token}.lock"
        if not token or not path.exists():
            return False
        try:
            _locked(path).close()
        except sqlite3.OperationalError:
            return True
        path.unlink(missing_ok=True)
        return False


def _locked(path: Path) -> sqlite3.Connection:
    """Return a connection that holds the exclusive lock of a file.

    Raises:
        sqlite3.OperationalError: When another process holds it.
    """
    connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except BaseException:
        connection.close()
        raise
    return connection
