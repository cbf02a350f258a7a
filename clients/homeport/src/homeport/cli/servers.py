"""Commands about connected MCP servers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import click
from rich.markup import escape

from homeport.cli.output import console, json_option, run, show_json, show_table
from homeport.connection import call, connect
from homeport_shared.errors import HomeportError


@click.group(invoke_without_command=True)
@click.pass_context
def servers(context: click.Context) -> None:
    """List, add, remove or test MCP servers."""
    if context.invoked_subcommand is None:
        context.invoke(list_servers)


@servers.command("list")
@json_option
def list_servers(as_json: bool = False) -> None:
    """List the connected servers."""
    found = _call("homeport__list_servers")["servers"]
    if as_json:
        show_json(found)
        return
    rows = [(s["name"], s["kind"], s["state"], s["tools"], s["reason"]) for s in found]
    show_table(("server", "kind", "state", "tools", ""), rows, "No servers.")


@servers.command(context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--url", help="The address of a streamable HTTP server.")
@click.option("--env", multiple=True, metavar="NAME=VALUE", help="A variable of its environment.")
@click.option("--from-json", type=click.Path(exists=True, path_type=Path), help="Take it from an mcpServers file.")
@json_option
def add(
    name: str,
    command: tuple[str, ...],
    url: str | None,
    env: tuple[str, ...],
    from_json: Path | None,
    as_json: bool,
) -> None:
    """Add the server NAME, run by COMMAND (after --) or reached at --url."""
    config = _config(name, command, url, env, from_json)
    known = _call("homeport__add_server", name=name, config=config)["servers"]
    added = known[-1]
    if as_json:
        show_json(added)
        return
    console.print(escape(f"Added {added['name']}: {_state(added)}"), highlight=False)


def _state(server: dict[str, Any]) -> str:
    if server["state"] == "ready":
        return f"{server['tools']} tools."
    return f"{server['state']}. {server['reason']}".strip().rstrip(".") + "."


def _config(
    name: str, command: tuple[str, ...], url: str | None, env: tuple[str, ...], file: Path | None
) -> dict[str, Any]:
    if file is not None:
        try:
            entries = json.loads(file.read_text("utf-8-sig"))
        except ValueError as error:
            raise HomeportError("invalid", f"{file} does not parse: {error}.", "Correct it.") from error
        known = cast("dict[str, dict[str, Any]]", entries.get("mcpServers") or entries.get("servers") or {})
        if name not in known:
            raise HomeportError("not_found", f"{file} has no server {name!r}.", f"It has {', '.join(known) or 'none'}.")
        return known[name]
    if url:
        return {"url": url}
    if not command:
        raise HomeportError(
            "invalid", "A server needs a command or --url.", "Write: homeport servers add NAME -- CMD …"
        )
    return {"command": command[0], "args": list(command[1:]), "env": dict(_pair(text) for text in env)}


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise HomeportError("invalid", f"{text!r} is no NAME=VALUE.", "Write it like --env TOKEN=abc.")
    return name, value


@servers.command()
@click.argument("name")
@json_option
def remove(name: str, as_json: bool) -> None:
    """Remove the server NAME."""
    _call("homeport__remove_server", name=name)
    if as_json:
        show_json({"removed": name})
        return
    console.print(f"Removed {name}.")


@servers.command()
@click.argument("name")
@json_option
def test(name: str, as_json: bool) -> None:
    """Connect to the server NAME, list what it offers and say what does not work."""
    report = _call("homeport__test_server", name=name)
    if as_json:
        show_json(report)
    if not report["works"]:
        raise HomeportError("unavailable", f"{name} does not work: {report['reason'].rstrip('.')}.")
    if not as_json:
        console.print(
            f"{name} works: {report['tools']} tools, {report['resources']} resources, {report['prompts']} prompts."
        )


def _call(tool: str, **arguments: Any) -> dict[str, Any]:
    async def work() -> dict[str, Any]:
        async with connect() as client:
            return await call(client, tool, **arguments)

    return run(work)
