"""`Server`: the SDK's MCPServer with what every Homeport server does alike.

Identity of the caller, errors in one form, an audit row for each call when nobody else writes it, short schemas, a
health resource, and `resources/subscribe` for clients of 2025.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

from mcp import MCPError
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError
from mcp.types import (
    INTERNAL_ERROR,
    CallToolResult,
    EmptyResult,
    InputRequiredResult,
    SubscribeRequestParams,
    TextContent,
    Tool,
    UnsubscribeRequestParams,
)
from pydantic import ValidationError

from homeport_shared import __version__, identity
from homeport_shared.audit import Entry
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError, foreseen_in, refuse_broken_text
from homeport_shared.outbox import FEED, Outbox
from homeport_shared.views import hide_page_tools, only_for_pages, pages_are_shown

logger = logging.getLogger(__name__)


class Server(MCPServer[Any]):
    """An MCP server of the Homeport family.

    Args:
        context: What the host, or `serving.main`, gives the server.
        title: The name people see.
        instructions: What the server is for and how its tools go together, for a model; two or three sentences.
    """

    def __init__(self, context: ServerContext, *, title: str, instructions: str, **options: Any) -> None:
        self._unbuilt: dict[str, Callable[[], None]] = {}
        super().__init__(
            f"homeport-{context.name}",
            title=title,
            instructions=instructions,
            version=__version__,
            subscriptions=context.changes,
            **options,
        )
        self.homeport = context
        self.middleware.append(hide_page_tools)
        self._health_resource()
        if isinstance(context.events, Outbox):
            self._event_resources(context.events)
        _serve_subscriptions_of_2025(self, context)

    def add_tool(self, fn: Callable[..., Any], name: str | None = None, *rest: Any, **options: Any) -> None:
        """Add a tool; one for pages alone is built when it is wanted, since each costs the start 4 ms."""
        build = partial(super().add_tool, fn, name, *rest, **options)
        if only_for_pages(options.get("meta")):
            self._unbuilt[name or fn.__name__] = build
        else:
            build()

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool; a failure comes back as a result that says what to do, never as a traceback."""
        self._enter_identity(context)
        started = time.perf_counter()
        try:
            refuse_broken_text([name, arguments], "The tool")
            self._build(name)
            self._refuse_unknown(name, arguments)
            result = await super().call_tool(name, arguments, context)
        except HomeportError as error:
            result, arguments = failure(error), {}
        except ToolError as error:
            result = failure(explain(error, f"The tool {name}"))
        await self._audit("tools/call", name, arguments, result, started)
        return result

    async def read_resource(self, uri: Any, context: Context[Any, Any] | None = None) -> Any:
        """Read a resource; a foreseen failure keeps its message."""
        self._enter_identity(context)
        try:
            return await super().read_resource(uri, context)
        except ResourceNotFoundError:
            raise
        except ResourceError as error:
            foreseen = explain(error, f"The resource {uri}")
            if foreseen.code == "not_found":
                raise ResourceNotFoundError(str(foreseen)) from error
            raise MCPError(INTERNAL_ERROR, str(foreseen), foreseen.as_dict()) from error

    async def list_tools(self) -> list[Tool]:
        """List the tools, their schemas without what a model has no use for."""
        if pages_are_shown():
            self._build(*self._unbuilt)
        tools = await super().list_tools()
        return [
            tool.model_copy(
                update={
                    "input_schema": _lean(tool.input_schema),
                    "output_schema": _lean_result(tool.output_schema) if tool.output_schema else None,
                }
            )
            for tool in tools
        ]

    def _build(self, *names: str) -> None:
        for name in names:
            if build := self._unbuilt.pop(name, None):
                build()

    def _refuse_unknown(self, name: str, arguments: dict[str, Any]) -> None:
        """Refuse arguments that a tool does not have: who gives one, such as a filter, relies on what it would do."""
        tool = self._tool_manager.get_tool(name)
        known: dict[str, Any] = tool.parameters.get("properties", {}) if tool else arguments
        if unknown := [each for each in arguments if each not in known]:
            raise HomeportError(
                "invalid",
                f"The tool {name} has no argument {', '.join(map(repr, unknown))}.",
                f"It takes {', '.join(known)}." if known else "It takes none.",
            )

    def _enter_identity(self, context: Context[Any, Any] | None) -> None:
        meta: dict[str, Any] | None = None
        client = ""
        if context is not None:
            request = context.request_context
            meta = cast("dict[str, Any] | None", request.meta)
            info = request.session.client_params.client_info if request.session.client_params else None
            client = info.name if info else ""
        ours = self.homeport
        identity.enter(identity.from_meta(meta, trusted=ours.in_process, key=ours.key, client=client))

    async def _audit(self, action: str, name: str, arguments: dict[str, Any], result: Any, started: float) -> None:
        audit = self.homeport.audit
        if audit is None:
            return
        who = identity.current()
        entry = Entry(
            action=action,
            target=name,
            actor=who.actor,
            agent=who.agent,
            run=who.run,
            outcome=outcome_of(result),
            details={"arguments": arguments},
            milliseconds=round((time.perf_counter() - started) * 1000, 2),
        )
        try:
            await audit.append(entry)
        except (HomeportError, OSError):
            logger.exception("audit row of %s could not be written", name)

    def _health_resource(self) -> None:
        name = self.homeport.name

        @self.resource(f"{name}://health", title="Health", mime_type="application/json")
        async def health() -> str:  # pyright: ignore[reportUnusedFunction]
            """Whether this server works, and its version."""
            return json.dumps({"server": name, "status": "ok", "version": __version__})

    def _event_resources(self, outbox: Outbox) -> None:
        private = {identity.LABELS: ["reads-private"]}

        @self.resource(outbox.uri, title="News of events", mime_type="application/json", meta=private)
        async def news() -> str:  # pyright: ignore[reportUnusedFunction]
            """The place after the newest event; changes with each."""
            return await outbox.newest()

        @self.resource(
            f"{outbox.uri}/{{after}}", title="Events", mime_type="application/json", meta={**private, FEED: outbox.uri}
        )
        async def events(after: str) -> str:  # pyright: ignore[reportUnusedFunction]
            """What happened after a place, oldest first, and the next place; 0 = from the beginning."""
            return await outbox.page(after)


