"""Commands about models: what there is, which one answers by default, and getting one."""

from __future__ import annotations

from typing import Any

import anyio
import click

from homeport.cli.output import console, json_option, run, show_json, show_table
from homeport.connection import call, connect
from homeport_shared.errors import HomeportError

NONE = "No model can be used. Start Ollama and pull one (`homeport models pull qwen3:8b`), or set OPENROUTER_API_KEY."


@click.group(invoke_without_command=True)
@click.option("--query", default="", help="Only models whose name contains this.")
@json_option
@click.pass_context
def models(context: click.Context, query: str, as_json: bool) -> None:
    """List the models that can be used now; choose or get one."""
    if context.invoked_subcommand is not None:
        return

    async def work() -> dict[str, Any]:
        async with connect() as client:
            return await call(client, "homeport__list_models", query=query)

    found = run(work)
    if as_json:
        show_json(found)
        return
    rows = [
        ("*" if model["name"] == found["default"] else "", model["name"], ", ".join(model["capabilities"]))
        for model in found["models"]
    ]
    show_table(("", "model", "can"), rows, NONE)


@models.command()
@click.argument("name")
def use(name: str) -> None:
    """Let NAME, such as ollama/qwen3:8b, answer where no other model is chosen."""

    async def work() -> None:
        async with connect() as client:
            await call(client, "homeport__set_model", name=name)

    run(work)
    console.print(f"{name} answers from now on.", highlight=False)


@models.command()
@click.argument("name")
def pull(name: str) -> None:
    """Download the local model NAME, such as qwen3:8b, through Ollama."""
    run(lambda: _pull(name))
    console.print(f"{name} can be used: `homeport models use ollama/{name.removeprefix('ollama/')}`.", highlight=False)


async def _pull(name: str) -> None:
    async with connect() as client:
        state = await call(client, "homeport__pull_model", name=name)
        with console.status(f"Downloading {name} …") as status:
            while state["state"] == "running":
                if state["total"]:
                    status.update(f"Downloading {name} … {100 * state['done'] // state['total']} %")
                await anyio.sleep(0.5)
                downloads = (await call(client, "homeport__list_models", query=name))["downloads"]
                state = next(each for each in downloads if each["name"] == name)
    if state["state"] == "failed":
        raise HomeportError("unavailable", f"{name} was not downloaded.", state["message"])
