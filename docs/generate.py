"""Write the pages of docs/reference that follow from the code: `python docs/generate.py`. A test says when to."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, get_args

import anyio
import click
from mcp import Client
from pydantic import BaseModel

DOCS = Path(__file__).resolve().parent
REFERENCE = DOCS / "reference"
MARK = "<!-- Written by docs/generate.py: change the code, not this page. -->"
SERVERS = {
    "files": ("Files", "Workspace files: what `homeport-files` offers, alone or as `files__…` through the host."),
    "rag": ("Knowledge", "The knowledge base: what `homeport-rag` offers, alone or as `rag__…` through the host."),
    "scheduler": (
        "Automation",
        "Jobs on time, on events or on demand: what `homeport-scheduler` offers, alone or as `scheduler__…` through "
        "the host.",
    ),
    "web": ("Web", "Search and pages of the web: what `homeport-web` offers, alone or as `web__…` through the host."),
    "homeport": (
        "The host's own server",
        "What the host offers of itself. Through the host, names begin `homeport__`.",
    ),
}
PERSON_ONLY = "person-only"


def main() -> None:
    """Write every page."""
    for name, text in pages().items():
        path = REFERENCE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        print(path.relative_to(DOCS.parent))


def pages() -> dict[str, str]:
    """Return path below docs/reference → text, for every generated page."""
    return {
        "command-line.md": command_line(),
        "settings.md": settings(),
        "policy.md": policy(),
        "limits.md": limits(),
        **anyio.run(servers),
    }


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    cells = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    lines = [" | ".join(columns), "|".join(["---"] * len(columns)), *(" | ".join(row) for row in cells)]
    return "\n".join(f"|{line}|" if set(line) <= {"-", "|"} else f"| {line} |" for line in lines)


def page(title: str, *parts: str) -> str:
    """Return a page."""
    return "\n\n".join([MARK, f"# {title}", *(part.strip() for part in parts if part)]) + "\n"


# Commands

EXIT_CODES = [
    (0, "done"),
    (1, "it failed: the sentence on standard error says why"),
    (2, "the command line, an argument or the settings are wrong"),
    (3, "denied, or it waits for approval"),
    (4, "the host, a server or a model cannot be reached, or took too long"),
    (130, "interrupted by Ctrl+C"),
]
ENVIRONMENT = [
    ("HOMEPORT_HOME", "the data folder; otherwise the platform's own, which `homeport doctor` shows"),
    ("OLLAMA_HOST", "address of Ollama; otherwise `http://127.0.0.1:11434`"),
    ("OPENROUTER_API_KEY", "key of OpenRouter; goes before one entered on the page"),
    ("OPENROUTER_BASE_URL", "another address of OpenRouter"),
    ("HOMEPORT_<SECTION>_<FIELD>", "any [setting](settings.md), such as `HOMEPORT_FILES_ROOTS`; goes before the file"),
    ("HOMEPORT_MODEL_DIR", "folder of the embedding model"),
    ("HOMEPORT_RAG_EMBEDDING_KEY", "key of the server at `embedding_address`, where it wants one"),
    ("BRAVE_API_KEY", "key of Brave's search API; goes before one entered on the page"),
    ("HTTPS_PROXY, HTTP_PROXY, NO_PROXY", "the proxy of `homeport-web`, unless its settings name one"),
    ("HOMEPORT_TOKEN", "the token that a server alone (`homeport-files --http`) asks its clients for"),
]


def command_line() -> str:
    """Return the page about the commands."""
    from homeport.cli import COMMANDS, homeport

    context = click.Context(homeport, info_name="homeport")
    parts = [
        "`homeport` without a command runs the host with all servers and opens the dashboard. A command starts the "
        "host in the background when none runs; it leaves after 15 minutes without a client or a run. From a clone, "
        "write `uv run homeport …`.",
        "What went wrong is one sentence on standard error. `--json` prints one JSON value on standard output.",
        "## Exit codes",
        table(("code", "meaning"), EXIT_CODES),
        "## Environment",
        table(("variable", "meaning"), [(f"`{name}`", meaning) for name, meaning in ENVIRONMENT]),
        "## homeport",
        options(homeport),
    ]
    for name in sorted(COMMANDS):
        command = homeport.get_command(context, name)
        assert command is not None
        parts += described(f"homeport {name}", command)
    parts += ["## homeport-files, homeport-rag, homeport-scheduler, homeport-web", servers_alone()]
    return page("Commands", *parts)


def described(name: str, command: click.Command) -> list[str]:
    """Return the parts of the page about one command and its own commands."""
    usage = " ".join([name, *command.collect_usage_pieces(click.Context(command))])
    parts = [f"## {name}", f"`{usage}`", (command.help or "").strip(), options(command)]
    if isinstance(command, click.Group):
        for each in command.commands.values():
            parts += described(f"{name} {each.name}", each)
    return parts


def options(command: click.Command) -> str:
    """Return the table of a command's options; empty when there are none."""
    context = click.Context(command)
    records = [o.get_help_record(context) for o in command.params if isinstance(o, click.Option)]
    rows = [(f"`{record[0]}`", record[1]) for record in records if record]
    return table(("option", "meaning"), rows) if rows else ""


