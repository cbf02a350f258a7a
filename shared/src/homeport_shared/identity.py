"""Who is behind a call: carried in `_meta` under `io.homeport/*`, believed only on a connection the host made."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Any

PREFIX = "io.homeport/"
KEY = f"{PREFIX}key"
LABELS = f"{PREFIX}labels"
ERROR = f"{PREFIX}error"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who makes a call, and for which piece of work. Empty string = not known.

    Attributes:
        actor: The person or client.
        caller: Which kind of caller the host takes it for: `person`, `chat`, `ask`, `client` or `job`.
        change_set: Groups changes that are taken back together.
        traceparent: W3C trace context.
    """

    actor: str = ""
    caller: str = ""
    agent: str = ""
    run: str = ""
    tenant: str = ""
    change_set: str = ""
    traceparent: str = ""

    @property
    def owner(self) -> str:
        """Whose the things are that this call makes, such as `client:cursor`; empty = the person's."""
        return "" if self.caller in {"", "person"} else f"{self.caller}:{self.actor}"

    def as_meta(self, key: str = "") -> dict[str, str]:
        """Return the `_meta` entries that carry this identity to a server.

        Args:
            key: The secret the host gave that server's process; empty for an in-process server.
        """
        fields = {name: value for name, value in asdict(self).items() if value}
        trace = fields.pop("traceparent", "")
        meta = {f"{PREFIX}{name}": value for name, value in fields.items()}
        if trace:
            meta["traceparent"] = trace
        if key:
            meta[KEY] = key
        return meta


ALONE = Identity()
_current: ContextVar[Identity] = ContextVar("homeport_identity", default=ALONE)


def current() -> Identity:
    """Return the identity of the call that is being served in this task."""
    return _current.get()


def enter(identity: Identity) -> None:
    """Set the identity for the rest of this task's call."""
    _current.set(identity)


def from_meta(meta: Mapping[str, Any] | None, *, trusted: bool, key: str = "", client: str = "") -> Identity:
    """Read the identity out of a request's `_meta`.

    Args:
        meta: The request's `_meta`, or None.
        trusted: The connection is in-process, so what it says is the host's own word.
        key: The secret from the environment that a request must repeat to be believed; empty when there is none.
        client: The name the client introduced itself with; the actor when nothing else is believed.
    """
    meta = meta or {}
    believed = trusted or (bool(key) and hmac.compare_digest(str(meta.get(KEY, "")), key))
    trace = str(meta.get("traceparent", ""))
    if not believed:
        return Identity(actor=client, traceparent=trace)
    names = ("actor", "caller", "agent", "run", "tenant", "change_set")
    return Identity(**{name: str(meta.get(f"{PREFIX}{name}", "")) for name in names}, traceparent=trace)


def strip(meta: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return `meta` without any `io.homeport/*` entry: what came from outside is not to be believed."""
    return {name: value for name, value in (meta or {}).items() if not name.startswith(PREFIX)}
