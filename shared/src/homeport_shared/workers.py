"""A child process for work that must not hurt this one: parsers of untrusted files, models, heavy indexes.

The parent's side. The child's is `worker_child`; both speak frames of an 8-byte length and a pickle over its pipes.
"""

from __future__ import annotations

import logging
import math
import os
import pickle
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any, TypeVar

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from homeport_shared import worker_child
from homeport_shared.errors import HomeportError

T = TypeVar("T")
LEAVE_SECONDS = 1.0  # for a child whose work is done
NICE = 10  # how far a background child steps back; Windows has a class of its own for that
logger = logging.getLogger(__name__)


class Worker:
    """One child process that runs functions, one at a time, in the order of the calls.

    It starts at the first call and ends by itself after `idle_seconds` without one; then the next call starts a new
    one, with none of the old one's module globals. It is killed when a call is cancelled, runs out of time or out of
    memory. It leaves when this process ends, however that happens.

    Args:
        name: What it does, for messages and the log, such as `document reader`.
        memory_mb: The most MiB of data it may hold; None = no limit. Enforced on Linux (RLIMIT_DATA); the kernel of
            macOS takes the limit (RLIMIT_AS) without promising to hold it; Windows has no such limit.
        idle_seconds: How long it stays without work.
        background: Nobody waits for its answers, so it gives way to whatever else the processor is asked for.
    """

    def __init__(
        self, name: str, *, memory_mb: int | None = None, idle_seconds: float = 60.0, background: bool = False
    ) -> None:
        self.name = name
        self._configuration = pickle.dumps((sys.path, memory_mb, idle_seconds, NICE if background else 0))
        self._flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
        self._flags |= getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0) if background else 0
        self._memory_mb = memory_mb
        self._lock = anyio.Lock()
        self._process: Process | None = None
        self._replies: BufferedByteReceiveStream | None = None
        self._said: IO[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id; None while there is none."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def call(self, function: Callable[..., T], *args: Any, timeout: float | None = None) -> T:  # noqa: ASYNC109
        """Run `function(*args)` in the child and return its result.

        Args:
            function: Found by its module and name in the child too; what it keeps, it keeps in module globals.
            args: Sent by pickle, like the result.
            timeout: The most seconds it may take once the child has begun with it; None = no limit.

        Raises:
            HomeportError: What `function` raised itself; `timeout`; `too_large`, out of memory; `unavailable`, the
                child died; `internal`, any other exception, which is in the log under the reference it names.
        """
        request = pickle.dumps((function, args))
        async with self._lock:
            with anyio.CancelScope() as scope:
                try:
                    return self._open(await self._exchange(request, scope, timeout))
                except HomeportError:
                    raise
                except BaseException:  # cancelled, out of time, or a reply that cannot be read: stop the work now
                    await self._kill()
                    raise
        raise HomeportError(
            "timeout",
            f"The {self.name} did not finish within {timeout:g} seconds and was stopped.",
            "Try a smaller input, or allow more time.",
        )

    async def aclose(self) -> None:
        """End the child, also in the middle of a call; a later call would start a new one."""
        process = self._process
        if process is not None and process.stdin and not self._lock.locked():
            with anyio.move_on_after(LEAVE_SECONDS, shield=True):
                await process.stdin.aclose()  # it leaves by itself then
                await process.wait()
        await self._kill()

    async def _exchange(self, request: bytes, scope: anyio.CancelScope, timeout: float | None) -> bytes:  # noqa: ASYNC109
        """Return the child's answer; start a child, and start again if that one was just leaving."""
        while True:
            process, replies = await self._started()
            assert process.stdin
            try:
                await process.stdin.send(worker_child.framed(request))
                answer = await _frame(replies)
                if answer == worker_child.BEGUN:
                    scope.deadline = math.inf if timeout is None else anyio.current_time() + timeout
                    answer = await _frame(replies)
                return answer
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.IncompleteRead, anyio.EndOfStream):
                if self._process is not process:
                    raise HomeportError("cancelled", f"The {self.name} was closed in the middle of the work.") from None
                code, said = await process.wait(), self._drain()
                await self._kill()
            if code != worker_child.LEFT:  # a child that left by itself had not begun this request
                raise self._died(code, said)

    async def _started(self) -> tuple[Process, BufferedByteReceiveStream]:
        if self.pid is None:
            await self._kill()
            # A file, not a pipe: nobody has to read it while the child works, and it outlives a crash.
            self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by _kill
            process = await anyio.open_process(
                [sys.executable, "-P", "-m", "homeport_shared.worker_child"],
                stderr=self._said,
                creationflags=self._flags,
            )
            assert process.stdin and process.stdout
            self._process, self._replies = process, BufferedByteReceiveStream(process.stdout)
            await process.stdin.send(worker_child.framed(self._configuration))
        assert self._process and self._replies
        return self._process, self._replies

    def _open(self, reply: bytes) -> Any:
        kind, *content = pickle.loads(reply)  # noqa: S301 - written by our own child
        if said := self._drain():
            logger.info("%s said: %s", self.name, said)
        if kind == "result":
            return content[0]
        if kind == "error":
            raise HomeportError(*content)
        if kind == "memory":
            raise HomeportError(
                "too_large",
                f"The {self.name} needs more than the {self._memory_mb} MB of memory it may use for this.",
                "Try a smaller input, or raise the limit in the settings.",
            )
        reference = secrets.token_hex(4)
        logger.error("unexpected failure in the %s, reference %s\n%s", self.name, reference, content[0])
        raise HomeportError(
            "internal",
            f"The {self.name} failed in a way nobody foresaw (reference {reference}).",
            "The log holds the details under that reference.",
        )

    def _died(self, code: int, said: str) -> HomeportError:
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        logger.error("the %s ended %s; it said: %s", self.name, how, said)
        hint = "Try again; if it ends the same way, this input is one it cannot survive."
        return HomeportError("unavailable", f"The {self.name} ended {how} in the middle of the work.", hint)

    def _drain(self) -> str:
        """Return the end of what the child and its libraries printed since the last call, and forget it."""
        if self._said is None or not (size := os.fstat(self._said.fileno()).st_size):
            return ""
        self._said.seek(max(0, size - 4000))
        text = self._said.read().decode("utf-8", "replace").strip()
        self._said.seek(0)
        self._said.truncate()
        return text

    async def _kill(self) -> None:
        process, said = self._process, self._said
        self._process = self._replies = self._said = None
        if said is not None:
            said.close()
        if process is not None:
            with suppress(ProcessLookupError):  # it has just ended by itself
                if process.returncode is None:
                    process.kill()
            with anyio.CancelScope(shield=True):
                await process.aclose()


async def _frame(replies: BufferedByteReceiveStream) -> bytes:
    size = worker_child.size_of(await replies.receive_exactly(worker_child.HEADER))
    return await replies.receive_exactly(size) if size else b""
