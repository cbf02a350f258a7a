"""Which addresses may be reached."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_network

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport_shared.errors import HomeportError
from homeport_web.addresses import Rules, is_public, listed, parse, place_of

INSIDE = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
    "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4", "::/128", "::1/128", "fc00::/7", "fe80::/10", "fec0::/10",
    "ff00::/8", "::ffff:0:0/96", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "2001:db8::/32",
    "100::/64", "5f00::/16",
]  # fmt: skip


@given(st.sampled_from(INSIDE).flatmap(lambda net: st.ip_addresses(network=ip_network(net))))
def test_no_address_of_a_special_network_is_public(address: IPv4Address | IPv6Address) -> None:
    assert not is_public(str(address))
    assert not is_public(address.exploded)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_public_only_where_python_agrees(address: IPv4Address) -> None:
    if is_public(str(address)):
        assert address.is_global or address in IPv4Network("192.0.0.0/24")
        assert not address.is_multicast


@given(st.ip_addresses(v=4))
def test_no_ipv6_form_of_an_ipv4_address_gets_around_the_check(address: IPv4Address) -> None:
    number = int(address)
    for form in (
        (0xFFFF << 32) | number,  # mapped
        number,  # compatible
        (0x64FF9B << 96) | number,  # NAT64
        (0x2002 << 112) | (number << 80) | 1,  # 6to4
        (0x20010000 << 96) | (number ^ 0xFFFFFFFF),  # Teredo
    ):
        assert not is_public(str(IPv6Address(form)))


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001::200e"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address", ["", "localhost", "2606:4700::1111%eth0", "168.63.129.16", "fd00:ec2::254", "1.2.3"]
)
def test_what_is_no_public_address_is_not(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "", "example.org", "//example.org/", "file:///etc/passwd", "ftp://example.org/", "gopher://example.org/",
        "javascript:alert(1)", "data:text/html,x", "http://", "http:///x", "http://[::1", "http://a b/", "http://a\\b/",
        "http://a\x00b/", "https://example.org:99999/", "https://example.org:0x50/", "http://user@example.org/",
        "http://user:pass@example.org/", "http://%31%32%37.0.0.1/", "http://①②⑦.0.0.1/", "http://0177.0.0.1/",
        "https://example.org/" + "x" * 5000,
    ],
)  # fmt: skip
def test_what_cannot_be_visited_is_refused(address: str) -> None:
    with pytest.raises(HomeportError) as refused:
        parse(address)
    assert refused.value.code == "invalid"


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_is_refused(text: str) -> None:
    for given_text in (text, f"http://{text}", f"https://example.org/{text}"):
        try:
            url = parse(given_text)
        except HomeportError:
            continue
        host, port = place_of(url)
        assert url.scheme in {"http", "https"}
        assert host.isascii()
        assert 0 < port < 65536
        assert not url.userinfo


@given(st.text(max_size=60))
def test_any_redirect_leads_to_an_address_or_is_refused(location: str) -> None:
    try:
        url = parse(location, base=httpx2.URL("https://example.org/a/b"))
    except HomeportError:
        return
    assert url.scheme in {"http", "https"}
    assert url.host


def test_hosts_are_compared_in_one_form() -> None:
    assert place_of(parse("https://Bücher.Example./x#y")) == ("xn--bcher-kva.example", 443)
    assert listed("www.example.org", ("example.org",))
    assert listed("www.example.org", ("*.Example.org.",))
    assert not listed("badexample.org", ("example.org",))


def test_a_private_host_is_allowed_by_its_name_and_port() -> None:
    rules = Rules(private_hosts=frozenset({"nas.lan", "127.0.0.1:9000", "[::1]:9000"}))
    rules.check_address(parse("http://nas.lan/"), "192.168.1.5")
    rules.check_host(parse("http://127.0.0.1:9000/"))
    rules.check_address(parse("http://127.0.0.1:9000/"), "127.0.0.1")
    rules.check_host(parse("http://[::1]:9000/"))
    rules.check_address(parse("http://[::1]:9000/"), "::1")
    for address, ip in (("http://127.0.0.1/", "127.0.0.1"), ("http://other.lan/", "192.168.1.5")):
        with pytest.raises(HomeportError, match="not on the public internet"):
            rules.check_address(parse(address), ip)
    for address in ("http://nas.lan:22/", "http://127.0.0.1:9001/", "https://example.org:25/"):
        with pytest.raises(HomeportError, match="may not be visited"):
            rules.check_host(parse(address))
