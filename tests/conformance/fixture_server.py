"""The server that the conformance suite expects, built on `homeport_shared.server.Server`; HTTP on the given port."""

from __future__ import annotations

import base64
import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Annotated, Any

import anyio
from mcp import MCPDeprecationWarning, MCPError
from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver import Context, Elicit, Resolve
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.server.mcpserver.tools import Tool
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.types import (
    AudioContent,
    Completion,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    InputRequiredResult,
    JSONRPCMessage,
    SamplingMessage,
    SetLevelRequestParams,
    TextContent,
    TextResourceContents,
)
from pydantic import BaseModel, Field

from homeport_shared.context import ServerContext, open_context
from homeport_shared.errors import HomeportError
from homeport_shared.server import Server, listen_streams_closer
from homeport_shared.serving import serve_http

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="


def build_server(context: ServerContext) -> Server:
    about = "What the conformance suite calls."
    server = Server(context, title="Conformance", instructions=about, tools=[schema_tool()])
    add_content(server)
    add_work(server)
    add_headers(server)
    add_changes(server)
    add_resources(server)
    add_prompts(server)
    add_questions(server)
    add_questions_of_2025(server)
    add_forms_of_2025(server)
    add_what_is_deprecated(server)
    return server


def embedded(uri: str, mime_type: str, text: str) -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text))


def image() -> ImageContent:
    return ImageContent(type="image", data=PNG, mime_type="image/png")


def add_content(server: Server) -> None:
    @server.tool()
    async def test_simple_text() -> str:
        """Return text."""
        return "This is a simple text response for testing."

    @server.tool(structured_output=False)
    async def test_image_content() -> ImageContent:
        """Return an image."""
        return image()

    @server.tool(structured_output=False)
    async def test_audio_content() -> AudioContent:
        """Return sound."""
        return AudioContent(type="audio", data=WAV, mime_type="audio/wav")

    @server.tool(structured_output=False)
    async def test_embedded_resource() -> EmbeddedResource:
        """Return a resource."""
        return embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")

    @server.tool(structured_output=False)
    async def test_multiple_content_types() -> list[Any]:
        """Return three kinds of content."""
        data = json.dumps({"test": "data", "value": 123})
        text = TextContent(type="text", text="Multiple content types test:")
        return [text, image(), embedded("test://mixed-content-resource", "application/json", data)]


def add_work(server: Server) -> None:
    @server.tool()
    async def test_error_handling() -> str:
        """Fail as foreseen."""
        raise HomeportError("invalid", "This tool intentionally returns an error for testing")

    @server.tool()
    async def test_tool_with_progress(ctx: Context[Any]) -> str:
        """Report progress three times."""
        for done in (0, 50, 100):
            await ctx.report_progress(done, 100)
            await anyio.sleep(0.05)
        return "done"

    @server.tool()
    async def test_reconnection(ctx: Context[Any]) -> str:
        """Close the answer's stream; the client fetches the answer later."""
        await ctx.close_sse_stream()
        await anyio.sleep(0.1)
        return "Reconnection test completed"


Region = Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]


def add_headers(server: Server) -> None:
    @server.tool()
    async def test_header(region: Region) -> str:
        """Take an argument that clients repeat in a header."""
        return region


def add_changes(server: Server) -> None:
    @server.tool()
    async def test_trigger_tool_change(ctx: Context[Any]) -> str:
        """Say that the tools changed."""
        await ctx.notify_tools_changed()
        return "told"

    @server.tool()
    async def test_trigger_prompt_change(ctx: Context[Any]) -> str:
        """Say that the prompts changed."""
        await ctx.notify_prompts_changed()
        return "told"


SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


def schema_tool() -> Tool:
    async def json_schema_2020_12_tool(name: str = "") -> str:
        """Take what the whole vocabulary of JSON Schema describes."""
        return name

    tool = Tool.from_function(json_schema_2020_12_tool)
    return tool.model_copy(update={"parameters": SCHEMA})


