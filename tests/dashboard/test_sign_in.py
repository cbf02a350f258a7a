"""Who gets in: one-time links, cookies, Host and Origin."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from .conftest import BASE, Desk, open_desk

pytestmark = pytest.mark.anyio


async def test_a_one_time_link_becomes_a_cookie_that_scripts_and_other_sites_cannot_use(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        answer = await desk.client.get("/login", params={"token": "fresh"})
        cookie = answer.headers["set-cookie"].lower()
        assert answer.headers["location"] == "/"
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert (await desk.client.get("/")).status_code == 200


async def test_a_link_is_refused_the_second_time(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        await desk.sign_in()
        again = await desk.client.get("/login", params={"token": "fresh"})
        assert again.status_code == 403
        assert "set-cookie" not in again.headers
        assert "homeport" in again.text


async def test_a_link_is_refused_from_another_machine(tmp_path: Path) -> None:
    async with open_desk(tmp_path, client="192.168.1.20") as desk:
        assert (await desk.client.get("/login", params={"token": "fresh"})).status_code == 403


@pytest.mark.parametrize("path", ["/", "/chat", "/shell", "/live", "/views/frame/files/browser.html", "/search?q=a"])
async def test_without_the_cookie_nothing_is_shown(tmp_path: Path, path: str) -> None:
    async with open_desk(tmp_path) as desk:
        answer = await desk.client.get(path)
        assert answer.status_code == 401
        assert "homeport" in answer.text


async def test_a_forged_or_expired_cookie_is_refused(desk: Desk) -> None:
    name = desk.app.state.sessions.cookie
    genuine = desk.client.cookies[name]
    body, _, signature = genuine.rpartition(".")
    for forged in (f"9{body}.{signature}", f"{body}.x{signature}", "", "..", f"1.abc.{signature}"):
        desk.client.cookies.clear()
        assert (await desk.client.get("/shell", headers={"Cookie": f"{name}={forged}"})).status_code == 401


@pytest.mark.parametrize(
    "name", ["evil.example", "evil.example:8642", "127.0.0.1", "127.0.0.1:9", "homeport.local:8642"]
)
async def test_a_rebound_host_name_is_refused(desk: Desk, name: str) -> None:
    assert (await desk.client.get("/", headers={"Host": name})).status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "http://127.0.0.1"},
    ],
)
async def test_actions_are_refused_unless_a_page_of_this_address_asks(desk: Desk, headers: dict[str, str]) -> None:
    answer = await desk.client.post("/act/homeport__set_mode", json={"mode": "CLOUD"}, headers=headers)
    assert answer.status_code == 403
    assert desk.world.mode == "LOCAL"


async def test_every_page_allows_only_its_own_scripts(desk: Desk) -> None:
    first, second = await desk.client.get("/"), await desk.client.get("/")
    policy = first.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert policy != second.headers["content-security-policy"], "a nonce is used once"
    assert first.headers["x-content-type-options"] == "nosniff"
    assert first.headers["cache-control"] == "no-store"


async def test_two_homeports_on_one_machine_use_two_cookies(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk, open_desk(tmp_path / "2", base="http://127.0.0.1:8643") as other:
        assert desk.app.state.sessions.cookie != other.app.state.sessions.cookie


async def test_a_session_outlives_a_restart_when_the_key_does(tmp_path: Path, desk: Desk) -> None:
    from starlette.requests import HTTPConnection

    from homeport_dashboard.security import Sessions

    cookie = Sessions(b"kept", BASE).make()
    scope = {"type": "http", "headers": [(b"cookie", f"homeport_8642={cookie}".encode())]}
    assert Sessions(b"kept", BASE).holds(HTTPConnection(scope))
    assert not Sessions(b"other", BASE).holds(HTTPConnection(scope))


async def test_a_refused_action_is_told_in_one_form(desk: Desk) -> None:
    answer: httpx2.Response = await desk.act("homeport__add_folder", {"path": "nowhere"})
    assert answer.json()["error"] == {
        "code": "not_found",
        "message": "There is no folder nowhere.",
        "hint": "Check the spelling.",
    }
