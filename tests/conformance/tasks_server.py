"""The host's endpoint over the tools that the suite's scenarios for tasks call; HTTP on the given port."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio
from mcp.types import ElicitRequestFormParams

from homeport_host.database import Database
from homeport_host.gateway.catalog import Catalog
from homeport_host.gateway.front import Front
from homeport_host.gateway.http import mcp_app
from homeport_host.gateway.tasks import CallTasks
from homeport_host.gateway.turns import asking
from homeport_host.gateway.upstreams import Upstreams
from homeport_host.governance.calls import Caller, Tool
from homeport_host.governance.visibility import View
from homeport_shared.errors import HomeportError
from homeport_shared.serving import serve_http

SHORT = ("greet",)
SCHEMA = {"type": "object", "properties": {"confirm": {"type": "boolean"}}}
QUESTION = ElicitRequestFormParams(message="Go on?", requested_schema=SCHEMA)
LONG = ("slow_compute", "failing_job", "protocol_error_job", "confirm_delete", "multi_input", "test_tool_with_task")


def tool(name: str) -> Tool:
    definition: dict[str, Any] = {"name": name, "description": name, "inputSchema": {"type": "object"}}
    if name in LONG:
        definition["execution"] = {"taskSupport": "required" if name == "failing_job" else "optional"}
    return Tool(name, "jobs", name, definition, frozenset({"read-only"}))


class Jobs(Catalog):
    """The tools under their own names, and what they do."""

    def tool(self, name: str) -> Tool | None:
        return tool(name) if name in SHORT + LONG else None

    def definition(self, tool: Tool) -> dict[str, Any]:
        return dict(tool.definition)

    def shown(self, caller: Caller) -> list[Tool]:
        return [tool(name) for name in SHORT + LONG]

    def view(self, caller: Caller) -> View:
        return View(self, caller, None)  # type: ignore[arg-type] - there are neither resources nor prompts

    async def call_tool(self, caller: Caller, name: str, arguments: Any, *, extra: Any = None, **_: Any) -> Any:
        answers = (extra or {}).get("inputResponses")
        elicit = asking.get()
        match name:
            case "slow_compute":
                await anyio.sleep(float(arguments.get("seconds", 0)))
            case "failing_job":
                await anyio.sleep(1)
                return {**said("It failed."), "isError": True}
            case "protocol_error_job":
                raise HomeportError("internal", "The protocol broke.")
            case "confirm_delete" if elicit:  # asks while it works, the others before they begin
                answers = await elicit(QUESTION)
            case "multi_input" if elicit:
                async with anyio.create_task_group() as group:
                    group.start_soon(elicit, QUESTION)
                    group.start_soon(elicit, QUESTION)
                answers = "both"
            case "test_tool_with_task" if answers is None:
                return asked("user_name")
        return said(f"Hello, {arguments['name']}!" if name == "greet" else f"Done with {answers}.")


def said(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}]}


def asked(*names: str) -> dict[str, Any]:
    params = QUESTION.model_dump(by_alias=True, mode="json", exclude_none=True)
    requests = {name: {"method": "elicitation/create", "params": params} for name in names}
    return {"resultType": "input_required", "inputRequests": requests, "requestState": "one"}


async def main(home: Path, port: int) -> None:
    database = Database(home / "host.db")
    await database.open()
    async with anyio.create_task_group() as group:
        upstreams = Upstreams(group, home=home)
        jobs = Jobs(upstreams)
        tasks = CallTasks(group, database)
        front = Front(jobs, jobs, upstreams, lambda _: Caller("client", "me"), tasks=group, call_tasks=tasks)  # type: ignore[arg-type]
        await serve_http(mcp_app(front, port=port), "127.0.0.1", port, closing=front.listening.close)
        group.cancel_scope.cancel()
    await database.aclose()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        anyio.run(main, Path(folder), int(sys.argv[1]))
