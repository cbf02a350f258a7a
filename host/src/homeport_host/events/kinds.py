"""Which types of event there are, what each carries, and who may raise it. Pure."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from homeport_shared.errors import HomeportError
from homeport_shared.events import Event

OWN = "homeport"  # the source of what the host itself raises
LARGEST = 64 * 1024  # bytes of an event's data
LONGEST_SUBJECT = 2_000  # characters
ENDED = ("completed", "failed", "cancelled")
CUSTOM = "custom"
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+")
_PATTERN = re.compile(r"[A-Za-z0-9_*?-]+(\.[A-Za-z0-9_*?-]+)+|\*")


class Payload(BaseModel):
    """What an event carries; more than what is named is kept, too."""

    model_config = ConfigDict(extra="allow", strict=True)


class FilePayload(Payload):
    """Of a file or folder."""

    path: str = Field(description="of it, as its server writes paths")


class RootPayload(Payload):
    """Of a folder that is served."""

    folder: str = ""


class WorkPayload(Payload):
    """Of a server's long work that ended."""

    counters: dict[str, Any] = Field(default_factory=dict[str, Any])
    error: dict[str, Any] | str | None = None


class MatchPayload(Payload):
    """Of a saved search that found something new."""

    documents: list[Any]


class MailPayload(Payload):
    """Of a message that arrived."""

    account: str
    folder: str
    sender: str
    subject: str


class JobPayload(Payload):
    """Of a job's run that ended."""

    job: str
    name: str
    run: str
    state: Literal["completed", "failed", "cancelled", "skipped"]


class RunPayload(Payload):
    """Of a run of the host."""

    kind: str
    title: str = ""
    owner: str = ""
    waits_for: str = ""


class NodePayload(Payload):
    """Of a workflow's step that failed."""

    node: str
    error: dict[str, Any] | None = None


class ApprovalPayload(Payload):
    """Of a call that waits for a person, or was decided."""

    tool: str
    caller: str


class MetricPayload(Payload):
    """Of a measured value that passed its limit."""

    metric: str
    value: float
    limit: float


