"""The command `homeport`.

Exit codes: 0 done; 1 it failed; 2 the command line or the settings are wrong; 3 denied, or it waits for approval;
4 the host, a server or a model cannot be reached; 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, cast

import click

from homeport_shared import __version__, garbage
from homeport_shared.errors import HomeportError, foreseen_in

EXIT: dict[str, int] = {"invalid": 2, "denied": 3, "approval_required": 3, "unavailable": 4, "timeout": 4}

# name → (module, function, line of help): a command's module is loaded when it runs, so that `--help` is quick
COMMANDS: dict[str, tuple[str, str, str]] = {
    "add": ("talk", "add", "Add a folder: its files become usable and searchable."),
    "approve": ("govern", "approve", "List, approve or deny what waits for you."),
    "ask": ("ask", "ask", "Ask a question; the answer cites your documents."),
    "call": ("talk", "call_tool", "Call a tool with JSON arguments."),
    "doctor": ("doctor", "doctor", "Find out what does not work, and what to do."),
    "internet": ("govern", "internet", "Allow agents the internet, or not."),
    "install": ("install", "install", "Add Homeport to Claude Desktop, Claude Code or Cursor."),
    "models": ("models", "models", "List the models; choose or get one."),
    "new-server": ("scaffold", "new_server", "Start a server of your own in this workspace."),
    "read": ("talk", "read_resource", "Print a resource."),
    "serve": ("serve", "serve", "Serve MCP: over stdio for a desktop client, or over HTTP."),
    "servers": ("servers", "servers", "List, add, remove or test MCP servers."),
    "status": ("govern", "status", "Show what runs."),
    "stop": ("govern", "stop", "Stop the host."),
    "tools": ("talk", "tools", "List the tools."),
}


class Commands(click.Group):
    """The commands, each loaded when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the alphabet."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load and return a command."""
        if cmd_name not in COMMANDS:
            return None
        module, function, _ = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(f"homeport.cli.{module}"), function)
        if cmd_name != "serve":  # which has begun when the host is up
            garbage.begin()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][2]) for name in sorted(COMMANDS)])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; a failure becomes one sentence and an exit code."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except KeyboardInterrupt:
            raise SystemExit(130) from None
        except (Exception, BaseExceptionGroup) as error:
            if ctx.params["debug"]:
                raise
            told = foreseen_in(error) or _unforeseen(error)
            click.secho(str(told), err=True, fg="red" if sys.stderr.isatty() else None)
            raise SystemExit(EXIT.get(told.code, 1)) from None


def _unforeseen(error: BaseException) -> HomeportError:
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    if isinstance(error, OSError) and error.filename:
        return HomeportError("internal", f"{error.filename} cannot be used: {error.strerror}.", "Correct that.")
    return HomeportError(
        "internal", f"Something unforeseen: {type(error).__name__}: {error}.", "`homeport --debug …` shows where."
    )


@click.group(cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--home", type=click.Path(path_type=str), help="The data root (HOMEPORT_HOME).")
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
@click.option("--no-browser", is_flag=True, help="Do not open the dashboard in a browser.")
@click.version_option(__version__)
@click.pass_context
def homeport(context: click.Context, home: str | None, debug: bool, no_browser: bool) -> None:
    """Your own AI, on your own machine, with your own tools.

    Without a command: run the host with all servers and open the dashboard. Ctrl+C stops everything.
    """
    if home:
        os.environ["HOMEPORT_HOME"] = home
    if context.invoked_subcommand is None:
        from homeport.cli.serve import run

        run(open_browser=not no_browser)


def main() -> None:
    """Run the command line."""
    garbage.wait()
    homeport(prog_name="homeport")
