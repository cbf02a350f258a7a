"""The host as one MCP server: relays raw requests between clients and servers of both protocol eras.

It never decides: every call, read and prompt goes through the dispatcher.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

from anyio.abc import TaskGroup
from mcp import MCPError
from mcp.server.apps import client_supports_apps
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.models import InitializationOptions
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolRequestParams,
    CompleteRequestParams,
    GetPromptRequestParams,
    NotificationParams,
    PaginatedRequestParams,
    ReadResourceRequestParams,
)

from homeport_host.gateway.catalog import Catalog
from homeport_host.gateway.elicitation import (
    PREFIX,
    ParkedCalls,
    answer_for_2025,
    approval_question,
    ask_2025,
    can_ask,
)
from homeport_host.gateway.eras import Context, for_era, is_modern, tool_for_2025
from homeport_host.gateway.exposure import (
    CALL,
    DESCRIBE,
    SEARCH,
    Index,
    describe_tool,
    search_definitions,
    search_tools,
)
from homeport_host.gateway.listening import Listening
from homeport_host.gateway.search import ToolIndex
from homeport_host.gateway.taskmethods import declares_tasks, offer, owner_of, require_tasks, takes_long
from homeport_host.gateway.tasks import CallTasks
from homeport_host.gateway.turns import Elicit, asking
from homeport_host.gateway.upstream import RESOURCE_NOT_FOUND_2025, RefusedError
from homeport_host.gateway.upstreams import Upstreams
from homeport_host.governance.calls import Caller, Progress, Tool
from homeport_host.governance.dispatch import Dispatcher, refusal
from homeport_shared import __version__
from homeport_shared.errors import HomeportError

LIST_WAIT_SECONDS = 2.0
NO_CACHE = CacheHint(ttl_ms=0, scope="private")
INSTRUCTIONS = (
    "All servers of this Homeport as one: a tool's name is server__tool. "
    "Where only search_tools is shown, find a tool with it, read describe_tool, then use call_tool."
)


class Front:
    """One MCP endpoint over everything in the catalog.

    Args:
        catalog: What there is.
        dispatcher: Decides about and makes each call.
        upstreams: The servers.
        caller_of: Tells from a request who makes it.
        tasks: Where calls run that may wait for a person.
        index: Makes the index for the exposure `search`.
        pinned: Public names of the tools that the exposure `search` shows besides its own.
        call_tasks: Keeps the calls that take long as tasks; None = that is not offered.
        state_key: Seals `requestState`, at least 32 bytes; None = a new one, so that open questions end with the host.

    Attributes:
        server: The low-level server, for any transport.
        listening: The clients that follow changes.
        parked: The calls that wait for a person.
    """

    def __init__(
        self,
        catalog: Catalog,
        dispatcher: Dispatcher,
        upstreams: Upstreams,
        caller_of: Callable[[Context], Caller],
        *,
        tasks: TaskGroup,
        index: Index = ToolIndex,
        pinned: Iterable[str] = (),
        call_tasks: CallTasks | None = None,
        state_key: bytes | None = None,
    ) -> None:
        self._catalog = catalog
        self._dispatcher = dispatcher
        self._upstreams = upstreams
        self._caller_of = caller_of
        self._index = index
        self._pinned = frozenset(pinned)
        self.listening = Listening(catalog, upstreams, self._may_follow)
        self.parked = ParkedCalls(tasks)
        self._call_tasks = call_tasks
        self.server = self._build(state_key or secrets.token_bytes(32))

    def _build(self, state_key: bytes) -> Server[Any]:
        handlers: dict[str, Any] = {
            "on_list_tools": self._list_tools,
            "on_call_tool": self._call_tool,
            "on_list_resources": self._list_resources,
            "on_list_resource_templates": self._list_templates,
            "on_read_resource": self._read_resource,
            "on_list_prompts": self._list_prompts,
            "on_get_prompt": self._get_prompt,
            "on_completion": self._complete,
            "on_subscribe_resource": self.listening.subscribe,
            "on_unsubscribe_resource": self.listening.unsubscribe,
            "on_subscriptions_listen": self.listening.listen,
        }
        server = _AnnouncingServer(
            "homeport",
            version=__version__,
            title="Homeport",
            instructions=INSTRUCTIONS,
            lifespan=self.listening.lifespan,
            get_tool_input_schema=self._input_schema,
            cache_hints={
                "tools/list": NO_CACHE,
                "resources/list": NO_CACHE,
                "resources/templates/list": NO_CACHE,
                "prompts/list": NO_CACHE,
                "resources/read": NO_CACHE,
            },
            **handlers,
        )
        server.add_notification_handler("notifications/initialized", NotificationParams, self.listening.initialized)
        security = RequestStateSecurity(keys=[state_key], bind_principal=lambda context: self._caller_of(context).name)
        if self._call_tasks is not None:
            offer(server, self._call_tasks, lambda context: owner_of(self._caller_of(context)))
        server.middleware.append(RequestStateBoundary(security, default_audience="homeport"))
        return server

    def _caller(self, context: Context, elicit: Elicit | None = None) -> Caller:
        self.listening.seen(context)
        caller = replace(self._caller_of(context), views=client_supports_apps(context))
        return replace(caller, ask=approval_question(elicit)) if elicit is not None else caller

    async def _may_follow(self, context: Context, uri: str) -> bool:
        await self._upstreams.wait_ready(LIST_WAIT_SECONDS)
        try:
            return self._dispatcher.view(self._caller_of(context)).resource(uri)
        except HomeportError:  # it may appear later, and until then nothing changes there
            return True

    def _input_schema(self, name: str) -> Mapping[str, Any] | None:
        # Without it the SDK lists all tools to check the headers of each call.
        tool = self._catalog.tool(name)
        return cast("Mapping[str, Any] | None", tool.definition.get("inputSchema")) if tool else None

    # Lists

    async def _list_tools(self, context: Context, params: PaginatedRequestParams | None) -> Any:
        await self._upstreams.wait_ready(LIST_WAIT_SECONDS)
        caller = self._caller(context)
        entries = [self._catalog.definition(tool) for tool in self._listed(caller)]
        if caller.exposure == "search":
            entries = search_definitions() + entries
        if not is_modern(context):
            entries = [tool_for_2025(entry) for entry in entries]
        return for_era(context, {"tools": entries})

    def _listed(self, caller: Caller) -> list[Tool]:
        shown = self._dispatcher.shown(caller)
        return [tool for tool in shown if tool.name in self._pinned] if caller.exposure == "search" else shown

    async def _list_resources(self, context: Context, params: PaginatedRequestParams | None) -> Any:
        await self._upstreams.wait_ready(LIST_WAIT_SECONDS)
        view = self._dispatcher.view(self._caller(context))
        entries = [entry for entry in self._catalog.resources() if view.resource(entry["uri"])]
        return for_era(context, {"resources": entries})

    async def _list_templates(self, context: Context, params: PaginatedRequestParams | None) -> Any:
        await self._upstreams.wait_ready(LIST_WAIT_SECONDS)
        view = self._dispatcher.view(self._caller(context))
        entries = [entry for entry in self._catalog.templates() if view.resource(entry["uriTemplate"])]
        return for_era(context, {"resourceTemplates": entries})

    async def _list_prompts(self, context: Context, params: PaginatedRequestParams | None) -> Any:
        await self._upstreams.wait_ready(LIST_WAIT_SECONDS)
        view = self._dispatcher.view(self._caller(context))
        entries = [entry for entry in self._catalog.prompts() if view.prompt(entry["name"])]
        return for_era(context, {"prompts": entries})

    # Calls

    async def _call_tool(self, context: Context, params: CallToolRequestParams) -> Any:
        given = _dump(params)
        name, arguments = params.name, dict(params.arguments or {})
        caller = self._caller(context)
        try:
            if caller.exposure == "search" and name not in self._pinned:
                own, name, arguments = self._search_call(caller, name, arguments)
                if own is not None:
                    return for_era(context, own)
            return for_era(context, await self._dispatch(context, name, arguments, given))
        except HomeportError as error:
            return for_era(context, refusal(error))

    def _search_call(
        self, caller: Caller, name: str, arguments: dict[str, Any]
    ) -> tuple[dict[str, Any] | None, str, dict[str, Any]]:
        """Serve `search_tools` and `describe_tool`, or return what `call_tool` is to call."""
        shown = self._dispatcher.shown(caller)
        if name == SEARCH:
            return search_tools(_text_argument(arguments, "query"), shown, self._index), "", {}
        target = _text_argument(arguments, "name") if name in {DESCRIBE, CALL} else name
        if name == DESCRIBE:
            return describe_tool(target, shown), "", {}
        if name != CALL:
            raise HomeportError("not_found", f"There is no tool {name!r} for you.", f"Find one with {SEARCH}.")
        inner: Any = arguments.get("arguments") or {}
        if not isinstance(inner, dict):
            raise HomeportError("invalid", f"The arguments of {target} are not an object.", f"See {DESCRIBE}.")
        return None, target, cast("dict[str, Any]", inner)

    async def _dispatch(
        self, context: Context, name: str, arguments: dict[str, Any], given: Mapping[str, Any]
    ) -> dict[str, Any]:
        async def call(elicit: Elicit | None, progress: Progress, extra: Mapping[str, Any]) -> dict[str, Any]:
            caller = self._caller(context, elicit)
            meta = cast("dict[str, Any]", given.get("_meta") or {})
            return await self._dispatcher.call_tool(caller, name, arguments, meta=meta, progress=progress, extra=extra)

        report = context.session.report_progress
        extra = {key: given[key] for key in ("inputResponses", "requestState") if key in given}
        if not is_modern(context):
            elicit = ask_2025(context) if can_ask(context) else None
            asking.set(elicit)
            return await answer_for_2025(context, lambda more: call(elicit, report, more))
        state = str(extra.get("requestState") or "")
        if state.startswith(PREFIX):
            return await self.parked.resume(state, extra.get("inputResponses") or {}, report)
        if self._call_tasks is not None and declares_tasks(context):

            async def work(elicit: Elicit, progress: Progress, more: Mapping[str, Any]) -> dict[str, Any]:
                return await call(elicit if can_ask(context) else None, progress, {**extra, **more})

            at_once = takes_long(self._catalog.tool(name))
            owner = owner_of(self._caller_of(context))
            return await self._call_tasks.call(owner, work, at_once=at_once, asks_first=can_ask(context))
        if self._call_tasks is not None:
            require_tasks(context, self._catalog.tool(name))
        if can_ask(context):
            return await self.parked.begin(lambda elicit, progress: call(elicit, progress, extra), report)
        return await call(None, report, extra)

    # Reads, prompts, completions

    async def _read_resource(self, context: Context, params: ReadResourceRequestParams) -> Any:
        meta: dict[str, Any] = _dump(params).get("_meta") or {}
        try:
            result = await self._dispatcher.read_resource(self._caller(context), str(params.uri), meta=meta)
        except HomeportError as error:
            raise _protocol_error(error, {"uri": str(params.uri)}) from error
        return for_era(context, result)

    async def _get_prompt(self, context: Context, params: GetPromptRequestParams) -> Any:
        given = _dump(params)
        caller = self._caller(context)

        async def call(extra: Mapping[str, Any]) -> dict[str, Any]:
            meta = cast("dict[str, Any]", given.get("_meta") or {})
            return await self._dispatcher.get_prompt(caller, params.name, params.arguments, meta=meta, extra=extra)

        extra = {key: given[key] for key in ("inputResponses", "requestState") if key in given}
        try:
            result = await (call(extra) if is_modern(context) else answer_for_2025(context, call))
        except HomeportError as error:
            raise _protocol_error(error, {"name": params.name}) from error
        return for_era(context, result)

    async def _complete(self, context: Context, params: CompleteRequestParams) -> Any:
        try:
            result = await self._dispatcher.complete(self._caller(context), _dump(params))
        except HomeportError as error:
            raise _protocol_error(error) from error
        return for_era(context, result)


class _AnnouncingServer(Server[Any]):
    """The SDK's server, which also tells 2025 clients that its lists change."""

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        """Return the options with all `listChanged` flags set."""
        return super().create_initialization_options(
            notification_options or NotificationOptions(True, True, True), experimental_capabilities, extensions
        )


