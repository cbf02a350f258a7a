"""What a person does: call a tool, with one form of failure, and find things by Ctrl+K."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, unquote, urlencode, urlsplit
from urllib.request import url2pathname

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from homeport_dashboard import navigation
from homeport_dashboard.connection import Connection, Json, error_of, text_of
from homeport_dashboard.rendering import Pages, attempt_all
from homeport_dashboard.results import picture
from homeport_shared.errors import HomeportError

MOST_FOUND = 8
PLACES = {"run": "/tasks/", "workflow": "/workflows/", "server": "/servers/"}
LINES = re.compile(r"lines? (?P<line>\d+)(?:–(?P<end>\d+))?")


def routes(connection: Connection, pages: Pages) -> list[Route]:
    """Return the routes of this module."""

    async def act(request: Request) -> Response:
        """Call a tool with JSON arguments. `?as=html` answers with a picture of the result."""
        tool = request.path_params["tool"]
        arguments = await _body(request)
        result = await connection.result(tool, arguments)
        error = error_of(result) if result.is_error else None
        approval = (
            await approval_for(connection, tool, arguments) if error and error.code == "approval_required" else None
        )
        if request.query_params.get("as") == "html":
            shown = picture(cast("Json | None", result.structured_content), text_of(result))
            return pages.fragment(
                "parts/result.html", tool=tool, arguments=arguments, picture=shown, error=error, approval=approval
            )
        if error:
            return JSONResponse({"error": error.as_dict(), "approval": approval}, 200)
        return JSONResponse({"result": result.structured_content or {"text": text_of(result)}})

    async def search(request: Request) -> Response:
        query = request.query_params.get("q", "").strip()
        return JSONResponse({"groups": await _found(connection, query)})

    async def shell(request: Request) -> Response:
        return JSONResponse(await pages.shell())

    async def open_source(request: Request) -> Response:
        """Go to where a citation or link points: a file, a document, any other resource."""
        return RedirectResponse(_place(request.query_params), 303)

    return [
        Route("/act/{tool}", act, methods=["POST"]),
        Route("/search", search),
        Route("/shell", shell),
        Route("/open", open_source),
    ]


async def _body(request: Request) -> Json:
    try:
        body: Any = await request.json()
    except ValueError as error:
        raise HomeportError("invalid", "The arguments are not JSON.") from error
    if not isinstance(body, dict):
        raise HomeportError("invalid", "The arguments of a tool are an object with its fields.")
    return cast("Json", body)


async def approval_for(connection: Connection, tool: str, arguments: Json) -> Json | None:
    """Return the pending approval that the refused call left, so that the page can ask in place."""
    pending = (await connection.call("homeport__list_approvals", {"state": "pending"}))["approvals"]
    return next((item for item in pending if item["tool"] == tool and item["arguments"] == arguments), None)


async def _found(connection: Connection, query: str) -> list[Json]:
    words = query.lower().split()
    found = await attempt_all(
        tools=connection.call("homeport__list_tools", {"query": query}),
        chats=connection.call("homeport__list_chats", {"query": query, "limit": MOST_FOUND}),
        documents=connection.call("rag__list_documents", {"limit": 200}),
    )

    def rows(name: str, key: str) -> list[Json]:
        return found[name].value[key] if found[name].value else []

    def matching(text: str) -> bool:
        return all(word in text.lower() for word in words)

    groups: list[tuple[str, list[Json]]] = [
        (
            "Pages",
            [
                {"title": page.title, "about": page.about, "href": page.path, "icon": page.icon}
                for page in navigation.PAGES
                if matching(f"{page.title} {page.about}")
            ],
        ),
        (
            "Commands",
            [
                {"title": tool["title"], "about": tool["name"], "href": f"/tools/{tool['name']}", "icon": "tool"}
                for tool in rows("tools", "tools")
            ],
        ),
        (
            "Documents",
            [
                {
                    "title": document["title"],
                    "about": document.get("source") or document["uri"],
                    "href": f"/knowledge?document={document['document_id']}",
                    "icon": "document",
                }
                for document in rows("documents", "documents")
                if matching(f"{document['title']} {document.get('source') or document['uri']}")
            ],
        ),
        (
            "Chats",
            [
                {"title": chat["title"], "about": chat["model"], "href": f"/chat/{chat['id']}", "icon": "chat"}
                for chat in rows("chats", "chats")
            ],
        ),
    ]
    limits = {"Pages": len(navigation.PAGES)}
    return [{"title": title, "items": items[: limits.get(title, MOST_FOUND)]} for title, items in groups if items]


def _place(wanted: Any) -> str:
    uri = str(wanted.get("uri", ""))
    place = LINES.fullmatch(wanted.get("place", ""))
    at = {"line": place["line"], "end": place["end"] or place["line"]} if place else {}
    at |= {name: wanted[name] for name in ("line", "chunk") if wanted.get(name)}
    if wanted.get("document"):
        return "/knowledge?" + urlencode({"document": wanted["document"], **at})
    if uri.startswith("files://"):
        return "/files?" + urlencode({"path": uri.removeprefix("files://"), **at})
    if uri.startswith("file:"):
        path = Path(url2pathname(urlsplit(uri).path))
        return "/files?" + urlencode({"path": str(path.parent if wanted.get("folder") else path), **at})
    scheme, _, name = uri.partition("://")
    if scheme in PLACES and name:
        return PLACES[scheme] + quote(unquote(name), safe="")
    raise HomeportError(
        "not_found", f"Nothing here opens {uri or 'this link'}.", "Ask for the document by name instead."
    )
