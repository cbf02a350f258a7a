"""Logs as JSON lines on stderr and in a rotating file, each with the correlation id of the call it belongs to."""

from __future__ import annotations

import logging
import logging.handlers
import sys
import threading
import time
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from homeport_shared import identity, redaction

MAX_BYTES = 5_000_000
KEPT_FILES = 3
SELDOM_SECONDS = 60.0  # between two lines about what a program writes that is not MCP


def configure(name: str, *, folder: Path | None = None, level: str = "INFO", stderr: bool = True) -> None:
    """Send the log of this process to stderr and, when `folder` is given, to `folder/<name>.log`.

    Args:
        name: What this process is, such as `homeport-files`.
        folder: Where the rotating file goes (3 files of 5 MB); None = stderr only.
        level: The least level that is written.
        stderr: Also write to stderr; a program that talks to a person there keeps its log out of the way.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)] if stderr else []
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        handlers.append(
            logging.handlers.RotatingFileHandler(
                folder / f"{name}.log", maxBytes=MAX_BYTES, backupCount=KEPT_FILES - 1, encoding="utf-8"
            )
        )
    formatter = _FirstUse()
    for handler in handlers:
        handler.setFormatter(formatter)
        handler.addFilter(_add_correlation)
    logging.basicConfig(level=level, handlers=handlers, force=True)
    logging.getLogger("mcp.client.stdio").addFilter(_STRANGE)
    for chatty in ("httpx2", "httpcore2", "httpx", "mcp.server.lowlevel.server"):
        logging.getLogger(chatty).setLevel("WARNING")


class _Seldom(logging.Filter):
    """Lets one record a minute pass: a program that never stops writing garbage must not push all else out."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is written."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + SELDOM_SECONDS
        return True


_STRANGE = _Seldom()  # one for the process, however often the log is configured


def _add_correlation(record: logging.LogRecord) -> bool:
    who = identity.current()
    record.run = who.run
    record.trace = who.traceparent.split("-")[1] if who.traceparent.count("-") == 3 else ""
    return True


class _FirstUse(logging.Formatter):
    """Makes the real formatter for the first line: structlog takes 0.1 s to import, and many processes log nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._real: logging.Formatter | None = None

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        with self._lock:
            if self._real is None:
                self._real = _formatter()
        return self._real.format(record)


def _formatter() -> logging.Formatter:
    import structlog

    # Without the values of variables: they hold documents, arguments and keys.
    traces = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)

    def correlate(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        record: logging.LogRecord | None = event.get("_record")
        for name in ("run", "trace"):
            if value := getattr(record, name, ""):
                event[name] = value
        return event

    def hide(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {k: redaction.tree(v) if isinstance(v, str | dict | list) else v for k, v in event.items()}

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            correlate,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.ExceptionRenderer(traces),
            hide,
            structlog.processors.JSONRenderer(),
        ],
    )