def failure(error: HomeportError) -> CallToolResult:
    """Return `error` as a tool result: text for the model, `{code, message, hint}` for programs."""
    return CallToolResult(
        content=[TextContent(type="text", text=str(error))],
        is_error=True,
        _meta={identity.ERROR: error.as_dict()},
    )


def outcome_of(result: Any) -> str:
    """Return `ok`, `input_required`, or the error code of a tool result."""
    if isinstance(result, InputRequiredResult):
        return "input_required"
    if not getattr(result, "is_error", False):
        return "ok"
    meta = cast("dict[str, Any]", getattr(result, "meta", None) or {})
    return str(meta.get(identity.ERROR, {}).get("code", "internal"))


def explain(error: BaseException, subject: str) -> HomeportError:
    """Turn what the SDK raised into a HomeportError; what nobody foresaw is logged and gets a reference."""
    cause: BaseException | None = error
    while cause is not None:
        if foreseen := foreseen_in(cause):
            return foreseen
        if isinstance(cause, ValidationError) and cause.title.endswith("Arguments"):
            return HomeportError("invalid", f"{subject} cannot take these arguments: {wrong_fields(cause)}.")
        cause = cause.__cause__
    if error.__cause__ is None:
        return HomeportError("not_found", f"{error}.".replace("..", "."), "List what there is and use a name from it.")
    reference = secrets.token_hex(4)
    logger.error("unexpected failure, reference %s", reference, exc_info=error)
    return HomeportError(
        "internal",
        f"{subject} failed in a way nobody foresaw (reference {reference}).",
        "The log holds the details under that reference.",
    )