def servers_alone() -> str:
    """Return what the program of a single server takes."""
    return (
        "A server alone speaks MCP over stdin and stdout. With `--http HOST:PORT` it serves HTTP at `/mcp` and prints "
        "the token that clients send; `--no-token` asks for none, on this machine only. `--home`, `--log-level` and "
        "`--version` exist for each, and one flag per [setting](settings.md), such as `--max-file-mb`. "
        "`homeport-files` takes its folders as arguments, `homeport-rag` after `--folders`."
    )


# Settings


def sections() -> dict[str, type[BaseModel]]:
    """Return section of homeport.toml → its model."""
    from homeport_files.settings import FilesSettings
    from homeport_host.configuration import HostSettings
    from homeport_host.providers.settings import ModelSettings
    from homeport_host.surface.setup import SetupSettings
    from homeport_rag.settings import RagSettings
    from homeport_scheduler.settings import SchedulerSettings
    from homeport_web.settings import WebSettings

    return {
        "models": ModelSettings,
        "host": HostSettings,
        "files": FilesSettings,
        "rag": RagSettings,
        "scheduler": SchedulerSettings,
        "web": WebSettings,
        "setup": SetupSettings,
    }


def settings() -> str:
    """Return the page about homeport.toml."""
    from homeport_host.providers.settings import CompatibleSettings

    parts = [
        "Settings are in `homeport.toml` in the data folder; without the file, all have their defaults. A flag goes "
        "before `HOMEPORT_<SECTION>_<FIELD>` in the environment, that before the file. Lists in the environment are "
        "separated like paths (`:`, on Windows `;`). Pages and commands that change a setting keep your comments. An "
        "unknown or wrong field is an error that names it. The files server takes over a change within a second; "
        "for anything else stop and start Homeport after a change by hand."
    ]
    for section, model in sections().items():
        parts += [f"## [{section}]", (model.__doc__ or "").strip(), fields(model)]
    parts += ["## [[models.compatible]]", "One further address of models.", fields(CompatibleSettings)]
    parts += [
        "## Other files",
        "`mcp.json` in the data folder lists [further servers](../how-to/add-a-third-party-server.md), `agents/` holds "
        "[agents](../how-to/write-an-agent.md). Secrets are in the system's keyring, or encrypted in `vault.json`.",
    ]
    return page("Settings", *parts)


def fields(model: type[BaseModel]) -> str:
    """Return the table of a model's fields."""
    rows: list[Sequence[object]] = []
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else f"`{shown(field.get_default(call_default_factory=True))}`"
        rows.append((f"`{name}`", default, field.description or ""))
    return table(("field", "default", "meaning"), rows)


def shown(value: object) -> str:
    """Return a default as TOML shows it."""
    if isinstance(value, BaseModel):
        return "see below"
    return json.dumps(list(value) if isinstance(value, tuple) else value)


