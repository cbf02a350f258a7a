"""The child's side of `workers`, started by `python -m`; it imports nothing heavy before it is asked to."""

from __future__ import annotations

import os
import pickle
import queue
import signal
import struct
import sys
import threading
from typing import IO, Any

from homeport_shared.errors import HomeportError

HEADER = 8
BEGUN = b""  # comes before the reply once everything is imported: the time that the work may take runs from here
LEFT = 77  # the exit code that tells the parent: left between two requests, ask a new child


def framed(payload: bytes) -> bytes:
    """Return `payload` with its length before it."""
    return struct.pack("!Q", len(payload)) + payload


def size_of(header: bytes) -> int:
    """Return the number of bytes that follow `header`."""
    return struct.unpack("!Q", header)[0]


def main() -> None:
    """Answer requests until stdin closes or nothing came for the idle time."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches the whole terminal; the parent decides what ends
    requests, replies = _take_pipes()
    path, memory_mb, idle_seconds, niceness = pickle.loads(_read(requests))  # noqa: S301 - written by our own parent
    sys.path[:] = path
    if niceness and hasattr(os, "nice"):
        os.nice(niceness)
    if memory_mb is not None:
        _limit_memory(memory_mb * 1024 * 1024)
    inbox: queue.Queue[bytes] = queue.Queue()
    # Its own thread, so that the end of the parent is noticed in the middle of a call, too.
    threading.Thread(target=_receive, args=(requests, inbox), daemon=True).start()
    while True:
        try:
            request = inbox.get(timeout=idle_seconds)
        except queue.Empty:
            os._exit(LEFT)
        try:
            reply = _answer(request, replies)
        except MemoryError:  # what filled the memory may still be there: say so, and leave
            replies.write(framed(pickle.dumps(("memory",))))
            replies.flush()
            os._exit(LEFT)
        replies.write(framed(reply))
        replies.flush()


def _take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Keep stdin and stdout for the frames alone: whatever else prints, prints to stderr."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return requests, replies


def _receive(requests: IO[bytes], inbox: queue.Queue[bytes]) -> None:
    while True:
        inbox.put(_read(requests))


def _read(requests: IO[bytes]) -> bytes:
    header = requests.read(HEADER)
    if len(header) < HEADER:
        os._exit(0)
    return requests.read(size_of(header))


def _answer(request: bytes, replies: IO[bytes]) -> bytes:
    """Run one request; every outcome but a lack of memory becomes a reply that the parent can read."""
    try:
        function, args = pickle.loads(request)  # noqa: S301 - written by our own parent
        replies.write(framed(BEGUN))
        replies.flush()
        return pickle.dumps(("result", function(*args)))
    except HomeportError as error:
        return pickle.dumps(("error", error.code, error.message, error.hint))
    except MemoryError:
        raise
    except BaseException:  # the boundary of the process: the parent logs it and says so
        import traceback

        return pickle.dumps(("unexpected", traceback.format_exc()))


def _limit_memory(limit: int) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    # Not RLIMIT_AS on Linux: mapped libraries and files would count, and a small limit would stop an import.
    kind: Any = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
    _, most = resource.getrlimit(kind)
    resource.setrlimit(kind, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))


if __name__ == "__main__":
    main()
