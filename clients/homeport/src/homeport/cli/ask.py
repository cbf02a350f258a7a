"""The command `ask`: one question, an answer that streams, its sources."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from homeport.api import Agent, Host, Run, RunEvent, failure_of
from homeport.cli.output import console, json_option, run, show_json
from homeport_shared.errors import HomeportError


@click.command()
@click.argument("question")
@click.option("--agent", default="", help="A stored agent; default: the assistant.")
@click.option("--model", default="", help="Such as ollama/qwen3:8b or openrouter/openai/gpt-5.")
@click.option("--yes", multiple=True, metavar="TOOL", help="Approve calls of TOOL beforehand.")
@json_option
def ask(question: str, agent: str, model: str, yes: tuple[str, ...], as_json: bool) -> None:
    """Ask QUESTION; the answer cites the documents it rests on."""
    if agent and model:
        raise HomeportError("invalid", "--agent and --model exclude each other.", "A stored agent names its own model.")
    interactive = not as_json and sys.stdin.isatty() and sys.stdout.isatty()
    chosen = Agent("assistant", model=model) if model else agent
    finished = run(lambda: _ask(chosen, question, yes, interactive=interactive, quiet=as_json))
    if as_json:
        show_json(_as_object(finished))
    if finished.status != "completed":
        raise failure_of(finished)


async def _ask(agent: Agent | str, question: str, yes: tuple[str, ...], *, interactive: bool, quiet: bool) -> Run:
    async with Host.connect() as host:
        started = await host.start(agent, question, yes=yes, interactive=interactive)
        try:
            async for event in started.events():
                if not quiet:
                    await _show(event, started, interactive=interactive)
        except BaseException:
            if started.status not in {"completed", "failed", "cancelled"}:
                await _cancel(started)
            raise
        if not quiet:
            _show_sources(started)
        return started


async def _cancel(started: Run) -> None:
    """Ctrl+C stops the run, not only this window."""
    import anyio

    with anyio.move_on_after(5, shield=True):
        await started.cancel()


async def _show(event: RunEvent, started: Run, *, interactive: bool) -> None:
    data = event.data
    if event.kind == "text":
        click.echo(data["text"], nl=False)
    elif event.kind == "restart":
        console.print(f"\n[dim]↻ {data['reason']}[/]")
    elif event.kind == "call" and data["state"] != "running":
        mark = "[green]✓[/]" if data["state"] == "ok" else "[yellow]✗[/]"
        arguments = json.dumps(data["arguments"], ensure_ascii=False)
        console.print(f"[dim]{mark} {data['tool']} {arguments[:100]}[/]", highlight=False)
    elif event.kind == "approval" and interactive:
        console.print(f"\n[bold]{data['tool']}[/] {json.dumps(data['arguments'], ensure_ascii=False)}")
        await started.decide(data["approval_id"], click.confirm(f"{data['reason']} Allow it?"))


def _show_sources(finished: Run) -> None:
    click.echo()
    for citation in finished.citations:
        console.print(
            f"[bold]\\[{citation['n']}][/] {citation['title']}, {citation['place']}  [dim]{citation['uri']}[/]"
        )


def _as_object(finished: Run) -> dict[str, Any]:
    """Return the one object of `--json`."""
    record = finished.record
    return {
        "answer": finished.output,
        "citations": finished.citations,
        "run": finished.id,
        "status": finished.status,
        "steps": record.get("steps"),
        "usage": finished.usage,
        "error": finished.error,
    }
