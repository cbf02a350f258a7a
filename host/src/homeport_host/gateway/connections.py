"""Reach one server: in this process, as a subprocess over stdio, or over HTTP."""

from __future__ import annotations

import importlib
import secrets
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, cast

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.dispatcher import ProgressFnT
from mcp.types import Request
from pydantic import TypeAdapter

from homeport_host.gateway import bodies, lines, processes
from homeport_host.gateway.config import ServerConfig, expand
from homeport_host.governance.calls import Progress
from homeport_shared.context import KEY_VARIABLE, open_context
from homeport_shared.errors import HomeportError
from homeport_shared.events import EventSink
from homeport_shared.gateway import Gateway
from homeport_shared.neighbours import Neighbours

RAW = TypeAdapter(dict[str, Any])
RawRequest = Request[dict[str, Any], str]  # made once: pydantic forgets such a class as soon as nobody holds it


@asynccontextmanager
async def open_target(
    config: ServerConfig,
    *,
    home: Path,
    events: EventSink | None = None,
    gateway: Gateway | None = None,
    neighbours: Neighbours | None = None,
    key: str = "",
) -> AsyncGenerator[Any]:
    """Yield what `mcp.Client` connects to.

    Args:
        config: The server.
        home: The data root.
        events: Where a server in this process puts its events.
        gateway: Has work done for a server in this process.
        neighbours: Its way to other servers.
        key: The secret by which a bundled server in a process of its own knows the host.

    Raises:
        HomeportError: `not_found`, when the command or the entry point is missing; `invalid`, when a variable is.
    """
    async with AsyncExitStack() as stack:
        if config.kind == "http":
            headers = bodies.HEADERS | {name: expand(value) for name, value in config.headers.items()}
            http = await stack.enter_async_context(create_mcp_http_client(headers=headers))
            http.event_hooks = {"response": [bodies.limit]}
            yield streamable_http_client(expand(config.url), http_client=http, max_sse_event_size=None)
        elif config.kind == "stdio" or config.isolation == "process":
            yield stdio_client(_parameters(config, stack, home, key), stack.enter_context(_log(config, home)))
        else:
            context = await stack.enter_async_context(
                open_context(
                    config.name, home=home, in_process=True, events=events, gateway=gateway, neighbours=neighbours
                )
            )
            build = config.build or _load(config.entry_point)
            yield build(context)


async def send(
    client: Client, method: str, params: Mapping[str, Any], progress: Progress | None = None
) -> dict[str, Any]:
    """Send one request and return the raw result: nothing is dropped, an `input_required` result stays one.

    Raises:
        MCPError: The server's error, or code -32000 when the connection closed.
    """
    request = RawRequest(method=method, params=dict(params))
    callback = cast("ProgressFnT | None", progress)  # it takes the same three arguments in the same order
    return await client.session.send_request(request, cast("Any", RAW), progress_callback=callback)


def new_key() -> str:
    """Return a secret for one connection."""
    return secrets.token_urlsafe(32)


def _log(config: ServerConfig, home: Path) -> Any:
    return processes.log_of(f"server-{config.name}", home / "logs")


def _load(entry_point: str) -> Any:
    module, _, function = entry_point.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise HomeportError(
            "not_found", f"The server at {entry_point} cannot be loaded: {error}.", "Install it again."
        ) from error


def _parameters(config: ServerConfig, stack: AsyncExitStack, home: Path, key: str) -> StdioServerParameters:
    env = {name: expand(value) for name, value in config.env.items()}
    command, args = config.command, tuple(expand(argument) for argument in config.args)
    if config.bundled:
        module = config.entry_point.partition(":")[0]
        command, args = sys.executable, ("-P", "-c", f"import {module}; {module}.main()", "--home", str(home))
        env[KEY_VARIABLE] = key
    else:
        command = processes.find_command(command, env.get("PATH"))
    line = stack.enter_context(processes.launch(home / "host" / "processes", config.name, command, args))
    cwd = expand(config.cwd) or None
    return StdioServerParameters(command=line[0], args=line[1:], env=env, cwd=cwd, encoding=lines.ENCODING)
