"""The settings of the files server, and the roots they name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from homeport_shared.errors import HomeportError
from homeport_shared.paths import Root, explained

RESERVED = {"roots", "history", "changes", "recent", "stats", "tags", "health"} | {
    "about",
    "details",
    "thumbnails",
    "jobs",
    "sync",
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})=(.+)", re.DOTALL)


def _distinct(roots: list[str]) -> list[str]:
    names = [found[1].lower() for found in map(_NAMED.fullmatch, roots) if found]
    for name in names:
        if name in RESERVED or names.count(name) > 1:
            raise ValueError(f"{name!r} cannot name a root: it is reserved or used twice")
    return roots


class FilesSettings(BaseModel):
    """Serve the files below some folders over MCP."""

    model_config = ConfigDict(extra="forbid")

    roots: Annotated[list[str], AfterValidator(_distinct)] = Field(
        default_factory=list,
        description="Folders that may be read and changed, each `folder` or `name=folder`; none = the workspace folder "
        "of the data root.",
    )
    text_mb: int = Field(
        default=10, ge=1, le=1024, description="The largest file that is hashed, searched or edited, in MiB."
    )
    document_mb: int = Field(
        default=64, ge=1, le=1024, description="The largest PDF, Office or e-mail file that is read as text, in MiB."
    )
    version_mb: int = Field(
        default=1024, ge=1, description="The largest file that is changed or deleted, as a version is kept, in MiB."
    )
    version_days: int = Field(
        default=0,
        ge=0,
        le=36_500,
        description="The age from which earlier contents are removed, in days; 0 = kept for ever.",
    )
    watch: bool = Field(default=True, description="Tell what other programs change below the roots.")
    upload_mb: int = Field(default=100, ge=1, le=1024, description="The largest file that the page uploads, in MiB.")
    upload_refused: list[str] = Field(
        default=[".exe", ".dll", ".msi", ".scr", ".com", ".bat", ".cmd", ".vbs", ".lnk"],
        description="Suffixes of files that are not uploaded, in lower case.",
    )
    cleanup_days: int = Field(default=7, ge=0, description="The age from which a temporary file can go, in days.")
    cleanup_hours: int = Field(
        default=24, ge=0, description="The time between two removals of old temporary files, in hours; 0 = never."
    )
    cleanup_suffixes: list[str] = Field(
        default=[".tmp", ".cache"], description="Suffixes of temporary files, in lower case."
    )
    low_space_gb: float = Field(default=1, ge=0, description="Free space below which the page warns, in GB.")
    sync_minutes: int = Field(
        default=60, ge=0, description="The time between two looks at every file for changes, in minutes; 0 = never."
    )
    seconds: int = Field(default=30, ge=1, description="The longest that reading one document may take, in seconds.")
    memory_mb: int = Field(default=1024, ge=128, description="The memory of the process that reads documents, in MiB.")


def roots_of(configured: list[str], workspace: Path) -> list[Root]:
    """Return the roots that `configured` names; the workspace folder when there is none.

    Args:
        configured: Each `folder` or `name=folder`; without a name the folder's own is used, made distinct by a number.
        workspace: The folder to use when nothing is configured; made when missing.
    """
    if not configured:
        workspace.mkdir(parents=True, exist_ok=True)
        return [Root("workspace", workspace.resolve())]
    roots: list[Root] = []
    taken = {found[1].lower() for found in map(_NAMED.fullmatch, configured) if found}
    for entry in configured:
        named = _NAMED.fullmatch(entry)
        folder = Path(named[2] if named else entry).expanduser().resolve()
        name = named[1] if named else free_name(folder, taken)
        taken.add(name.lower())
        roots.append(Root(name, folder))
    return roots


def free_name(folder: Path, taken: set[str]) -> str:
    """Return a name for the root `folder` that is not in `taken` (lower case) and can stand in a URI."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.name).strip("-._")[:50]
    stem = cleaned if _NAME.fullmatch(cleaned) else "root"
    name, number = stem, 2
    while name.lower() in taken | RESERVED:
        name, number = f"{stem}-{number}", number + 1
    return name


def new_root(folder: str, name: str, present: list[Root]) -> Root:
    """Return the root for a folder that a person adds.

    Raises:
        HomeportError: `not_found`, when it is no folder; `conflict`, when the folder or the name is a root already;
            `invalid`, when the name cannot be one.
    """
    with explained(folder):
        path = Path(folder).expanduser().resolve()
        missing, is_file = not path.is_dir(), path.is_file()
    if is_file:
        raise HomeportError("invalid", f"{folder!r} is a file.", "Name the folder that holds it.")
    if missing:
        raise HomeportError("not_found", f"There is no folder {folder!r}.", "Name a folder of this machine.")
    taken = {root.name.lower() for root in present}
    for root in present:
        if root.folder == path:
            raise HomeportError("conflict", f"{path} is the root {root.name!r} already.", "Nothing is left to do.")
    if name and (not _NAME.fullmatch(name) or name.lower() in RESERVED):
        raise HomeportError("invalid", f"{name!r} cannot name a root.", "Use letters, digits, dots and hyphens.")
    if name.lower() in taken:
        raise HomeportError("conflict", f"There is a root {name!r} already.", "Choose another name.")
    return Root(name or free_name(path, taken), path)
