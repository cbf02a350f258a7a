"""Commands that use tools and resources by hand: tools, call, read, add."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
from rich.markup import escape

from homeport.cli.output import confirm, console, json_option, run, show_json, show_table
from homeport.connection import call, call_raw, connect, error_of, news_of, read, read_raw, text_of
from homeport_shared.errors import HomeportError
from homeport_shared.identity import ERROR

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import CallToolResult


@click.command()
@click.argument("query", default="")
@click.option("--server", default="", help="Only this server's tools.")
@json_option
def tools(query: str, server: str, as_json: bool) -> None:
    """List the tools, or those that fit QUERY."""

    async def work() -> list[dict[str, Any]]:
        async with connect() as client:
            return (await call(client, "homeport__list_tools", query=query, server=server))["tools"]

    found = run(work)
    if as_json:
        show_json(found)
        return
    rows = [(tool["name"], tool.get("title") or "", tool["state"]) for tool in found]
    show_table(("tool", "what it does", "state"), rows, "No tool fits that.")


@click.command("call")
@click.argument("tool")
@click.argument("arguments", default="{}")
@click.option("--yes", multiple=True, metavar="TOOL", help="Approve calls of TOOL beforehand.")
@json_option
def call_tool(tool: str, arguments: str, yes: tuple[str, ...], as_json: bool) -> None:
    """Call TOOL (such as files__read) with ARGUMENTS, a JSON object."""
    try:
        given = json.loads(arguments)
    except ValueError as error:
        raise HomeportError(
            "invalid", f"The arguments are no JSON: {error}.", 'Write them like \'{"path": "a"}\'.'
        ) from error
    if not isinstance(given, dict):
        raise HomeportError("invalid", "The arguments are no JSON object.", 'Write them like \'{"path": "a"}\'.')

    async def work() -> CallToolResult:
        async with connect() as client:
            return await _call_with_consent(client, tool, cast("dict[str, Any]", given), tool in yes)

    result = run(work)
    if as_json:
        show_json(result.model_dump(mode="json", by_alias=True, exclude_none=True))
    elif not result.is_error:
        click.echo(text_of(result))
    if result.is_error:
        raise error_of(result)


async def _call_with_consent(client: Client, tool: str, arguments: dict[str, Any], yes: bool) -> CallToolResult:
    """Call a tool; where policy wants a person's word, take it from `yes` or ask on the terminal."""
    result = await call_raw(client, tool, arguments)
    meta = result.meta or {}
    told, approval = cast("dict[str, Any]", meta.get(ERROR) or {}), meta.get("io.homeport/approval")
    if told.get("code") != "approval_required" or not approval:
        return result
    if not yes:
        if not sys.stdin.isatty():
            return result
        console.print(f"[bold]{tool}[/] {escape(json.dumps(arguments, ensure_ascii=False))}\n{escape(told['message'])}")
        if not await confirm("Do it?"):
            await call(client, "homeport__decide_approval", approval_id=approval, approve=False)
            return result
    await call(client, "homeport__decide_approval", approval_id=approval, approve=True)
    return await call_raw(client, tool, arguments)


@click.command("read")
@click.argument("uri")
@json_option
def read_resource(uri: str, as_json: bool) -> None:
    """Print the resource at URI."""

    async def work() -> Any:
        async with connect() as client:
            return await (read_raw if as_json else read)(client, uri)

    content = run(work)
    if as_json:
        show_json(content.model_dump(mode="json", by_alias=True, exclude_none=True))
    elif isinstance(content, str):
        click.echo(content)
    else:
        show_json(content)


@click.command()
@click.argument("folder")
@click.option("--collection", default="default", help="Where its documents go.")
@click.option("--watch/--no-watch", default=True, help="Take in what changes later, too (default collection).")
@click.option("--wait/--no-wait", default=True, help="Wait until everything is indexed.")
@json_option
def add(folder: str, collection: str, watch: bool, wait: bool, as_json: bool) -> None:
    """Add FOLDER: its files become usable and its documents searchable."""
    path = str(Path(folder).expanduser().absolute()) if folder else ""

    async def work() -> dict[str, Any]:
        async with connect() as client:
            added = await call(client, "homeport__add_folder", path=path, collection=collection, watch=watch)
            if wait and added.get("job_id"):
                added["job"] = await _follow(client, added["job_id"], quiet=as_json)
            return added

    added = run(work)
    if as_json:
        show_json(added)
        return
    job = cast("dict[str, Any]", added.get("job") or {})
    counters = cast("dict[str, int]", job.get("counters") or {})
    counted = [f"{value:g} {name}" for name, value in counters.items() if value and not name.endswith("per_second")]
    told = ", ".join(counted) or "nothing new"
    console.print(f"Added [bold]{escape(path)}[/] as {escape(added['root'])}: {told}.", highlight=False)
    for problem in cast("list[str]", job.get("notes") or [])[:10]:
        console.print(f"  [yellow]left out[/] {escape(problem)}", highlight=False)


async def _follow(client: Client, job: str, *, quiet: bool) -> dict[str, Any]:
    """Wait for a job of the knowledge server, showing how far it is."""
    with console.status("Indexing …") as status:
        async with client.listen(resource_subscriptions=[f"job://{job}"]) as updates:
            news = aiter(updates)
            while True:
                state = (await call(client, "rag__jobs", job_id=job))["jobs"][0]
                if state["state"] in {"completed", "failed", "cancelled"}:
                    break
                if not quiet:
                    status.update(f"Indexing … {state['done']} of {state['total']} {state.get('message') or ''}")
                await news_of(news)
    if state["state"] == "failed":
        raise HomeportError("internal", f"Indexing failed: {state.get('error')}", "Run the command again to go on.")
    return state
