"""One form for every failure that a person or a model is meant to read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, cast, get_args

ErrorCode = Literal[
    "invalid",  # the arguments or the content cannot be used as they are
    "not_found",
    "denied",  # policy, roots or permissions refuse it
    "approval_required",  # it waits for a person
    "conflict",  # somebody else changed it, or it is there already
    "unsupported",
    "too_large",
    "unavailable",  # a server, provider or store is down for now
    "timeout",
    "cancelled",
    "limit",  # a limit of this run, client or provider is used up
    "damaged",  # stored or given data does not hold together
    "internal",
]
CODES: frozenset[str] = frozenset(get_args(ErrorCode))
LONGEST_MESSAGE = 2_000  # characters; a message names the input, which may be of any length


class HomeportError(Exception):
    """A failure that was foreseen: says what happened and what to do next.

    Args:
        code: One of `ErrorCode`, for programs.
        message: One plain sentence that names the input, for people and models.
        hint: The next step, one plain sentence; empty where there is none.
    """

    def __init__(self, code: ErrorCode, message: str, hint: str = "") -> None:
        if len(message) > LONGEST_MESSAGE:
            message = f"{message[: LONGEST_MESSAGE // 2]} … {message[-LONGEST_MESSAGE // 4 :]}"
        super().__init__(message)
        self.code: ErrorCode = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()

    @classmethod
    def from_dict(cls, told: Mapping[str, Any], otherwise: str = "") -> HomeportError:
        """Read what `as_dict` made, as another process may have sent it.

        Args:
            told: What arrived; anything may be missing.
            otherwise: The message where there is none.
        """
        code = cast("ErrorCode", told["code"]) if told.get("code") in CODES else "internal"
        return cls(code, str(told.get("message") or otherwise), str(told.get("hint") or ""))

    def as_dict(self) -> dict[str, str]:
        """Return `{code, message, hint}` as it travels in `_meta["io.homeport/error"]`."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


def refuse_broken_text(value: Any, subject: str) -> None:
    r"""Refuse JSON with half a character in it, such as `"\ud83d"`: it can be neither stored nor sent on.

    Args:
        value: JSON-able.
        subject: What it was given to.

    Raises:
        HomeportError: `invalid`.
    """
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = ascii(error.object[error.start])
        raise HomeportError(
            "invalid", f"{subject} was given text with half a character in it ({half}).", "Send it as whole characters."
        ) from error


def foreseen_in(error: BaseException) -> HomeportError | None:
    """Return the first foreseen failure in `error` or in the groups that task groups wrapped it in; None = none."""
    if isinstance(error, BaseExceptionGroup):
        parts = cast("BaseExceptionGroup[BaseException]", error).exceptions
        return next((found for part in parts if (found := foreseen_in(part))), None)
    return error if isinstance(error, HomeportError) else None
