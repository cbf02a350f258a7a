"""`mcp.json` in the data root: the third-party servers, in the form that Claude Desktop and Cursor use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from homeport_host.gateway.config import ServerConfig, parse, read_mcp_json
from homeport_shared.atomic import write_atomically
from homeport_shared.errors import HomeportError


class ServerFile:
    """The file; what this code does not know in it is kept."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def configs(self) -> list[ServerConfig]:
        """Return the servers in the file; none when there is no file.

        Raises:
            HomeportError: `invalid`, naming what is wrong in it.
        """
        return read_mcp_json(self._path)

    def add(self, name: str, entry: Mapping[str, Any]) -> ServerConfig:
        """Write a server and return how to reach it.

        Raises:
            HomeportError: `invalid` when the entry does not fit, `conflict` when the name is taken.
        """
        config = parse(name, dict(entry))
        content, servers = self._read()
        if name in servers or config.name in servers:
            raise HomeportError("conflict", f"There is a server {name!r} already.", "Choose another name.")
        servers[config.name] = dict(entry)
        self._write(content)
        return config

    def remove(self, name: str) -> None:
        """Take a server out.

        Raises:
            HomeportError: `not_found`.
        """
        content, servers = self._read()
        if name not in servers:
            raise HomeportError("not_found", f"{self._path} has no server {name!r}.", "Bundled servers stay.")
        del servers[name]
        self._write(content)

    def enable(self, name: str, enabled: bool) -> ServerConfig:
        """Switch a server on or off and return how to reach it.

        Raises:
            HomeportError: `not_found`.
        """
        content, servers = self._read()
        if name not in servers:
            raise HomeportError("not_found", f"{self._path} has no server {name!r}.", "Bundled servers stay on.")
        servers[name] = {**servers[name], "disabled": not enabled}
        self._write(content)
        return parse(name, servers[name])

    def _read(self) -> tuple[dict[str, Any], dict[str, Any]]:
        self.configs()  # refuses a file that does not fit before anything is written
        content: dict[str, Any] = json.loads(self._path.read_text("utf-8-sig")) if self._path.exists() else {}
        key = "servers" if "servers" in content and "mcpServers" not in content else "mcpServers"
        return content, cast("dict[str, Any]", content.setdefault(key, {}))

    def _write(self, content: dict[str, Any]) -> None:
        write_atomically(self._path, json.dumps(content, indent=2, ensure_ascii=False).encode(), secret=True)
