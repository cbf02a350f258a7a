"""Which files are wanted: the same filters for lists, searches and the page."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import lru_cache

from pydantic import BaseModel, ConfigDict

from homeport_shared.errors import HomeportError

_GROUPS = {
    **dict.fromkeys(("pdf", "docx", "docm", "pptx", "odt", "eml", "epub", "rtf"), "document"),
    **dict.fromkeys(("csv", "tsv", "xlsx", "xlsm", "xlsb", "xls", "ods"), "table"),
    **dict.fromkeys(("png", "jpg", "jpeg", "gif", "webp", "bmp", "tif", "tiff", "svg", "ico"), "img"),
    **dict.fromkeys(("txt", "md", "log", "py", "js", "ts", "json", "html", "css", "yaml", "yml", "toml"), "text"),
    **dict.fromkeys(("xml", "ini", "sh", "sql", "rs", "go", "java", "c", "h", "cpp", "rst", "tex"), "text"),
}
NAMES = ("folder", "file", "document", "table", "img", "text", "other")
DAY = 86_400


class Filters(BaseModel):
    """Conditions that all have to hold; what is empty or 0 asks for nothing.

    Attributes:
        type: One of `NAMES`, or a file ending such as `pdf`.
        tag: What is wanted has this tag.
        name: A part of the name, in any case.
        smallest: Bytes.
        largest: Bytes.
        since: The first day of the last change, ISO, in UTC.
        until: The last day.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str = ""
    tag: str = ""
    name: str = ""
    smallest: int = 0
    largest: int = 0
    since: str = ""
    until: str = ""

    @property
    def empty(self) -> bool:
        """Whether everything is wanted."""
        return not any((self.type, self.tag, self.name, self.smallest, self.largest, self.since, self.until))

    def fits(self, name: str, kind: str, status: os.stat_result) -> bool:
        """Say whether something fits, its tags aside. A folder has no size that could be compared.

        Raises:
            HomeportError: `invalid`, for a date that is none.
        """
        size, since, until = status.st_size, day(self.since), day(self.until)
        return (
            self.name.casefold() in name.casefold()
            and self._is_of_type(name, kind)
            and (kind == "folder" or size >= self.smallest)
            and (kind == "folder" or not self.largest or size <= self.largest)
            and (since is None or status.st_mtime >= since)
            and (until is None or status.st_mtime < until + DAY)
        )

    def _is_of_type(self, name: str, kind: str) -> bool:
        wanted = self.type.lower().lstrip(".")
        return not wanted or wanted in {group_of(name, kind), kind, ending_of(name) if kind == "file" else ""}


def group_of(name: str, kind: str) -> str:
    """Return which of `NAMES` something belongs to by its name."""
    return "folder" if kind == "folder" else _GROUPS.get(ending_of(name), "other")


def ending_of(name: str) -> str:
    """Return what follows the last dot, in lower case; empty without one."""
    return name.rpartition(".")[2].lower() if "." in name else ""


@lru_cache(maxsize=64)  # asked for each file of a folder
def day(text: str) -> float | None:
    """Return when a day begins, in seconds since 1970; None for an empty text.

    Raises:
        HomeportError: `invalid`, when it is no date.
    """
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise HomeportError("invalid", f"{text!r} is no date.", "Write one like 2026-01-31.") from error