def add_what_is_deprecated(server: Server) -> None:
    """Logging and sampling: deprecated in MCP, so our servers offer neither; the wrapper does not stand in the way."""

    async def set_level(context: Any, params: SetLevelRequestParams) -> EmptyResult:
        return EmptyResult()

    server._lowlevel_server.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)

    async def log(ctx: Context[Any]) -> str:
        """Log three times."""
        for text in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            await ctx.info(text)
            await anyio.sleep(0.05)
        return "logged"

    server.add_tool(log, name="test_tool_with_logging")
    server.add_tool(log, name="test_logging_tool")

    @server.tool()
    async def test_sampling(prompt: str, ctx: Context[Any]) -> str:
        """Ask the client's model."""
        messages = [SamplingMessage(role="user", content=TextContent(type="text", text=prompt))]
        request = ctx.request_context
        answer = await request.session.create_message(messages, max_tokens=100, related_request_id=request.request_id)
        return f"LLM response: {getattr(answer.content, 'text', '')}"


def add_resources(server: Server) -> None:
    @server.resource("test://static-text", mime_type="text/plain")
    async def static_text() -> str:
        """Text."""
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", mime_type="image/png")
    async def static_binary() -> bytes:
        """An image."""
        return base64.b64decode(PNG)

    @server.resource("test://watched-resource", mime_type="text/plain")
    async def watched() -> str:
        """What clients follow."""
        return "watched"

    @server.resource("test://template/{id}/data", mime_type="application/json")
    async def template(id: str) -> str:
        """Data of an id."""
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def add_prompts(server: Server) -> None:
    @server.prompt()
    async def test_simple_prompt() -> str:
        """A prompt."""
        return "This is a simple prompt for testing."

    @server.prompt()
    async def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
        """A prompt with arguments."""
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt(name="test_prompt_with_embedded_resource")
    async def with_resource(resourceUri: str) -> list[Any]:  # noqa: N803 - the suite's name
        """A prompt with a resource."""
        content = embedded(resourceUri, "text/plain", "Embedded resource content for testing.")
        return [UserMessage(content=content), UserMessage(content="Please process the embedded resource above.")]

    @server.prompt()
    async def test_prompt_with_image() -> list[Any]:
        """A prompt with an image."""
        return [UserMessage(content=image()), UserMessage(content="Please analyze the image above.")]

    @server.completion()
    async def complete(ref: Any, argument: Any, context: Any) -> Completion:
        return Completion(values=["paris", "park", "party"], total=3, has_more=False)


class Answer(BaseModel):
    username: str = Field(description="User's response")
    email: str = Field(description="User's email address")


def ask(message: str) -> Elicit[Answer]:
    return Elicit(message, Answer)


def add_questions_of_2025(server: Server) -> None:
    @server.tool()
    async def test_elicitation(message: str, answer: Annotated[ElicitationResult[Answer], Resolve(ask)]) -> str:
        """Ask the person."""
        content = answer.data.model_dump() if isinstance(answer, AcceptedElicitation) else {}
        return f"User response: action={answer.action}, content={json.dumps(content)}"


