"""One set of rules for what never reaches a log, an audit row or a support bundle."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

HIDDEN = "[hidden]"
_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)?$|secret|token|api_?key|credential|authorization|cookie", re.IGNORECASE
)
_SECRET_VALUE = re.compile(
    r"(sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|xox[abpr]-[A-Za-z0-9-]{10,}|AKIA[0-9A-Z]{16}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+|(?<=[Bb]earer )[A-Za-z0-9._~+/-]{8,}=*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----|(?<=://)[^/\s:@]+:[^/\s@]+(?=@))"
)
_COUNTS = re.compile(r"tokens?_(in|out|count|total)|(max|prompt|completion|input|output|total)_tokens?|^tokens$")


def text(value: str) -> str:
    """Return `value` with everything that looks like a credential replaced by `HIDDEN`."""
    return _SECRET_VALUE.sub(HIDDEN, value)


def tree(value: Any, *, longest: int = 2_000) -> Any:
    """Return a copy of JSON-able `value` without credentials, each string cut to `longest` characters."""
    if isinstance(value, str):
        clean = text(value)
        return clean if len(clean) <= longest else f"{clean[:longest]}… ({len(clean)} characters)"
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {str(k): HIDDEN if v and is_secret_name(str(k)) else tree(v, longest=longest) for k, v in items}
    if isinstance(value, list | tuple):
        return [tree(item, longest=longest) for item in cast("list[Any]", value)]
    return value


def is_secret_name(name: str) -> bool:
    """Say whether a field of this name holds a credential: `api_key` does, `max_tokens` does not."""
    return bool(_SECRET_NAME.search(name)) and not _COUNTS.search(name)
