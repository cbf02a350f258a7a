"""The command `doctor`: what does not work, in the order in which to mend it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from homeport.cli.output import console, json_option, run, show_json
from homeport.connection import call, connect
from homeport_host import process
from homeport_shared import __version__, settings
from homeport_shared.errors import HomeportError

LEAST_FREE = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, whether it is well, and what to do if not."""

    check: str
    ok: bool
    told: str


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Find out what does not work, and what to do; exit code 1 when something does not."""
    findings = run(_examine)
    if as_json:
        show_json([{"check": f.check, "ok": f.ok, "told": f.told} for f in findings])
    else:
        for finding in findings:
            mark = "[green]✓[/]" if finding.ok else "[red]✗[/]"
            console.print(f"{mark} {escape(f'{finding.check}: {finding.told}')}", highlight=False)
    if not all(finding.ok for finding in findings):
        raise SystemExit(1)


async def _examine() -> list[Finding]:
    home = settings.home_folder()
    findings = [_python(), _folder(home)]
    if findings[-1].ok:
        findings += [_space(home), _settings(home)]
    if any(not finding.ok for finding in findings):
        return findings  # what follows would only repeat these
    return [*findings, *await _host(home)]


def _python() -> Finding:
    names = ", ".join(sorted(entry_points(group="homeport.servers").names)) or "none"
    return Finding("Homeport", True, f"{__version__} on Python {sys.version.split()[0]}; bundled servers: {names}")


def _folder(home: Path) -> Finding:
    try:
        home.mkdir(parents=True, exist_ok=True)
        writable = os.access(home, os.W_OK)
    except OSError:
        writable = False
    told = str(home) if writable else f"{home} cannot be written: correct its permissions or set HOMEPORT_HOME"
    return Finding("data root", writable, told)


def _space(home: Path) -> Finding:
    free = shutil.disk_usage(home).free if home.exists() else 0
    return Finding(
        "disk", free >= LEAST_FREE, f"{free / (1 << 30):.1f} GiB free" + ("" if free >= LEAST_FREE else ": free some")
    )


def _settings(home: Path) -> Finding:
    try:
        settings.read_file(home)
    except HomeportError as error:
        return Finding("settings", False, str(error))
    path = home / settings.FILE
    return Finding("settings", True, str(path) if path.exists() else "all defaults")


async def _host(home: Path) -> list[Finding]:
    try:
        async with connect(home) as client:
            record = process.running(home)
            found = [Finding("host", True, f"runs as process {record.pid} at {record.address}" if record else "runs")]
            listed = (await call(client, "homeport__list_servers"))["servers"]
            found += [_server(server) for server in listed]
            found.append(await _model(lambda: call(client, "homeport__list_models")))
            found.append(await _knowledge(lambda: call(client, "rag__stats")))
            return found
    except HomeportError as error:
        return [Finding("host", False, str(error))]


def _server(server: dict[str, Any]) -> Finding:
    well = server["state"] in {"ready", "stopped"}
    told = f"{server['state']}, {server['tools']} tools" if well else f"{server['state']}: {server['reason']}"
    return Finding(f"server {server['name']}", well, told)


async def _model(ask: Callable[[], Awaitable[dict[str, Any]]]) -> Finding:
    try:
        models = (await ask())["models"]
    except HomeportError as error:
        return Finding("models", False, str(error))
    told = f"{len(models)} can be used" if models else "none: start Ollama and pull one, or enter an OpenRouter key"
    return Finding("models", bool(models), told)


async def _knowledge(ask: Callable[[], Awaitable[dict[str, Any]]]) -> Finding:
    try:
        stats = await ask()
    except HomeportError as error:
        return Finding("knowledge", False, str(error))
    count = sum(collection["documents"] for collection in stats["collections"])
    found_by = "words and meaning" if stats["model"] else "words only" + (f": {stats['why']}" if stats["why"] else "")
    return Finding("knowledge", True, f"{count} documents, found by {found_by}")