CHOICES = [{"const": f"value{n}", "title": f"{n}. option"} for n in (1, 2, 3)]
OPTIONS = ["option1", "option2", "option3"]
FORMS: dict[str, dict[str, Any]] = {
    "test_elicitation_sep1034_defaults": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    },
    "test_elicitation_sep1330_enums": {
        "untitledSingle": {"type": "string", "enum": OPTIONS},
        "titledSingle": {"type": "string", "oneOf": CHOICES},
        "legacyEnum": {"type": "string", "enum": OPTIONS, "enumNames": ["One", "Two", "Three"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": OPTIONS}},
        "titledMulti": {"type": "array", "items": {"anyOf": CHOICES}},
    },
}


def add_forms_of_2025(server: Server) -> None:
    def add(name: str, properties: dict[str, Any]) -> None:
        @server.tool(name=name)
        async def form(ctx: Context[Any]) -> str:
            """Show a form."""
            schema = {"type": "object", "properties": properties}
            request = ctx.request_context
            answer = await request.session.elicit_form("Please fill in", schema, request.request_id)
            return f"Elicitation completed: action={answer.action}, content={json.dumps(answer.content or {})}"

    for name, properties in FORMS.items():
        add(name, properties)


def form(message: str, **properties: str) -> dict[str, Any]:
    fields = {name: {"type": kind} for name, kind in properties.items()}
    schema = {"type": "object", "properties": fields, "required": list(fields)}
    return {"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}}


def sample(text: str) -> dict[str, Any]:
    message = {"role": "user", "content": {"type": "text", "text": text}}
    return {"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": 100}}


ROOTS = {"method": "roots/list", "params": {}}
NAME = form("What is your name?", name="string")
CONFIRM = form("Please confirm", ok="boolean")
ASKING: dict[str, dict[str, Any]] = {
    "elicitation": {"user_name": NAME},
    "sampling": {"capital_question": sample("What is the capital of France?")},
    "list_roots": {"client_roots": ROOTS},
    "request_state": {"confirm": CONFIRM},
    "tampered_state": {"confirm": CONFIRM},
    "multiple_inputs": {"user_name": NAME, "greeting": sample("Generate a greeting"), "client_roots": ROOTS},
    "capabilities": {"greeting": sample("Generate a greeting"), "user_name": NAME},
}
CAPABILITY = {"elicitation/create": "elicitation", "sampling/createMessage": "sampling", "roots/list": "roots"}


def ask_for(requests: dict[str, Any], state: str) -> InputRequiredResult:
    return InputRequiredResult.model_validate({"inputRequests": requests, "requestState": state})


def given(ctx: Context[Any]) -> dict[str, Any]:
    return dict((ctx.request_context.params or {}).get("inputResponses") or {})


def declared(ctx: Context[Any], request: dict[str, Any]) -> bool:
    capabilities = ctx.request_context.session.client_capabilities
    return getattr(capabilities, CAPABILITY[request["method"]], None) is not None


def add_questions(server: Server) -> None:
    def add(name: str, requests: dict[str, Any]) -> None:
        @server.tool(name=f"test_input_required_result_{name}")
        async def asking(ctx: Context[Any]) -> str | InputRequiredResult:
            """Ask first."""
            answers = given(ctx)
            missing = {key: value for key, value in requests.items() if key not in answers}
            if name == "capabilities":
                missing = {key: value for key, value in missing.items() if declared(ctx, value)}
            return ask_for(missing, "asked") if missing else f"state-ok {json.dumps(answers)}"

    for name, requests in ASKING.items():
        add(name, requests)

    @server.tool()
    async def test_streaming_elicitation(ctx: Context[Any]) -> str | InputRequiredResult:
        """Ask in the answer's stream."""
        return "done" if given(ctx) else ask_for({"user_name": NAME}, "asked")

    @server.tool()
    async def test_input_required_result_multi_round(ctx: Context[Any]) -> str | InputRequiredResult:
        """Ask twice."""
        answers = given(ctx)
        if "step2" in answers:
            return "done"
        step = "step2" if "step1" in answers else "step1"
        return ask_for({step: form(step, name="string")}, step)

    @server.prompt()
    async def test_input_required_result_prompt(ctx: Context[Any]) -> str | InputRequiredResult:
        """Ask before the prompt is made."""
        answers = given(ctx)
        asked = {"user_context": form("What context should the prompt use?", context="string")}
        return f"With {json.dumps(answers)}" if answers else ask_for(asked, "asked")

    @server.tool()
    async def test_missing_capability(ctx: Context[Any]) -> str:
        """Need a client that can sample."""
        if not declared(ctx, sample("")):
            needed = {"requiredCapabilities": {"sampling": {}}}
            raise MCPError(code=-32021, message="The client cannot sample.", data=needed)
        return "ok"


class Answers(EventStore):
    """Keeps what was sent on each stream, so that a client that lost its stream gets the rest."""

    def __init__(self) -> None:
        self._events: list[tuple[str, JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        last = int(last_event_id)
        stream = self._events[last - 1][0]
        for number, (owner, message) in enumerate(self._events[last:], last + 1):
            if owner == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


async def main(home: Path, port: int) -> None:
    async with open_context("conformance", home=home) as context:
        server = build_server(context)
        await context.audit.head()  # it is open then, as after a first call: the suite waits 0.5 s for an answer
        app = server.streamable_http_app(host="127.0.0.1", event_store=Answers(), retry_interval=500)
        await serve_http(app, "127.0.0.1", port, closing=listen_streams_closer(server))


if __name__ == "__main__":
    warnings.simplefilter("ignore", MCPDeprecationWarning)  # what the suite asks for of the revision of 2025
    with tempfile.TemporaryDirectory() as folder:
        anyio.run(main, Path(folder), int(sys.argv[1]))
