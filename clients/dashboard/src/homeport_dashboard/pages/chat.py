"""Chat: sessions, the conversation, and the context and tools beside it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from homeport_dashboard.connection import Connection, Json
from homeport_dashboard.rendering import Outcome, Pages, attempt, gather

SESSIONS_SHOWN = 50
EMPTY: Json = {
    "id": "",
    "title": "New chat",
    "agent": "",
    "model": "",
    "archived": False,
    "running_run": "",
    "messages": [],
}
PARTS = {"messages": "parts/messages.html", "context": "parts/context.html", "sessions": "parts/sessions.html"}


def routes(connection: Connection, pages: Pages) -> list[Route]:
    """Return the routes of this module."""

    async def session_of(key: str) -> Outcome:
        if not key:
            return Outcome(value=EMPTY)
        return await attempt(connection.call("homeport__get_chat", {"session_id": key}))

    async def sessions_of(request: Request) -> Outcome:
        wanted = {
            "archived": request.query_params.get("archived") == "1",
            "query": request.query_params.get("q", ""),
            "limit": SESSIONS_SHOWN,
        }
        return await attempt(connection.call("homeport__list_chats", wanted))

    async def chat(request: Request) -> Response:
        key = request.path_params.get("session", "")
        part = request.query_params.get("part", "")
        filters: Json = {
            "archived": request.query_params.get("archived") == "1",
            "query": request.query_params.get("q", ""),
        }
        if part == "sessions":
            listed = await sessions_of(request)
            return pages.fragment(PARTS[part], sessions=listed, session_id=key, **filters)
        if part == "messages":
            return pages.fragment(PARTS[part], session=await session_of(key))
        if part == "context":
            tools = await attempt(connection.call("homeport__list_tools"))
            return pages.fragment(PARTS[part], session=await session_of(key), tools=tools)
        found = await gather(
            session=session_of(key), sessions=sessions_of(request), mode=attempt(connection.read("homeport://mode"))
        )
        title = found["session"].value["title"] if found["session"].value else "Chat"
        crumbs = [("Chat", "/chat"), *([(title, f"/chat/{key}")] if key else [])]
        return await pages.page(request, "chat.html", current="chat", crumbs=crumbs, session_id=key, **found, **filters)

    async def models(_request: Request) -> Response:
        """List the names of the models; apart from the page, which need not wait for providers."""
        found = await connection.call("homeport__list_models")
        return JSONResponse([model["name"] for model in found["models"]])

    async def commands(_request: Request) -> Response:
        """List every tool as a slash command, those of the host itself last."""
        found = await connection.call("homeport__list_tools")
        tools = sorted(found["tools"], key=lambda tool: tool["server"] == "homeport")
        return JSONResponse([{k: tool[k] for k in ("name", "title", "server", "description")} for tool in tools])

    return [
        Route("/chat", chat, name="chat"),
        Route("/chat/commands", commands),
        Route("/chat/models", models),
        Route("/chat/{session}", chat),
    ]
