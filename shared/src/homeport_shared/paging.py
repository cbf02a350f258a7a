"""Cursors for lists: opaque to the client, checked on the way back."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from homeport_shared.errors import HomeportError


def encode(position: dict[str, Any]) -> str:
    """Return `position` as an opaque cursor."""
    return base64.urlsafe_b64encode(json.dumps(position, separators=(",", ":")).encode()).decode().rstrip("=")


def decode(cursor: str) -> dict[str, Any]:
    """Return the position in `cursor`; empty for an empty cursor.

    Raises:
        HomeportError: `invalid`, when `cursor` was not made by `encode`.
    """
    if not cursor:
        return {}
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        position = json.loads(raw)
    except (binascii.Error, ValueError):
        position = None
    if not isinstance(position, dict):
        raise HomeportError("invalid", f"The cursor {cursor[:40]!r} is not one of ours.", "Start without a cursor.")
    return position  # pyright: ignore[reportUnknownVariableType]
