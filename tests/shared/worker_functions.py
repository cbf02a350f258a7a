"""What the tests of `workers` run in the child."""

from __future__ import annotations

import os
import pathlib
import signal
import sys
import time

from homeport_shared.errors import HomeportError

calls = 0


def add(a: int, b: int) -> int:
    return a + b


def counted() -> int:
    global calls
    calls += 1
    return calls


def refuse(name: str) -> None:
    raise HomeportError("denied", f"{name} is protected by a password.", "Remove it.")


def fail() -> None:
    raise KeyError("missing piece")


def leave(code: int) -> None:
    os._exit(code)


def die(number: int) -> None:
    os.kill(os.getpid(), number)


def hang(note: str) -> None:
    with pathlib.Path(note).open("w") as file:
        file.write(str(os.getpid()))
    time.sleep(3600)


def hang_deaf(note: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    hang(note)


def chatter() -> str:
    print("a library greets")
    os.write(1, b"and so does its C part\n")
    print("with a warning", file=sys.stderr)
    return sys.stdin.read()


def fill(megabytes: int) -> int:
    return len(bytearray(megabytes * 1024 * 1024))


def echo(data: bytes) -> bytes:
    return data


def cannot_travel() -> object:
    return lambda: None


def path_of_modules() -> list[str]:
    return sys.path