def holder_of(context: ServerRequestContext[Any, Any]) -> str:
    """Return who holds the credential of an HTTP request; empty over stdio and in memory."""
    scope: Mapping[str, Any] = getattr(context.request, "scope", None) or {}
    return str(scope.get("state", {}).get("holder", ""))


def _dump(params: Any) -> dict[str, Any]:
    return params.model_dump(by_alias=True, mode="json", exclude_none=True)


def _text_argument(arguments: Mapping[str, Any], name: str) -> str:
    value = arguments.get(name)
    if not isinstance(value, str) or not value:
        raise HomeportError("invalid", f"{name}: missing, or not a text.", "Give it as a text.")
    return value


def _protocol_error(error: HomeportError, data: Mapping[str, Any] | None = None) -> MCPError:
    if isinstance(error, RefusedError):
        answer = error.mcp.error
        code = INVALID_PARAMS if answer.code == RESOURCE_NOT_FOUND_2025 else answer.code
        given: Any = answer.data
        own = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
        told = {**error.as_dict(), "message": answer.message, **own, **(data or {})}
        if code == INVALID_PARAMS and "uri" in told:
            told["code"] = "not_found"  # what servers of 2026 say by it
        return MCPError(code=code, message=answer.message, data=told)
    code = INVALID_PARAMS if error.code in {"invalid", "not_found"} else INTERNAL_ERROR
    return MCPError(code=code, message=str(error), data={**(data or {}), **error.as_dict()})
