"""Commands about the host itself: status, stop, approve."""

from __future__ import annotations

import json
from typing import Any

import click

from homeport.cli.output import console, json_option, run, show_json, show_table
from homeport.connection import call, connect
from homeport_host import process
from homeport_shared import settings
from homeport_shared.errors import HomeportError


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Show what runs; exit code 4 when no host does."""
    home = settings.home_folder()

    async def work() -> dict[str, Any]:
        async with connect(home, start=False) as client:
            return await call(client, "homeport__status")

    found = run(work)
    if as_json:
        show_json(found)
        return
    console.print(f"Homeport {found['version']} at {found['url']}, data in {found['home']}")
    console.print(f"Mode {found['mode']}, model {found['default_model'] or 'none chosen'}")
    documents = found["documents"]["count"] if found["documents"] else 0
    runs, approvals = found["runs"]["running"], found["approvals"]
    console.print(f"Documents: {documents}, runs at work: {runs}, approvals that wait for you: {approvals}")
    rows = [(s["name"], s["state"], s["tools"], s["reason"]) for s in found.get("server_list", [])]
    show_table(("server", "state", "tools", ""), rows, "No servers.")


@click.command()
@json_option
def stop(as_json: bool) -> None:
    """Stop the host that runs in the background."""
    was_running = run(lambda: process.stop(settings.home_folder()))
    if as_json:
        show_json({"stopped": was_running})
        return
    console.print("Stopped." if was_running else "No host was running.")


@click.command()
@click.argument("state", type=click.Choice(["on", "off"]))
@json_option
def internet(state: str, as_json: bool) -> None:
    """Allow agents and other programs the web tools, or refuse them all at once."""

    async def work() -> None:
        async with connect() as client:
            await call(client, "homeport__set_internet", allowed=state == "on")

    run(work)
    if as_json:
        show_json({"internet": state == "on"})
        return
    console.print(f"Internet access for agents is {state}.")


@click.command()
@click.argument("approval", default="")
@click.option("--deny", is_flag=True, help="Deny it instead.")
@click.option("--always", is_flag=True, help="Allow this tool to this caller from now on (with --deny: never).")
@json_option
def approve(approval: str, deny: bool, always: bool, as_json: bool) -> None:
    """Approve what waits under APPROVAL (its first characters are enough); without it, list what waits."""

    async def work() -> list[dict[str, Any]]:
        async with connect() as client:
            waiting = (await call(client, "homeport__list_approvals"))["approvals"]
            if not approval:
                return waiting
            chosen = [hold for hold in waiting if hold["id"].startswith(approval)]
            if len(chosen) != 1:
                raise HomeportError(
                    "not_found",
                    f"{len(chosen)} approvals begin with {approval!r}.",
                    "List them with `homeport approve`.",
                )
            remember = ("never" if deny else "always") if always else "once"
            decided = {"approval_id": chosen[0]["id"], "approve": not deny, "remember": remember}
            return [await call(client, "homeport__decide_approval", **decided)]

    found = run(work)
    if as_json:
        show_json(found)
        return
    rows = [
        (h["id"][:8], h["tool"], json.dumps(h["arguments"], ensure_ascii=False), h["caller"], h["state"]) for h in found
    ]
    show_table(("id", "tool", "arguments", "for", "state"), rows, "Nothing waits for you.")