class RefusedPayload(Payload):
    """Of an event that was refused, or not delivered."""

    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of event.

    Attributes:
        pattern: Its name, or a pattern of names.
        about: What happened, in a few words.
        sources: The keys of the servers that may raise it; empty = all.
        payload: What it carries.
    """

    pattern: str
    about: str
    sources: tuple[str, ...]
    payload: type[Payload]


FILES = ("files", "scheduler")
_WORK = {
    "ingest": "documents were indexed",
    "auto_ingest": "documents of a watched folder were indexed",
    "upload": "an upload was taken over",
    "embed": "passages can be found by meaning",
    "rebuild": "the index was built anew",
    "vacuum": "the knowledge base was cleaned up",
    "install_model": "the embedding model was installed",
    "sync": "two folders were synchronised",
    "question": "a question about files was answered",
    "cleanup": "files were cleaned up",
    "vectorize": "files went into the knowledge base",
}
KINDS = (
    *(Kind(f"file.{what}", f"a file was {what}", FILES, FilePayload) for what in ("created", "changed", "modified")),
    *(Kind(f"file.{what}", f"a file was {what}", FILES, FilePayload) for what in ("deleted", "moved", "tagged")),
    Kind("folder.*", "a folder was created, changed, moved or deleted", FILES, FilePayload),
    Kind("root.*", "a served folder was added, removed, vanished or returned", ("files",), RootPayload),
    *(
        Kind(f"{work}.{state}", f"{about} ({state})", ("files", "rag", "web"), WorkPayload)
        for work, about in _WORK.items()
        for state in ("finished", "failed", "cancelled")
    ),
    Kind("rag.saved_search_matched", "a saved search found new documents", ("rag",), MatchPayload),
    Kind("mail.received", "a message arrived", ("mail",), MailPayload),
    *(Kind(f"job.{state}", f"a job's run {state}", ("scheduler",), JobPayload) for state in (*ENDED, "skipped")),
    *(Kind(f"run.{state}", f"a task is {state}", (OWN,), RunPayload) for state in ("waiting", *ENDED)),
    Kind("workflow.node_failed", "a step of a workflow failed", (OWN,), NodePayload),
    Kind("approval.requested", "a call waits for a person", (OWN,), ApprovalPayload),
    Kind("approval.decided", "a person decided on a call", (OWN,), ApprovalPayload),
    Kind("metric.breached", "a measured value passed its limit", ("monitoring", OWN), MetricPayload),
    Kind("alert.raised", "something needs attention", ("monitoring", OWN), MetricPayload),
    Kind("webhook.*", "another program posted to a webhook", ("scheduler", OWN), Payload),
    Kind("timer.*", "a timer went off", ("scheduler", OWN), Payload),
    Kind("event.refused", "an event was refused", (OWN,), RefusedPayload),
    Kind("event.dropped", "a subscription was too far behind", (OWN,), RefusedPayload),
)
# What tells of events itself starts nothing: it could go round for ever.
SILENT = ("event.",)
_FAMILIES = {kind.pattern.partition(".")[0] for kind in KINDS}


def known(name: str) -> Kind | None:
    """Return the type of that name; None for a custom one."""
    return next((kind for kind in KINDS if fnmatch.fnmatchcase(name, kind.pattern)), None)


def check(event: Event, source: str, granted: Sequence[str] | None = None) -> None:
    """Refuse an event that is not what it says.

    Args:
        event: The event.
        source: The key of the server that raises it; `homeport` = the host.
        granted: Patterns of the types that the server of somebody else may raise, also those of another server; None =
            the server is ours.

    Raises:
        HomeportError: `invalid` for a name, subject or payload that does not fit; `denied` for a source that may not.
    """
    kind = known(event.kind)
    if kind is None and (not _NAME.fullmatch(event.kind) or event.kind.partition(".")[0] in _FAMILIES):
        raise HomeportError(
            "invalid", f"{event.kind[:80]!r} is no type of event.", "Use one of events://types, or your own a.b."
        )
    if not _may(kind, event.kind, source, granted):
        raise HomeportError(
            "denied", f"{source} may not raise {event.kind}.", "Events of your own are named otherwise, such as a.b."
        )
    if len(event.subject) > LONGEST_SUBJECT or _size(event.data) > LARGEST:
        raise HomeportError("invalid", f"{event.kind} is too large.", f"Its data has at most {LARGEST >> 10} KB.")
    if kind is not None:
        _fits(kind, event.data)


def check_pattern(pattern: str) -> None:
    """Refuse a pattern that no event can fit.

    Raises:
        HomeportError: `invalid`.
    """
    head = pattern.partition(".")[0]
    possible = any(fnmatch.fnmatchcase(k.pattern, pattern) or fnmatch.fnmatchcase(pattern, k.pattern) for k in KINDS)
    if not _PATTERN.fullmatch(pattern) or (head in _FAMILIES and not possible):
        raise HomeportError(
            "invalid", f"{pattern[:80]!r} is no type of event.", "Write one such as file.created, or a pattern: file.*."
        )


def types() -> list[dict[str, Any]]:
    """Return the types as they are shown: name, what happened, who raises it, and the schema of its data."""
    rows: list[dict[str, Any]] = [
        {"kind": k.pattern, "about": k.about, "sources": list(k.sources), "schema": k.payload.model_json_schema()}
        for k in KINDS
    ]
    schema: dict[str, Any] = {"type": "object"}
    return [*rows, {"kind": "*.*", "about": "your own: any other name with a dot", "sources": [], "schema": schema}]


def _may(kind: Kind | None, name: str, source: str, granted: Sequence[str] | None) -> bool:
    if granted is None:
        return kind is None or not kind.sources or source in kind.sources
    return (kind is None or kind.sources != (OWN,)) and any(fnmatch.fnmatchcase(name, each) for each in granted)


def _fits(kind: Kind, data: Mapping[str, Any]) -> None:
    try:
        kind.payload.model_validate(dict(data))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:5])
        raise HomeportError("invalid", f"The data of {kind.pattern} does not fit: {wrong}.") from error


def _size(data: Mapping[str, Any]) -> int:
    try:
        text = json.dumps(data, ensure_ascii=False, allow_nan=False)
        if "\\u0000" in text:  # PostgreSQL stores no such text, and would refuse the events beside it, too
            raise ValueError("a text holds the character NUL")
        return len(text.encode())
    except (TypeError, ValueError) as error:
        raise HomeportError("invalid", "The data of the event is not JSON.") from error
