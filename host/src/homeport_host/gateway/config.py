"""Which servers the host connects to: the bundled ones, and what an `mcpServers` file of a desktop client names."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, cast

from homeport_shared import redaction
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError

Kind = Literal["in-process", "stdio", "http"]
Build = Callable[[ServerContext], Any]
GROUP = "homeport.servers"
_PLACE = re.compile(r"\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """How to reach one server.

    Attributes:
        name: The key before `__` in public names: letters, digits and `-`.
        command: For `stdio`, the program; `args`, `env` and `cwd` go with it.
        url: For `http`, the streamable HTTP address; `headers` go with every request.
        entry_point: For `in-process`, `module:function` that makes the server from its `ServerContext`.
        build: Makes the host's own server, which no entry point names.
        isolation: `process` runs a bundled server in a process of its own.
    """

    name: str
    kind: Kind
    command: str = ""
    args: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict[str, str])
    cwd: str = ""
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    entry_point: str = ""
    build: Build | None = field(default=None, compare=False, repr=False)
    enabled: bool = True
    isolation: Literal["in-process", "process"] = "in-process"

    @property
    def bundled(self) -> bool:
        """Whether this is one of our own servers, whose labels and identity are trusted."""
        return bool(self.entry_point) or self.build is not None


def bundled(isolated: Iterable[str] = ()) -> list[ServerConfig]:
    """Return the installed Homeport servers, found by their entry point and not imported.

    Args:
        isolated: Names of those that run in a process of their own.
    """
    apart = set(isolated)
    return [
        ServerConfig(
            name=point.name,
            kind="in-process",
            entry_point=point.value,
            isolation="process" if point.name in apart else "in-process",
        )
        for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)
    ]


def read_mcp_json(path: Path) -> list[ServerConfig]:
    """Read the servers of a Claude Desktop, Cursor (`mcpServers`) or VS Code (`servers`) file as it is.

    Returns:
        No servers when there is no such file.

    Raises:
        HomeportError: `invalid`, naming the file, the server and what is wrong.
    """
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return []
    except (ValueError, OSError) as error:
        raise HomeportError("invalid", f"{path} cannot be read as JSON: {error}.", "Correct the file.") from error
    top = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
    table = top.get("mcpServers", top.get("servers"))
    if not isinstance(table, dict):
        raise HomeportError("invalid", f"{path} has no table `mcpServers`.", 'Write {"mcpServers": {"name": {…}}}.')
    try:
        return [parse(name, entry) for name, entry in cast("dict[str, Any]", table).items()]
    except HomeportError as error:
        raise HomeportError(error.code, f"{path}: {error.message}", error.hint) from error


def parse(name: str, entry: Any) -> ServerConfig:
    """Return one server from its entry in an `mcpServers` table.

    Args:
        name: The name in the file; what is no letter, digit or `-` becomes `-`.
        entry: `{"command", "args", "env", "cwd"}` or `{"url" | "serverUrl", "headers"}`.

    Raises:
        HomeportError: `invalid`, naming the server and the field.
    """
    key = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")
    if not key or not isinstance(entry, dict):
        raise HomeportError(
            "invalid", f"The server {name!r} is not a table with a name.", "Give it a command or a url."
        )
    fields = cast("dict[str, Any]", entry)
    command, url = fields.get("command", ""), fields.get("url") or fields.get("serverUrl") or ""
    if not isinstance(command, str) or not isinstance(url, str) or bool(command) == bool(url):
        raise HomeportError(
            "invalid", f"The server {name!r} needs either a command or a url.", "Write one of the two, as a text."
        )
    if url and not url.lower().startswith(("http://", "https://")):
        raise HomeportError("invalid", f"The server {name!r} has the url {url!r}.", "Write an http or https address.")
    return ServerConfig(
        name=key,
        kind="stdio" if command else "http",
        command=command,
        args=_texts(name, "args", fields.get("args")),
        env=_table(name, "env", fields.get("env")),
        cwd=str(fields.get("cwd") or ""),
        url=url,
        headers=_table(name, "headers", fields.get("headers")),
        enabled=not fields.get("disabled", False) and fields.get("enabled", True) is not False,
    )


def export(configs: Iterable[ServerConfig]) -> dict[str, Any]:
    """Return third-party servers as an `mcpServers` file; each secret is replaced by `${env:NAME}`."""
    return {"mcpServers": {config.name: _entry(config) for config in configs if not config.bundled}}


def expand(value: str, environment: Mapping[str, str] = os.environ) -> str:
    """Replace `${NAME}` and `${env:NAME}` by the variable.

    Raises:
        HomeportError: `invalid`, when there is no such variable.
    """

    def variable(match: re.Match[str]) -> str:
        if match[1] not in environment:
            raise HomeportError("invalid", f"The environment has no variable {match[1]}.", "Set it and try again.")
        return environment[match[1]]

    return _PLACE.sub(variable, value)


def _entry(config: ServerConfig) -> dict[str, Any]:
    if config.kind == "http":
        entry: dict[str, Any] = {"url": redaction.text(config.url)}
        if config.headers:
            entry["headers"] = {name: _placeholder(config.name, name) for name in config.headers}
    else:
        entry = {"command": config.command, "args": [redaction.text(argument) for argument in config.args]}
        if config.env:
            entry["env"] = {name: f"${{env:{name}}}" for name in config.env}
        if config.cwd:
            entry["cwd"] = config.cwd
    return entry if config.enabled else {**entry, "disabled": True}


def _placeholder(server: str, header: str) -> str:
    return f"${{env:{re.sub(r'[^A-Za-z0-9]', '_', f'{server}_{header}').upper()}}}"


def _texts(server: str, field_name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value or [], list):
        raise HomeportError(
            "invalid", f"{field_name} of the server {server!r} is not a list.", "Write a list of texts."
        )
    return tuple(str(item) for item in cast("list[Any]", value or []))


def _table(server: str, field_name: str, value: Any) -> dict[str, str]:
    if not isinstance(value or {}, dict):
        raise HomeportError(
            "invalid", f"{field_name} of the server {server!r} is not a table.", "Write name: text pairs."
        )
    return {str(name): str(text) for name, text in cast("dict[Any, Any]", value or {}).items()}