# Policy and limits

COLUMNS = {"person": "a person", "chat": "agent in chat", "ask": "`ask`", "client": "other client", "job": "job"}
ROWS = {
    "read": "only reads",
    "reversible": "changes what can be taken back",
    "lasting": "tells later conversations something, after untrusted content",
    "destructive": "destructive or outward",
    "tainted": "outward, after private **and** untrusted content",
}
WORDS = """\
*allow* runs. *confirm* asks the person in place. *ask* stores an approval with the exact arguments, which a person
decides on the dashboard, with `homeport approve`, or in a client that can ask; where nobody can be asked (`ask` without
a terminal, or with `--json`), it is denied and the message says how to allow it (`--yes TOOL`). *deny* refuses.

Beforehand, *ask* and *confirm* are answered by `--yes TOOL`, or by `always` of an earlier approval; `never` refuses,
and goes before `always`. After untrusted content `--yes` and `always` do not count. A job may call what changes
reversibly when it names the tool, and what is destructive only when it was approved for exactly these arguments."""
LABELS = {
    "read-only": "changes nothing",
    "can-be-taken-back": "what it changes can be undone",
    "destructive": "what it changes cannot be undone",
    "outward": "something leaves this machine",
    "internet": "uses the internet: denied to all but persons until it is switched on",
    "reads-private": "returns your own data",
    "untrusted-content": "returns what others wrote",
    "person-only": "for persons: never shown to agents, jobs or other clients",
    "page-only": "made for a server's page: for persons, and for jobs that a person saved with just this tool",
    "instructs-agents": "keeps, or returns, what agents are told at the start of later conversations",
}


def policy() -> str:
    """Return the page about the default policy."""
    from homeport_host.governance.calls import Label
    from homeport_host.governance.policy import TABLE

    assert set(LABELS) == set(get_args(Label))
    rows = [(ROWS[row], *(TABLE[row][kind] for kind in COLUMNS)) for row in TABLE]
    return page(
        "Policy",
        "Every call of a tool, whoever makes it, is decided by this table. Why: "
        "[trust and policy](../explanation/trust-and-policy.md).",
        table(("a call that …", *COLUMNS.values()), rows),
        WORDS,
        "## Labels",
        "The row follows from labels. Homeport's own servers say them; of a third-party server only `readOnlyHint` and "
        "`openWorldHint` count, and its content is private and untrusted. Change them per tool in "
        "[`[host] labels`](settings.md#host).",
        table(("label", "meaning"), [(f"`{name}`", meaning) for name, meaning in LABELS.items()]),
    )


