"""Which addresses may be reached: the guard against requests into the own network (SSRF).

Everything that the registries of IANA do not call globally reachable is refused, and of the forms that carry an IPv4
address inside an IPv6 one (mapped, NAT64, 6to4, Teredo) all. Sources: IANA IPv4 and IPv6 Special-Purpose Address
Registries, as of 2025; RFC 6890, 4291, 6052, 3056, 4380.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING

from homeport_shared.errors import HomeportError

if TYPE_CHECKING:  # imported on first use: it costs 60 ms
    from httpx2 import URL

DEFAULT_PORTS = {"http": 80, "https": 443}
LONGEST = 4096
_HIDDEN_4 = [
    IPv4Network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # the metadata of Azure, at a public address
    )
]  # fmt: skip
_GLOBAL_6 = IPv6Network("2000::/3")  # all that is assigned; mapped, NAT64, local and multicast addresses lie outside
_HIDDEN_6 = [
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocols, with Teredo and ORCHID
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
    )
]


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say about hosts.

    Attributes:
        private_hosts: `host` or `host:port` of the own network that may be reached.
        only_hosts: When there are any, nothing else may be reached; a host stands for its subdomains too.
        ports: Those that may be reached.
    """

    private_hosts: frozenset[str] = frozenset()
    only_hosts: tuple[str, ...] = ()
    ports: frozenset[int] = frozenset({80, 443})

    def check_host(self, url: URL) -> None:
        """Refuse a host that is not on the list, and a port.

        Raises:
            HomeportError: `denied`.
        """
        host, port = place_of(url)
        if self.only_hosts and not listed(host, self.only_hosts):
            raise HomeportError(
                "denied", f"{host} is not on the list of hosts that may be visited.", "The setting is `web.only_hosts`."
            )
        if port not in self.ports and f"{_bracketed(host)}:{port}" not in self.private_hosts:
            raise HomeportError("denied", f"Port {port} of {host} may not be visited.", "The setting is `web.ports`.")

    def check_address(self, url: URL, address: str) -> None:
        """Refuse an address, to which the host of `url` leads, that is not on the public internet.

        Raises:
            HomeportError: `denied`.
        """
        host, port = place_of(url)
        if {_bracketed(host), f"{_bracketed(host)}:{port}"} & self.private_hosts or is_public(address):
            return
        raise HomeportError(
            "denied",
            f"{host} leads to {address}, which is not on the public internet.",
            "A person can allow this host in the setting `web.private_hosts`.",
        )


def is_public(address: str) -> bool:
    """Say whether an IP address is one of the public internet; what is no address is not."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv4Address):
        return not any(parsed in network for network in _HIDDEN_4)
    return not parsed.scope_id and parsed in _GLOBAL_6 and not any(parsed in network for network in _HIDDEN_6)


def parse(address: str, base: URL | None = None) -> URL:
    """Return an address that can be requested, without its fragment.

    Args:
        address: Given by a person or a model, or where a redirect leads.
        base: What a relative `address` starts from.

    Raises:
        HomeportError: `invalid`, when it is no http or https address, or holds a user name.
    """
    import httpx2

    try:
        if len(address) > LONGEST:
            raise httpx2.InvalidURL("too long")
        url = httpx2.URL(address.strip()) if base is None else base.join(address.strip())
        url = url.copy_with(fragment=None)
        host, port = place_of(url)
    except (httpx2.InvalidURL, ValueError):
        raise _invalid(address) from None
    if url.scheme not in DEFAULT_PORTS or not host or not 0 < port < 65536 or any(c in host for c in "%\\ /?#@<>"):
        raise _invalid(address)
    if url.userinfo:
        raise HomeportError("invalid", f"An address with a user name is not visited: {host}.", "Leave the name out.")
    return url


def place_of(url: URL) -> tuple[str, int]:
    """Return host, in ASCII and without the dot that may end it, and port."""
    return url.raw_host.decode("ascii").lower().rstrip("."), url.port or DEFAULT_PORTS.get(url.scheme, 0)


def listed(host: str, hosts: tuple[str, ...]) -> bool:
    """Say whether `host`, or a domain that it is in, is one of `hosts`."""
    return any(
        host == each or host.endswith(f".{each}") for each in (h.lower().lstrip("*.").rstrip(".") for h in hosts)
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _invalid(address: str) -> HomeportError:
    return HomeportError(
        "invalid",
        f"{address[:200]!r} is not an address that can be visited.",
        "Give a whole one that begins with https:// or http://.",
    )
