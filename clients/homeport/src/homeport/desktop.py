"""The configuration files of desktop clients: merge Homeport in, keep the rest, make a backup."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, cast

from homeport_shared.atomic import write_atomically
from homeport_shared.errors import HomeportError

ClientName = Literal["claude-desktop", "claude-code", "cursor"]
CLIENTS: tuple[ClientName, ...] = ("claude-desktop", "claude-code", "cursor")


def config_path(client: ClientName, environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """Return where a client keeps its list of MCP servers.

    Sources: the clients' own documentation, November 2026.
    """
    home = Path(environment.get("HOME") or environment.get("USERPROFILE") or Path.home())
    if client == "cursor":
        return home / ".cursor" / "mcp.json"
    if client == "claude-code":
        return home / ".claude.json"
    if platform == "darwin":
        return home / "Library" / "Application Support" / "Claude" / "claude_desktop_config.json"
    if platform == "win32":
        return Path(environment.get("APPDATA", home / "AppData" / "Roaming")) / "Claude" / "claude_desktop_config.json"
    return Path(environment.get("XDG_CONFIG_HOME", home / ".config")) / "Claude" / "claude_desktop_config.json"


def entry(program: str, arguments: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """Return how a desktop client starts `program` from this installation.

    A clone is started by the absolute `uv run --directory`; an installed package by its own absolute script. Desktop
    clients start without a login shell, so nothing is left to PATH.
    """
    clone = _workspace()
    if clone is None:
        command, given = str(Path(sys.executable).with_name(program + (".exe" if os.name == "nt" else ""))), arguments
    else:
        command, given = _uv(clone), ["run", "--no-sync", "--directory", str(clone), program, *arguments]
    return {"command": command, "args": given, **({"env": environment} if environment else {})}


def _workspace() -> Path | None:
    """Return the clone this package is run from; None when it is installed."""
    for folder in Path(__file__).resolve().parents:
        if (folder / "uv.lock").is_file() and (folder / "clients" / "homeport").is_dir():
            return folder
    return None


def _uv(clone: Path) -> str:
    found = os.environ.get("UV") or shutil.which("uv")
    private = clone / ".uv" / ("Scripts/uv.exe" if os.name == "nt" else "bin/uv")
    if not found and not private.exists():
        raise HomeportError("not_found", "uv is not to be found.", "Run `make run` once, which brings it.")
    return str(Path(found).absolute()) if found else str(private)


def add(path: Path, entries: Mapping[str, dict[str, Any]]) -> tuple[list[str], Path | None]:
    """Add servers to a client's file; everything else in it stays.

    Returns:
        The names of those that were not there like this, and the backup of the old file if there was one.

    Raises:
        HomeportError: `damaged`, when the file does not parse; it is then left as it is.
    """
    content = _read(path)
    servers = cast("dict[str, Any]", content.setdefault("mcpServers", {}))
    news = [name for name, value in entries.items() if servers.get(name) != value]
    servers.update(entries)
    return news, _replace(path, content) if news else None


def take_out(path: Path, names: Iterable[str]) -> tuple[list[str], Path | None]:
    """Take servers out of a client's file; returns and raises as `add`, with the names that were there."""
    content = _read(path)
    servers = cast("dict[str, Any]", content.get("mcpServers", {}))
    gone = [name for name in names if servers.pop(name, None) is not None]
    return gone, _replace(path, content) if gone else None


def _replace(path: Path, content: dict[str, Any]) -> Path | None:
    """Write a client's file; return the backup of the old one, which takes the place of no earlier backup."""
    backup = None
    if path.exists():
        endings = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
        places = (path.with_name(f"{path.name}.homeport-backup{ending}") for ending in endings)
        backup = next(place for place in places if not place.exists())
        shutil.copy2(path, backup)
    write_atomically(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
    return backup


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        return {}
    try:
        content: Any = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise HomeportError("damaged", f"{path} does not parse: {error}.", "Correct it, then install again.") from error
    if not isinstance(content, dict) or not isinstance(content.get("mcpServers", {}), dict):  # pyright: ignore[reportUnknownMemberType]
        raise HomeportError("damaged", f"{path} is not a list of servers.", "Correct it, then install again.")
    return cast("dict[str, Any]", content)
