"""Exact replacements in a text, and how a text goes back into bytes as it was written before."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from pydantic import BaseModel, Field

from homeport_shared.documents import Decoded
from homeport_shared.errors import HomeportError

MOST_DIFF = 40_000


class Edit(BaseModel):
    """One replacement."""

    old_text: str = Field(description="occurs once")
    new_text: str
    every: bool = False


def apply(text: str, edits: Sequence[Edit], newline: str) -> str:
    r"""Return `text` with all `edits` done, one after the other.

    Args:
        text: The whole text with its own line ends.
        edits: Their line ends may be `\n` whatever the text's are.
        newline: The text's line end, `mixed` or empty.

    Raises:
        HomeportError: `invalid`, when an old text is empty or occurs more than once; `not_found`, when it is not there.
    """
    for number, edit in enumerate(edits, 1):
        old, new = _fitting(text, edit, newline)
        count = text.count(old) if old else 0
        if not old:
            raise HomeportError("invalid", f"Edit {number} has no old_text.", "Give the text that is to be replaced.")
        if count == 0:
            raise HomeportError(
                "not_found",
                f"The old_text of edit {number} is not in the file: {_short(edit.old_text)}.",
                "Read the file again and copy the text exactly.",
            )
        if count > 1 and not edit.every:
            raise HomeportError(
                "invalid",
                f"The old_text of edit {number} occurs {count} times: {_short(edit.old_text)}.",
                "Add the lines around it, or set every.",
            )
        text = text.replace(old, new)
    return text


def encoded(text: str, like: Decoded, path: str) -> bytes:
    """Return `text` in the encoding and with the byte order mark of `like`.

    Raises:
        HomeportError: `invalid`, naming the character that the encoding does not have.
    """
    try:
        return like.bom + text.encode(like.encoding)
    except UnicodeEncodeError as error:
        character = error.object[error.start : error.start + 1]
        raise HomeportError(
            "invalid",
            f"{path!r} is written in {like.encoding}, which has no {character!r}.",
            "Leave that character out, or write the whole file with encoding utf-8.",
        ) from error


def with_newline(text: str, newline: str) -> str:
    r"""Return `text` with every line end as `newline`; as it is when that is `mixed` or empty."""
    return re.sub(r"\r\n|\n", lambda _: newline, text) if newline in {"\n", "\r\n", "\r"} else text


def diff(before: str, after: str, path: str) -> str:
    """Return the unified diff, at most `MOST_DIFF` characters of it."""
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"{path} (before)", f"{path} (after)", lineterm=""
    )
    text = "\n".join(lines)
    return text if len(text) <= MOST_DIFF else f"{text[:MOST_DIFF]}\n… ({len(text)} characters in all)"


def _fitting(text: str, edit: Edit, newline: str) -> tuple[str, str]:
    """Return old and new text with the line ends that they have in `text`."""
    if newline != "mixed":
        return with_newline(edit.old_text, newline), with_newline(edit.new_text, newline)
    for end in ("", "\r\n", "\n"):
        old = with_newline(edit.old_text, end)
        if old in text:
            return old, with_newline(edit.new_text, end)
    return edit.old_text, edit.new_text


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}…")
