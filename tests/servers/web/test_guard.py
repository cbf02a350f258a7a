"""The server is no way into the own network, and nothing that answers can harm it."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.patience import PATIENCE

from homeport_shared.errors import HomeportError
from homeport_web.addresses import Rules
from homeport_web.compression import Unpacker
from homeport_web.fetching import Fetcher, Proxies

from .site import Site, certificates, site

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1", "0", "[::1]", "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::]", "169.254.169.254", "10.0.0.1", "192.168.1.1",
        "100.100.100.200", "[fd00:ec2::254]", "[fe80::1]", "127.0.0.1.",
    ],
)  # fmt: skip
async def test_an_address_of_the_own_network_is_refused_in_every_spelling(web: Any, host: str) -> None:
    for url in (f"http://{host}/", f"https://{host}:8443/latest/meta-data/"):
        code, said = await web.refused("visit", url=url)
        assert (code, "not on the public internet" in said) == ("denied", True), said
    assert web.site.requests == []


@pytest.mark.parametrize(
    "target",
    ["http://169.254.169.254/latest/meta-data/", "http://localhost/", "//10.0.0.1/x", "http://[::ffff:127.0.0.1]/"],
)
async def test_a_redirect_into_the_own_network_is_refused(web: Any, target: str) -> None:
    code, said = await web.refused("visit", url=web.site.redirect("/go", target))
    assert (code, "not on the public internet" in said) == ("denied", True), said
    assert (await web.refused("extract", url=f"{web.site.url}/go"))[0] == "denied"


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://example.org/", "http://user@example.org/"])
async def test_a_redirect_out_of_the_web_is_refused(web: Any, target: str) -> None:
    assert (await web.refused("visit", url=web.site.redirect("/go", target)))[0] == "invalid"


async def test_robots_txt_leads_nowhere_else_either(web: Any) -> None:
    web.site.redirect("/robots.txt", "http://169.254.169.254/")
    assert (await web.refused("visit", url=web.site.page("/x", "<p>x</p>")))[0] == "denied"


@pytest.mark.parametrize("flags", [{"only_hosts": ["127.0.0.1", "example.org"]}])
async def test_with_a_list_of_hosts_nothing_else_is_visited_also_not_by_a_redirect(web: Any) -> None:
    assert "Text." in (await web("visit", url=web.site.page("/x", "<p>Text.</p>")))["text"]
    for url in ("https://elsewhere.example/", web.site.redirect("/go", "https://elsewhere.example/")):
        code, said = await web.refused("visit", url=url)
        assert (code, said.split(" is ")[0]) == ("denied", "elsewhere.example")
    assert (await web.refused("visit", url="https://www.example.org/"))[
        0
    ] == "not_found"  # listed, but looked up in vain


async def test_only_some_ports_are_visited(web: Any) -> None:
    code, said = await web.refused("visit", url="https://example.org:22/")
    assert (code, said.startswith("Port 22 of example.org")) == ("denied", True)


def fetcher(rules: Rules, resolve: Callable[..., Any], **options: Any) -> Fetcher:
    return Fetcher(rules, most_bytes=1 << 20, seconds=10, resolve=resolve, **options)


async def test_the_connection_goes_to_the_address_that_was_checked(loopback: Site) -> None:
    """A name that is looked up a second time could lead elsewhere: it is looked up once for each hop."""
    looked_up: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        looked_up.append(host)
        return ["127.0.0.1"] if looked_up.count(host) == 1 else ["169.254.169.254"]

    name = f"rebinding.example:{loopback.port}"
    loopback.page("/x", "here")
    getting = fetcher(Rules(frozenset({name})), resolve)
    answer = await getting.get(f"http://{name}/x")
    assert (answer.data, looked_up) == (b"here", ["rebinding.example"])
    assert loopback.requests[0].headers["host"] == name
    with pytest.raises(HomeportError, match="There is no host"):  # by itself the name leads nowhere
        await Fetcher(Rules(frozenset({name})), most_bytes=1, seconds=10).get(f"http://{name}/x")


async def test_a_name_with_one_private_address_among_public_ones_is_refused() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["93.184.216.34", "10.0.0.7"]

    with pytest.raises(HomeportError, match=r"leads to 10\.0\.0\.7"):
        await fetcher(Rules(), resolve).get("https://mixed.example/")


async def test_a_name_that_changes_its_address_between_hops_is_refused(loopback: Site) -> None:
    name = f"rebinding.example:{loopback.port}"
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])
    loopback.redirect("/x", f"http://other.example:{loopback.port}/y")

    async def resolve(host: str, port: int) -> list[str]:
        return next(answers)

    rules = Rules(frozenset({name}), ports=frozenset({loopback.port}))
    with pytest.raises(HomeportError, match=r"other.example leads to 169.254.169.254"):
        await fetcher(rules, resolve).get(f"http://{name}/x")


async def test_a_second_address_is_tried_when_the_first_does_not_answer(loopback: Site) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["::1", "127.0.0.1"]

    name = f"two.example:{loopback.port}"
    loopback.page("/x", "here")
    assert (await fetcher(Rules(frozenset({name})), resolve).get(f"http://{name}/x")).data == b"here"


async def test_a_certificate_is_checked_against_the_name_not_the_address(tmp_path: Path) -> None:
    tls, authority = certificates(tmp_path, "good.example")

    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async with site(tls, secure=True) as secure:
        secure.page("/x", "here")
        names = {f"{name}.example:{secure.port}" for name in ("good", "bad")}
        getting = fetcher(Rules(frozenset(names)), resolve, certificates=str(authority))
        assert (await getting.get(f"https://good.example:{secure.port}/x")).data == b"here"
        with pytest.raises(HomeportError, match="certificate is not believed"):
            await getting.get(f"https://bad.example:{secure.port}/x")
        with pytest.raises(HomeportError, match="certificate is not believed"):
            await fetcher(Rules(frozenset(names)), resolve).get(f"https://good.example:{secure.port}/x")


async def test_everything_goes_through_the_proxy_but_what_is_excepted(loopback: Site, tmp_path: Path) -> None:
    tls, authority = certificates(tmp_path, "secure.example")

    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    names = frozenset({"plain.example", "secure.example", f"direct.example:{loopback.port}"})
    async with site(tls) as proxy:
        proxy.page("plain.example/x", "through the proxy")
        proxy.page("secure.example/x", "through the tunnel")
        loopback.page("/x", "direct")
        through = Proxies(proxy.url, ("direct.example",))
        getting = fetcher(Rules(names), resolve, proxies=through, certificates=str(authority))
        assert (await getting.get("http://plain.example/x")).data == b"through the proxy"
        assert (await getting.get("https://secure.example/x")).data == b"through the tunnel"
        assert (await getting.get(f"http://direct.example:{loopback.port}/x")).data == b"direct"
        assert proxy.connects == ["127.0.0.1:443"]  # the tunnel, too, leads to the address that was checked
        assert len(proxy.requests) == 2
        with pytest.raises(HomeportError, match="not on the public internet"):
            await getting.get("http://intranet.example/")


def test_the_environment_says_the_proxy_where_no_setting_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.lan:3128")
    monkeypatch.setenv("NO_PROXY", ".example.org, localhost")
    assert Proxies().of("https", "example.com") == "http://proxy.lan:3128"
    assert Proxies().of("http", "example.com") == ""
    assert Proxies().of("https", "www.example.org") == ""
    assert Proxies("http://own:1").of("https", "example.com") == "http://own:1"


async def _endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
    while True:
        writer.write(b"<p>and on</p>" * 1000)
        await writer.drain()


async def _dripping(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.05)


async def _silent(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def _headers_without_end(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-More: and more\r\n" * 1000)
        await writer.drain()


async def _packed_into_nothing(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x08\0\0\0\0\0\xff")
    while True:
        writer.write(b"a file name that does not end " * 1000)
        await writer.drain()


async def _nonsense(writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")


@pytest.mark.parametrize("flags", [{"seconds": 1, "page_mb": 1, "robots": False}])
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (_endless, "too_large"),
        (_packed_into_nothing, "too_large"),
        (_dripping, "timeout"),
        (_silent, "timeout"),
        (_headers_without_end, "unavailable"),
        (_nonsense, "unavailable"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
async def test_an_answer_that_does_not_end_or_is_none_is_stopped(web: Any, answer: Any, code: str) -> None:
    web.site.routes["/x"] = answer
    with anyio.fail_after(PATIENCE):
        assert (await web.refused("visit", url=f"{web.site.url}/x"))[0] == code


BOMB = b"\0" * (64 << 20)


@pytest.mark.parametrize("flags", [{"page_mb": 1}])
@pytest.mark.parametrize(
    ("encoding", "data", "code"),
    [
        ("gzip", gzip.compress(BOMB), "too_large"),
        ("gzip", gzip.compress(b"x") * 100_000, "too_large"),
        ("deflate", zlib.compress(BOMB), "too_large"),
        ("br", b"\x0b\x02\x80hello\x03", "unsupported"),
        ("zstd", b"\x28\xb5\x2f\xfd", "unsupported"),
        ("gzip, gzip", gzip.compress(gzip.compress(BOMB)), "unsupported"),
        ("gzip", b"no gzip at all", "damaged"),
    ],
)
async def test_a_packed_answer_does_not_fill_the_memory(web: Any, encoding: str, data: bytes, code: str) -> None:
    url = web.site.page("/bomb", data, Content_Encoding=encoding)
    assert (await web.refused("visit", url=url))[0] == code


def test_unpacking_stops_at_the_limit_and_not_after_it() -> None:
    unpack = Unpacker("gzip", 1000)
    with pytest.raises(HomeportError, match="larger than allowed"):
        unpack(gzip.compress(BOMB))
    whole = Unpacker("deflate", 1000)
    packed = zlib.compress(b"abc" * 100)
    assert b"".join(whole(packed[n : n + 1]) for n in range(len(packed))) == b"abc" * 100
    raw = zlib.compressobj(wbits=-15)
    assert Unpacker("deflate", 1000)(raw.compress(b"abc") + raw.flush()) == b"abc"
    assert Unpacker("x-gzip", 1000)(gzip.compress(b"a") + gzip.compress(b"b")) == b"ab"


@pytest.mark.slow
@pytest.mark.parametrize("flags", [{"seconds": 5}])
@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 200_000 + "<p>deep",
        "<table><tr><td>" * 20_000 + "deep",
        "<a href='" + "x" * 500_000,
        "<p>" + "&" * 500_000,
        "<title>" + "\u202e\n" * 1000 + "</title><p>" + "a\u0301" * 100_000,
    ],
    ids=["nested", "tables", "attribute", "entities", "marks"],
)
async def test_hostile_pages_are_read_or_refused_and_the_server_goes_on(web: Any, html: str) -> None:
    url = web.site.page("/hostile", html)
    for tool in ("visit", "extract"):
        result = await web.client.call_tool(tool, {"url": url})
        if result.is_error:
            assert result.meta["io.homeport/error"]["code"] in {"timeout", "too_large", "unavailable", "damaged"}
    assert "Fine." in (await web("visit", url=web.site.page("/fine", "<p>Fine.</p>")))["text"]


async def test_cancelling_a_visit_stops_it(loopback: Site) -> None:
    left = asyncio.Event()

    async def waiting(writer: asyncio.StreamWriter) -> None:
        try:
            await _dripping(writer)
        finally:
            left.set()

    loopback.routes["/x"] = waiting

    async def resolve(host: str, port: int) -> list[str]:
        return [host]

    with anyio.move_on_after(0.2):
        await fetcher(Rules(frozenset({loopback.place})), resolve).get(f"{loopback.url}/x")
    with anyio.fail_after(PATIENCE):
        await left.wait()


async def test_a_file_without_certificates_is_a_sentence(tmp_path: Path) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["93.184.216.34"]

    with pytest.raises(HomeportError, match="holds no certificates"):
        await fetcher(Rules(), resolve, certificates=str(tmp_path / "none.pem")).get("https://example.org/")
