"""Asking search engines: real answers of doubles on this machine, and what is said when they do not answer."""

from __future__ import annotations

import asyncio
import html
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from homeport_shared.testing.clients import connected
from homeport_shared.vault import Vault
from homeport_web.server import build_server

from .conftest import AheadClock, Web
from .site import Site, certificates, site

pytestmark = pytest.mark.anyio
ENGINES = ("html.duckduckgo.com", "www.mojeek.com")


def duckduckgo(rows: list[tuple[str, str, str]]) -> str:
    """Return a page of results as html.duckduckgo.com writes it."""
    results = "".join(
        f'<div class="result results_links_deep web-result"><div class="links_main links_deep result__body">'
        f'<h2 class="result__title"><a rel="nofollow" class="result__a" href="{url}">{html.escape(title)}</a></h2>'
        f'<a class="result__snippet" href="{url}">{snippet}</a></div></div>'
        for title, url, snippet in rows
    )
    return f'<!DOCTYPE html><html><body><div class="serp__results"><div id="links">{results}</div></div></body></html>'


def mojeek(rows: list[tuple[str, str, str]]) -> str:
    """Return a page of results as www.mojeek.com writes it."""
    results = "".join(
        f'<li class="r{n}"><a class="ob" href="{url}"></a><h2><a class="title" href="{url}">{title}</a></h2>'
        f'<p class="s">{snippet}</p></li>'
        for n, (title, url, snippet) in enumerate(rows, 1)
    )
    return f'<html><body><div class="results"><ul class="results-standard">{results}</ul></div></body></html>'


@asynccontextmanager
async def searching(tmp_path: Path, *backends: str, **flags: Any) -> AsyncGenerator[tuple[Web, Site]]:
    """A web server whose whole world is one proxy, which plays the search engines."""
    tls, authority = certificates(tmp_path, *ENGINES)
    async with site(tls) as world:
        given = {
            "backends": list(backends),
            "proxy": world.url,
            "no_proxy": ["127.0.0.1"],
            "certificates": str(authority),
            "search_seconds": 5,
            **flags,
        }
        clock = AheadClock()
        async with connected(build_server, "web", tmp_path / "home", flags=given, clock=clock) as client:
            yield Web(client, world, clock), world


ROWS = [
    ("Boilers & more", "https://example.org/boilers", "All about <b>boilers</b>."),
    ("Service", "https://example.org/service", "When is it due?"),
    ("Again", "https://example.org/boilers", "The same address."),
]


async def test_duckduckgo_is_asked_without_a_key(tmp_path: Path) -> None:
    async with searching(tmp_path, "duckduckgo", "mojeek") as (web, world):
        world.page("html.duckduckgo.com/html/", duckduckgo(ROWS))
        found = await web("search", query="boiler service", since="week", region="de-de")
        assert found["results"] == [
            {"title": "Boilers & more", "url": "https://example.org/boilers", "snippet": "All about boilers."},
            {"title": "Service", "url": "https://example.org/service", "snippet": "When is it due?"},
        ]
        states = {state["name"]: state for state in found["backends"]}
        assert (states["duckduckgo"]["state"], states["duckduckgo"]["hits"]) == ("answered", 2)
        assert states["mojeek"]["state"] == "not asked"
        assert len((await web("search", query="boiler service", limit=1))["results"]) == 1
        asked = parse_qs(world.requests[0].body.decode())
        assert (asked["q"], asked["l"], asked["df"]) == (["boiler service"], ["de-de"], ["w"])
        assert set(world.connects) == {"html.duckduckgo.com:443"}


async def test_when_one_engine_refuses_the_next_is_asked_and_both_are_told(tmp_path: Path) -> None:
    async with searching(tmp_path, "duckduckgo", "mojeek") as (web, world):
        world.page("html.duckduckgo.com/html/", "<html>Are you a robot?</html>", status=202)
        world.page("www.mojeek.com/search", mojeek(ROWS))
        found = await web("search", query="boilers")
        assert [hit["url"] for hit in found["results"]] == [
            "https://example.org/boilers",
            "https://example.org/service",
        ]
        [first, second] = found["backends"]
        assert (first["state"], "refuses to answer programs" in first["why"]) == ("failed", True)
        assert second["state"] == "answered"


async def test_no_results_are_told_apart_from_no_answer(tmp_path: Path) -> None:
    async with searching(tmp_path, "duckduckgo", "mojeek") as (web, world):
        world.page("html.duckduckgo.com/html/", duckduckgo([]))
        found = await web("search", query="boilers")
        assert (found["results"], [state["state"] for state in found["backends"]]) == ([], ["nothing", "failed"])
        world.page("html.duckduckgo.com/html/", "", status=500)
        code, said = await web.refused("search", query="boilers")
        assert code == "unavailable"
        assert "duckduckgo: " in said
        assert "mojeek: " in said


async def test_a_result_that_is_no_web_address_is_left_out(tmp_path: Path) -> None:
    async with searching(tmp_path, "duckduckgo") as (web, world):
        rows = [("Bad", "javascript:alert(1)", "x"), ("File", "file:///etc/passwd", "x"), ROWS[1]]
        world.page("html.duckduckgo.com/html/", duckduckgo(rows))
        assert [hit["title"] for hit in (await web("search", query="x"))["results"]] == ["Service"]


