"""The command `ask`: one question, an answer that streams, its sources."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

import anyio
import click
from rich.markup import escape

from homeport.api import FINAL, Host, Run, RunEvent, failure_of
from homeport.cli.output import confirm, console, interrupted, json_option, run, show_json
from homeport_shared.errors import HomeportError


@click.command()
@click.argument("question")
@click.option("--agent", default="", help="A stored agent; default: the assistant.")
@click.option("--model", default="", help="Such as ollama/qwen3:8b or openrouter/openai/gpt-5.")
@click.option("--yes", multiple=True, metavar="TOOL", help="Approve calls of TOOL beforehand.")
@json_option
def ask(question: str, agent: str, model: str, yes: tuple[str, ...], as_json: bool) -> None:
    """Ask QUESTION; the answer cites the documents it rests on."""
    interactive = not as_json and sys.stdin.isatty() and sys.stdout.isatty()
    finished = run(lambda: _ask(question, agent, model, yes, interactive=interactive, quiet=as_json))
    if finished is None:
        raise KeyboardInterrupt
    if as_json:
        show_json(_as_object(finished))
    if finished.status != "completed":
        raise failure_of(finished)


async def _ask(
    question: str, agent: str, model: str, yes: tuple[str, ...], *, interactive: bool, quiet: bool
) -> Run | None:
    """Return the ended run; None when Ctrl+C stopped it."""
    async with Host.connect() as host:
        started = await host.start(agent, question, model=model, yes=yes, interactive=interactive)
        used_files = False
        try:
            with interrupted() as scope:
                async for event in started.events():
                    used_files |= event.kind == "call" and event.data["tool"].startswith("files__")
                    if not quiet:
                        await _show(event, started, interactive=interactive)
            if scope.cancelled_caught:
                await _cancel(started)
                return None
        except BaseException:
            if started.status not in FINAL:
                await _cancel(started)
            raise
        if not quiet:
            _show_sources(started)
            if used_files:
                await _show_undo(host, started)
        return started


async def _cancel(started: Run) -> None:
    """Ctrl+C stops the run, not only this window."""
    with anyio.move_on_after(5, shield=True):
        await started.cancel()


async def _show(event: RunEvent, started: Run, *, interactive: bool) -> None:
    data = event.data
    if event.kind == "text":
        click.echo(data["text"], nl=False)
    elif event.kind == "restart":
        console.print(f"\n[dim]↻ {escape(data['reason'])}[/]")
    elif event.kind == "call" and data["state"] != "running":
        mark = "[green]✓[/]" if data["state"] == "ok" else "[yellow]✗[/]"
        arguments = json.dumps(data["arguments"], ensure_ascii=False)
        console.print(f"[dim]{mark} {escape(data['tool'])} {escape(arguments[:100])}[/]", highlight=False)
    elif event.kind == "approval" and interactive:
        console.print(f"\n[bold]{data['tool']}[/] {escape(json.dumps(data['arguments'], ensure_ascii=False))}")
        allowed = await confirm(f"{data['reason']} Allow it?")
        await started.decide(event.id, allowed)


def _show_sources(finished: Run) -> None:
    if finished.output:
        click.echo()
    for citation in finished.citations:
        place = escape(f"{citation['title']}, {citation['place']}")
        source = escape(citation.get("source") or citation["uri"])
        console.print(f"[bold]\\[{citation['n']}][/] {place}  [dim]{source}[/]", highlight=False)


async def _show_undo(host: Host, finished: Run) -> None:
    """Say how to take back what a run did to files."""
    try:
        changed = (await host.call("files__changes", change_set=finished.id))["files"]
    except HomeportError:  # it changed nothing
        return
    if changed:
        files = "1 file was" if len(changed) == 1 else f"{len(changed)} files were"
        given = json.dumps({"change_set": finished.id})
        console.print(f"[dim]{files} changed. To take it back: homeport call files__undo '{given}'[/]", highlight=False)


def _as_object(finished: Run) -> dict[str, Any]:
    """Return the one object of `--json`."""
    record = finished.record
    return {
        "answer": finished.output,
        "citations": finished.citations,
        "run": finished.id,
        "status": finished.status,
        "steps": record.get("steps"),
        "usage": asdict(finished.usage),
        "error": finished.error,
    }
