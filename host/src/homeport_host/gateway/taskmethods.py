"""The methods of the MCP extension for tasks, on the wire."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from mcp import MCPError
from mcp.server.lowlevel import Server
from mcp.server.mcpserver import require_client_extension
from mcp.types import HEADER_MISMATCH, INVALID_PARAMS, RequestParams

from homeport_host.gateway.eras import Context
from homeport_host.gateway.tasks import EXTENSION, CallTasks
from homeport_host.governance.calls import Caller, Tool
from homeport_shared.errors import HomeportError


class TaskParams(RequestParams):
    """Which task."""

    task_id: str


class AnswerParams(TaskParams):
    """Answers to its questions, by the keys under which it asked."""

    input_responses: dict[str, dict[str, Any]]


def offer(server: Server[Any], tasks: CallTasks, owner: Callable[[Context], str]) -> None:
    """Announce the extension and serve its methods.

    Args:
        server: The endpoint.
        tasks: What is kept.
        owner: Tells from a request whose tasks are meant.
    """

    async def get(context: Context, params: TaskParams) -> dict[str, Any]:
        _check(context, params)
        return await _found(tasks.get(owner(context), params.task_id))

    async def answer(context: Context, params: AnswerParams) -> dict[str, Any]:
        _check(context, params)
        await _found(tasks.answer(owner(context), params.task_id, params.input_responses))
        return {"resultType": "complete"}

    async def cancel(context: Context, params: TaskParams) -> dict[str, Any]:
        _check(context, params)
        await _found(tasks.cancel(owner(context), params.task_id))
        return {"resultType": "complete"}

    server.extensions[EXTENSION] = {}
    server.add_request_handler("tasks/get", TaskParams, get)
    server.add_request_handler("tasks/update", AnswerParams, answer)
    server.add_request_handler("tasks/cancel", TaskParams, cancel)


def declares_tasks(context: Context) -> bool:
    """Say whether the client of a request understands tasks."""
    capabilities = context.session.client_capabilities
    return capabilities is not None and EXTENSION in (capabilities.extensions or {})


def takes_long(tool: Tool | None) -> bool:
    """Say whether a tool declares that its calls are better made as tasks."""
    return _support(tool) in {"optional", "required"}


def require_tasks(context: Context, tool: Tool | None) -> None:
    """Refuse a call of a tool that works only as a task, when its client does not understand tasks.

    Raises:
        MCPError: Naming the extension.
    """
    if _support(tool) == "required":
        require_client_extension(context, EXTENSION)


def _support(tool: Tool | None) -> str:
    execution = cast("dict[str, str]", tool.definition.get("execution") or {}) if tool else {}
    return execution.get("taskSupport", "forbidden")


def _check(context: Context, params: TaskParams) -> None:
    require_client_extension(context, EXTENSION)
    headers: Mapping[str, str] = getattr(context.request, "headers", None) or {}
    if headers.get("mcp-name", params.task_id) != params.task_id:  # by which proxies route
        raise MCPError(code=HEADER_MISMATCH, message="The header Mcp-Name does not name the task of the request.")


def owner_of(caller: Caller) -> str:
    """Return whose a caller's tasks are."""
    return f"{caller.kind}:{caller.name}"


async def _found(work: Any) -> Any:
    try:
        return await work
    except HomeportError as error:
        raise MCPError(code=INVALID_PARAMS, message=str(error)) from error
