"""The routes beside /mcp: closed to strangers, open for one use with a ticket."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.responses import JSONResponse

from homeport_host.http import create_app
from homeport_host.tickets import Tickets
from homeport_shared.errors import HomeportError

pytestmark = pytest.mark.anyio


class Doors:
    def __init__(self) -> None:
        self.tickets = Tickets()
        self.received: list[tuple[str, bytes, str]] = []
        self.secrets: dict[str, str] = {}

    async def health(self) -> dict[str, Any]:
        return {"status": "ok"}

    async def metrics(self) -> str:
        return "homeport_up 1\n"

    async def receive_upload(self, target: str, file: Path, name: str) -> dict[str, Any]:
        if target == "bad":
            raise HomeportError("unsupported", f"{name} cannot be read.")
        self.received.append((target, file.read_bytes(), name))
        return {"reference": "r1"}

    async def store_secret(self, name: str, value: str) -> None:
        self.secrets[name] = value


@pytest.fixture
def doors() -> Doors:
    return Doors()


@pytest.fixture
async def client(doors: Doors, anyio_backend: str) -> AsyncGenerator[httpx2.AsyncClient]:
    async def mcp(scope: Any, receive: Any, send: Any) -> None:
        await JSONResponse({"holder": scope["state"]["holder"]})(scope, receive, send)

    app = create_app(doors, mcp, {"t-person": "person", "t-claude": "client:claude"}, hosts={"my.box"})
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8642") as client:
        yield client


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic dC1wZXJzb24="}])
async def test_mcp_is_closed_without_a_token(client: httpx2.AsyncClient, header: dict[str, str]) -> None:
    answer = await client.post("/mcp", headers=header)
    assert answer.status_code == 401
    assert "Bearer" in answer.headers["www-authenticate"]


async def test_mcp_knows_who_holds_the_token(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/mcp", headers={"Authorization": "Bearer t-claude"})
    assert answer.json() == {"holder": "client:claude"}


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:8642", 200), ("localhost", 200), ("[::1]:8642", 200), ("my.box", 200), ("evil.example:8642", 421)],
)
async def test_a_rebound_name_is_not_served(client: httpx2.AsyncClient, host: str, status: int) -> None:
    assert (await client.get("/health", headers={"Host": host})).status_code == status


async def test_metrics_are_for_a_person_only(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/metrics", headers={"Authorization": "Bearer t-claude"})).status_code == 401
    answer = await client.get("/metrics", headers={"Authorization": "Bearer t-person"})
    assert answer.text == "homeport_up 1\n"


async def test_an_upload_needs_a_ticket_which_is_then_used_up(client: httpx2.AsyncClient, doors: Doors) -> None:
    ticket = doors.tickets.create("upload", "chat:1")
    files = {"file": ("../../etc/notes.txt", b"hello")}
    assert (await client.post(f"/upload?ticket={ticket}", files=files)).json() == {"reference": "r1"}
    assert doors.received == [("chat:1", b"hello", "notes.txt")]
    assert (await client.post(f"/upload?ticket={ticket}", files=files)).status_code == 403


async def test_a_refused_upload_says_why(client: httpx2.AsyncClient, doors: Doors) -> None:
    ticket = doors.tickets.create("upload", "bad")
    answer = await client.post(f"/upload?ticket={ticket}", files={"file": ("a.xyz", b"?")})
    assert answer.json()["error"]["message"] == "a.xyz cannot be read."
    ticket = doors.tickets.create("upload", "chat:1")
    assert "no field `file`" in (await client.post(f"/upload?ticket={ticket}", data={"a": "b"})).text


async def test_a_secret_is_entered_once_and_never_shown(client: httpx2.AsyncClient, doors: Doors) -> None:
    ticket = doors.tickets.create("secret", "OPENROUTER_API_KEY")
    page = await client.get(f"/secrets?ticket={ticket}")
    assert "Enter OPENROUTER_API_KEY" in page.text
    assert page.headers["cache-control"] == "no-store"
    saved = await client.post(f"/secrets?ticket={ticket}", data={"value": "sk-test"})
    assert doors.secrets == {"OPENROUTER_API_KEY": "sk-test"}
    assert "sk-test" not in saved.text
    assert (await client.get(f"/secrets?ticket={ticket}")).status_code == 403