def limits() -> str:
    """Return the page about limits."""
    from homeport_files import content_index, reading
    from homeport_host import http, process, tickets
    from homeport_host.agents import definition, service
    from homeport_host.agents.limits import STOP_AT, WARN_AT, Limits
    from homeport_host.chat import attach
    from homeport_host.gateway import catalog, exposure, upstream
    from homeport_host.governance import approvals, stages
    from homeport_shared import logs
    from homeport_shared.documents import archive, model
    from homeport_web import fetching

    fixed = [
        ("a tool's public name", f"{catalog.LONGEST_NAME} characters"),
        ("one call of a connected server", f"{upstream.CALL_SECONDS:g} s"),
        ("connecting to a server", f"{upstream.CONNECT_SECONDS:g} s"),
        ("calls per client and minute", f"{stages.CALLS_PER_MINUTE}"),
        ("tools found by `search_tools`", f"{exposure.MOST_FOUND}"),
        ("pinned tools of an agent", f"{definition.MOST_PINNED}"),
        ("an agent's file", f"{definition.LONGEST:,} characters"),
        ("a prompt", f"{service.LONGEST_PROMPT:,} characters"),
        ("an attachment of a chat", f"{attach.MOST_BYTES // 1_000_000} MB"),
        ("an upload", f"{http.MAX_UPLOAD >> 20} MiB"),
        ("a one-time link", f"{tickets.SECONDS / 60:g} minutes"),
        ("an approval waits", f"{approvals.DEFAULT_LIFE.total_seconds() / 3600:g} hours"),
        ("a file's part in one answer of `read`", f"{reading.MOST_BYTES // 1024} KiB"),
        ("files of a root for an index of contents", f"{content_index.MOST_FILES:,}"),
        ("redirects of a visited page", f"{fetching.MOST_REDIRECTS}"),
        ("text taken out of one document", f"{model.MAX_CHARACTERS:,} characters"),
        ("a packed document, unpacked", f"{archive.MAX_UNPACKED // 1_000_000} MB in {archive.MAX_MEMBERS:,} parts"),
        ("a log file", f"{logs.MAX_BYTES // 1_000_000} MB, {logs.KEPT_FILES} kept"),
        ("a background host without a client or a run", f"leaves after {process.IDLE_EXIT_SECONDS // 60} minutes"),
    ]
    return page(
        "Limits",
        "## A run",
        "The most that one run of an agent may use. The agent's file sets them under `limits:`, `run_start` for one "
        "run. At a limit the run fails with the code `limit`, and what it did so far stays visible.",
        fields(Limits),
        f"The same tool with the same arguments is warned about at call {WARN_AT} and stops the run at call {STOP_AT}.",
        "## Fixed",
        table(("what", "limit"), fixed),
        "Sizes of files and documents are [settings](settings.md) of their servers.",
    )


# Servers


async def servers() -> dict[str, str]:
    """Return the page of each server, from what it lists to a person."""
    from homeport_host.host import open_host

    with tempfile.TemporaryDirectory() as folder:
        async with open_host(Path(folder), url="") as host, Client(host.person_server()) as client:
            tools = [tool.model_dump(by_alias=True, exclude_none=True) for tool in (await client.list_tools()).tools]
            known = {name: host.upstreams.get(name) for name in SERVERS}
            resources = {name: [*server.resources, *server.templates] for name, server in known.items()}
    return {f"servers/{name}.md": server_page(name, tools, resources[name]) for name in SERVERS}


def server_page(name: str, tools: list[dict[str, Any]], resources: list[dict[str, Any]]) -> str:
    """Return the page of one server."""
    title, about = SERVERS[name]
    own = [tool for tool in tools if tool["name"].startswith(f"{name}__")]
    addresses = sorted({str(r.get("uri") or r.get("uriTemplate")): r.get("title") or "" for r in resources}.items())
    parts = [about, "## Tools"]
    for tool in own:
        parts += tool_parts(tool, tool["name"].removeprefix(f"{name}__"))
    parts += ["## Resources", table(("URI", "what it is"), [(f"`{uri}`", text) for uri, text in addresses])]
    return page(title, *parts)


def tool_parts(tool: dict[str, Any], name: str) -> list[str]:
    """Return the parts of the page about one tool."""
    labels = (tool.get("_meta") or {}).get("io.homeport/labels", [])
    hints = tool.get("annotations") or {}
    does = "only reads" if hints.get("readOnlyHint") else "changes something"
    told = [does, *("for persons only" if each == PERSON_ONLY else each.replace("-", " ") for each in labels)]
    schema = tool["inputSchema"]
    required = set(schema.get("required", []))
    rows = [
        (
            f"`{key}`",
            kind(value),
            "required" if key in required else f"`{json.dumps(value.get('default'))}`",
            value.get("description", ""),
        )
        for key, value in schema.get("properties", {}).items()
    ]
    arguments = table(("argument", "type", "default", "meaning"), rows) if rows else "No arguments."
    return [f"### {name}", f"*{'; '.join(dict.fromkeys(told))}.* {tool.get('description', '')}", arguments]


def kind(schema: dict[str, Any]) -> str:
    """Return a JSON schema's type in a word or two."""
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(kind(each) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {kind(schema.get('items', {}))}"
    return str(schema.get("type", "any"))


if __name__ == "__main__":
    main()