async def test_searxng_is_asked_where_its_address_is_set(tmp_path: Path, loopback: Site) -> None:
    results = [
        {
            "title": "Boilers",
            "url": "https://example.org/b",
            "content": "About boilers.",
            "engines": ["bing"],
            "score": 1.0,
        },
        {"title": None, "url": None},
        "nonsense",
    ]
    answer = {"query": "x", "results": results, "unresponsive_engines": [["google", "Suspended: CAPTCHA"]]}
    loopback.page("/searxng/search", json.dumps(answer), kind="application/json")
    async with searching(tmp_path, "searxng", "duckduckgo", searxng_address=f"{loopback.url}/searxng/") as (web, world):
        found = await web("search", query="boilers ü", region="de-de", since="month")
        assert found["results"] == [{"title": "Boilers", "url": "https://example.org/b", "snippet": "About boilers."}]
        assert found["backends"][0]["state"] == "answered"
        assert "google: Suspended: CAPTCHA" in found["backends"][0]["why"]
        asked = parse_qs(urlsplit(loopback.requests[0].target).query)
        assert asked == {"q": ["boilers ü"], "format": ["json"], "language": ["de-DE"], "time_range": ["month"]}
        assert world.requests == []
        # the address of the setting is no permission to visit it
        assert (await web.refused("visit", url=f"{loopback.url}/searxng/"))[0] == "denied"


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (403, "no", "list the format json"),
        (429, "no", "asked too often"),
        (500, "no", "status 500"),
        (302, "no", "status 302"),
        (200, "<html>", "something else than results"),
        (200, "[" * 100_000, "something else than results"),
    ],
)
async def test_what_is_wrong_with_a_searxng_is_said(
    tmp_path: Path, loopback: Site, status: int, body: str, told: str
) -> None:
    loopback.page("/search", body, status=status, Location="http://169.254.169.254/")
    async with searching(tmp_path, "searxng", searxng_address=loopback.url) as (web, _):
        code, said = await web.refused("search", query="x")
        assert (code, told in said) == ("unavailable", True), said


@pytest.mark.parametrize("body", ["{}", '{"results": null}', '{"results": {"a": 1}}', '{"results": [[1], null, 5]}'])
async def test_an_odd_list_of_results_is_an_empty_one(tmp_path: Path, loopback: Site, body: str) -> None:
    loopback.page("/search", body)
    async with searching(tmp_path, "searxng", searxng_address=loopback.url) as (web, _):
        assert (await web("search", query="x"))["backends"][0]["state"] == "nothing"


async def test_brave_is_asked_with_the_key_of_the_vault_only(tmp_path: Path, loopback: Site) -> None:
    results = [{"title": "Boilers", "url": "https://example.org/b", "description": "About <strong>boilers</strong>."}]
    loopback.page("/res/v1/web/search", json.dumps({"type": "search", "web": {"type": "search", "results": results}}))
    address = f"{loopback.url}/res/v1/web/search"
    async with searching(tmp_path, "brave", brave_address=address) as (web, _):
        code, said = await web.refused("search", query="boilers")
        assert (code, "The secret BRAVE_API_KEY is not there." in said) == ("unavailable", True)
        Vault(tmp_path / "home").set("BRAVE_API_KEY", "brave-canary-1")
        found = await web("search", query="boilers", limit=30, region="de-de", since="day")
        assert found["results"] == [{"title": "Boilers", "url": "https://example.org/b", "snippet": "About boilers."}]
        assert loopback.requests[0].headers["x-subscription-token"] == "brave-canary-1"
        asked = parse_qs(urlsplit(loopback.requests[0].target).query)
        wanted = {"q": ["boilers"], "count": ["20"], "country": ["DE"], "search_lang": ["de"], "freshness": ["pd"]}
        assert asked == wanted
        loopback.page("/res/v1/web/search", "{}", status=401)
        code, said = await web.refused("search", query="boilers")
        assert "Is the key right?" in said
        assert "canary" not in said


async def test_what_is_not_set_up_is_told_as_off_and_one_engine_can_be_chosen(tmp_path: Path) -> None:
    async with searching(tmp_path, "searxng", "brave", "duckduckgo") as (web, world):
        world.page("html.duckduckgo.com/html/", duckduckgo(ROWS))
        found = await web("search", query="boilers")
        assert [state["state"] for state in found["backends"]] == ["off", "off", "answered"]
        assert "web.searxng_address" in found["backends"][0]["why"]
        assert [s["name"] for s in (await web("search", query="x", backend="duckduckgo"))["backends"]] == ["duckduckgo"]
        assert (await web.refused("search", query="x", backend="altavista"))[0] == "not_found"
        assert (await web.refused("search", query="  "))[0] == "invalid"
        assert (await web.refused("search", query="x", region="Germany"))[0] == "invalid"


async def test_an_engine_that_ddgs_does_not_have_is_named(tmp_path: Path) -> None:
    async with searching(tmp_path, "altavista") as (web, _):
        _, said = await web.refused("search", query="x")
        assert "ddgs has no engine 'altavista'. It has brave, duckduckgo," in said


async def test_an_engine_that_says_nothing_is_left_after_a_while(tmp_path: Path, loopback: Site) -> None:
    async def silent(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(3600)

    loopback.routes["/search"] = silent
    flags = {"searxng_address": loopback.url, "search_seconds": 1}
    async with searching(tmp_path, "searxng", **flags) as (web, _):
        code, said = await web.refused("search", query="x")
        assert (code, "within 1 seconds" in said) == ("unavailable", True)