def wrong_fields(error: ValidationError) -> str:
    """Name each field of `error` with what is wrong, without repeating the values."""
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in error.errors())


def _lean(schema: dict[str, Any]) -> dict[str, Any]:
    """Drop what a client learns nothing from, a third of the list: titles, docstrings of models, empty defaults.

    A definition that is used once stands where it is used. A schema that names its `$schema` was written by hand and
    stays as it is.
    """
    if "$schema" in schema:
        return schema
    definitions = cast("dict[str, Any]", schema.get("$defs", {}))
    once = {f"#/$defs/{name}": name for name in definitions if json.dumps(schema).count(f'"#/$defs/{name}"') == 1}

    def walk(value: Any, *, names: bool = False) -> Any:
        if isinstance(value, dict):
            items = cast("dict[str, Any]", value)
            if not names and items.get("$ref") in once:
                return walk(definitions[once[items["$ref"]]])
            return {
                k: walk(v, names=k in {"properties", "$defs"} and not names)
                for k, v in items.items()
                if names or not _redundant(k, v, items)
            }
        if isinstance(value, list):
            return [walk(item) for item in cast("list[Any]", value)]
        return value

    used = {name: definition for name, definition in definitions.items() if name not in once.values()}
    rest = {k: v for k, v in schema.items() if k != "$defs"}
    return cast("dict[str, Any]", walk({**rest, "$defs": used} if used else rest))


def _lean_result(schema: dict[str, Any]) -> dict[str, Any]:
    """Keep the names of a result's fields and which of them are lists; the rest is seen in the result itself."""
    if "$schema" in schema or "properties" not in schema:
        return schema
    fields = cast("dict[str, dict[str, Any]]", schema["properties"])
    kept = {name: {"type": "array"} if field.get("type") == "array" else {} for name, field in fields.items()}
    return {"type": "object", "properties": kept}


def _redundant(key: str, value: Any, schema: dict[str, Any]) -> bool:
    """Say whether a keyword tells a client nothing: the field's name, the tool's description or the default say it."""
    return (
        (key == "title" and isinstance(value, str))
        or (key == "description" and "properties" in schema)
        or (key == "additionalProperties" and value is True)
        or (key == "default" and not value)
    )


def _serve_subscriptions_of_2025(server: Server, context: ServerContext) -> None:
    """Serve `resources/subscribe`, which MCPServer leaves out.

    The one place where a private attribute of the SDK is touched; `tests/shared/test_server.py` shows that it works.
    """
    lowlevel = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]

    async def subscribe(request: Any, params: SubscribeRequestParams) -> EmptyResult:
        context.changes.attach(_Connection(request), request.session, str(params.uri))
        return EmptyResult()

    async def unsubscribe(request: Any, params: UnsubscribeRequestParams) -> EmptyResult:
        context.changes.detach(_Connection(request), str(params.uri))
        return EmptyResult()

    lowlevel.add_request_handler("resources/subscribe", SubscribeRequestParams, subscribe)
    lowlevel.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, unsubscribe)


class _Connection:
    """What is the same for all requests of one 2025 connection: its lifespan object, and over HTTP its session id."""

    def __init__(self, request: Any) -> None:
        self._lifespan = request.lifespan_context
        headers = cast("Mapping[str, str] | None", getattr(request.request, "headers", None))
        self._session = headers.get("mcp-session-id", "") if headers else ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Connection) and (
            self._lifespan is other._lifespan and self._session == other._session
        )

    def __hash__(self) -> int:
        return hash((id(self._lifespan), self._session))


def listen_streams_closer(server: Server) -> Any:
    """Return the callable that ends every open `subscriptions/listen` stream of `server`."""
    lowlevel = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]
    entry = lowlevel.get_request_handler("subscriptions/listen")
    return cast("Any", entry.handler).close if entry else lambda: None
