"""The command `install`: Homeport in Claude Desktop, Claude Code or Cursor."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from typing import cast

import click

from homeport import desktop
from homeport.cli.output import console, json_option, show_json
from homeport_shared import settings
from homeport_shared.errors import HomeportError


@click.command()
@click.argument("client", type=click.Choice(desktop.CLIENTS))
@click.option("--server", "names", multiple=True, metavar="NAME", help="One server alone instead of the whole host.")
@click.option("--print", "only_print", is_flag=True, help="Only print the configuration.")
@click.option("--uninstall", is_flag=True, help="Take it out again: everything of Homeport, or each --server.")
@json_option
def install(client: str, names: tuple[str, ...], only_print: bool, uninstall: bool, as_json: bool) -> None:
    """Add Homeport to CLIENT: merged into its configuration, the rest kept, with a backup."""
    path = desktop.config_path(cast("desktop.ClientName", client))
    if uninstall:
        chosen = names or ("", *entry_points(group="homeport.servers").names)
        done, backup = desktop.take_out(path, [f"homeport-{name}".removesuffix("-") for name in chosen])
        told = f"Took {', '.join(done)} out of {path}" if done else f"{path} has nothing of that."
    else:
        entries = {f"homeport-{name}": _alone(name) for name in names} or {
            "homeport": desktop.entry("homeport", ["serve", "--stdio", "--client", client], _environment())
        }
        if only_print:
            click.echo(json.dumps({"mcpServers": entries}, indent=2))
            return
        done, backup = desktop.add(path, entries)
        told = f"Added {', '.join(done)} to {path}" if done else f"{path} has it already."
    if as_json:
        show_json({"file": str(path), "changed": done, "backup": str(backup or "")})
        return
    console.print(told + (f" (backup: {backup})" if backup else ""))
    if done:
        console.print(f"Restart {client} to see it.")


def _alone(name: str) -> dict[str, object]:
    if name not in entry_points(group="homeport.servers").names:
        known = ", ".join(sorted(entry_points(group="homeport.servers").names))
        raise HomeportError("not_found", f"There is no server {name!r}.", f"There are {known}.")
    return desktop.entry(f"homeport-{name}", [], _environment())


def _environment() -> dict[str, str]:
    """The data root, where it is not the default: a desktop client does not know our environment."""
    return {} if settings.home_folder() == settings.home_folder({}) else {"HOMEPORT_HOME": str(settings.home_folder())}
