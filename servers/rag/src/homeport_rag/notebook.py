"""Memories as Markdown files: a copy that people can read, search with any tool and edit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from homeport_rag.results.memories import MemoryEntry
from homeport_shared.atomic import write_atomically

_FIELDS = ("kind", "subject", "tags", "source", "at", "importance")


def write(folder: Path, entry: MemoryEntry) -> None:
    """Write the file of one memory.

    Raises:
        OSError: When the disk is full or the folder cannot be written.
    """
    write_atomically(folder / f"{entry.memory_id}.md", rendered(entry).encode(), secret=True)


def rendered(entry: MemoryEntry) -> str:
    """Return a memory as Markdown: its facts as front matter, each value as JSON, which is also YAML; then its text."""
    facts = entry.model_dump(include=set(_FIELDS))
    lines = [f"{name}: {json.dumps(facts[name], ensure_ascii=False)}" for name in _FIELDS]
    return "\n".join(["---", *lines, "---", "", entry.text, ""])


def remove(folder: Path, memory_id: str) -> None:
    """Remove the file of one memory, if it is there."""
    (folder / f"{memory_id}.md").unlink(missing_ok=True)


def edited(folder: Path, entries: Sequence[MemoryEntry]) -> tuple[list[MemoryEntry], list[Path]]:
    """Return those of `entries` whose file says something else by now, as it says it, and which files are damaged."""
    changed: list[MemoryEntry] = []
    damaged: list[Path] = []
    for entry in entries:
        path = folder / f"{entry.memory_id}.md"
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            damaged.append(path)
            continue
        except OSError:  # it was never written, or somebody removed it
            continue
        if text == rendered(entry):
            continue
        found = parsed(text, entry)
        if found is None:
            damaged.append(path)
        elif found != entry:
            changed.append(found)
    return changed, damaged


def parsed(text: str, entry: MemoryEntry) -> MemoryEntry | None:
    """Return `entry` with what its file says; None, when that is no memory any more.

    A file without front matter is the text alone: its facts stay.
    """
    head, body = "", text
    if text.startswith("---\n"):
        head, _, body = text.removeprefix("---\n").partition("\n---\n")
    if not body.strip():
        return None
    facts: dict[str, object] = {"text": body.strip()}
    for line in head.split("\n"):
        name, _, value = line.partition(":")
        if name in _FIELDS:
            try:
                facts[name] = json.loads(value)
            except ValueError:
                facts[name] = value.strip()
    try:
        return MemoryEntry.model_validate(entry.model_dump() | facts)
    except ValueError:
        return None
