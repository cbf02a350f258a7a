"""Getting an address: each hop checked, connected to the very address that was checked, and held to its limits."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import Message
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.request import getproxies_environment

import anyio

from homeport_shared import __version__
from homeport_shared.errors import HomeportError
from homeport_web.addresses import Rules, listed, parse, place_of
from homeport_web.compression import ACCEPTED, Unpacker

if TYPE_CHECKING:  # imported on first use: it costs 60 ms
    from httpx2 import URL, AsyncClient, Response

PROGRAM = "homeport-web"
MOST_REDIRECTS = 8
_REDIRECTS = {301, 302, 303, 307, 308}
_HEADERS = {
    "User-Agent": f"{PROGRAM}/{__version__}",
    "Accept": "text/html, application/xhtml+xml, text/*;q=0.9, */*;q=0.5",
    "Accept-Encoding": ACCEPTED,
}
Resolve = Callable[[str, int], Awaitable[list[str]]]
Permit = Callable[["URL"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer, whatever its status.

    Attributes:
        url: Where it came from, after the redirects.
        media_type: Of the header `Content-Type`, in small letters; empty where there is none.
        charset: As the same header says; empty where it does not.
        data: The body, unpacked.
        redirects: The addresses on the way, without the last.
    """

    url: str
    status: int
    media_type: str
    charset: str
    data: bytes
    redirects: list[str] = field(default_factory=list[str])
    retry_after: str = ""


@dataclass(frozen=True, slots=True)
class Proxies:
    """Which proxy a host is reached through.

    Attributes:
        address: Of the setting; empty = what the environment says in HTTPS_PROXY, HTTP_PROXY and NO_PROXY.
        exceptions: Hosts, each with its subdomains, reached without it; none = those of NO_PROXY.
    """

    address: str = ""
    exceptions: tuple[str, ...] = ()

    def of(self, scheme: str, host: str) -> str:
        """Return the address of the proxy; empty for none."""
        known = getproxies_environment()
        exceptions = self.exceptions or tuple(each.strip() for each in known.get("no", "").split(","))
        if "*" in exceptions or listed(host, exceptions):
            return ""
        return self.address or known.get(scheme) or known.get("all", "")


async def look_up(host: str, port: int) -> list[str]:
    """Return the IP addresses of `host`, best first.

    Raises:
        OSError: When there are none.
    """
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Fetcher:
    """Gets addresses.

    Args:
        rules: Which hosts and addresses may be reached.
        most_bytes: The most bytes of one answer, unpacked.
        seconds: The longest that one answer may take, with all redirects.
        proxies: Which proxy is used.
        certificates: PEM file of the authorities to believe; empty = the usual ones.
        resolve: Looks a host up.
    """

    def __init__(
        self,
        rules: Rules,
        *,
        most_bytes: int,
        seconds: float,
        proxies: Proxies | None = None,
        certificates: str = "",
        resolve: Resolve = look_up,
    ) -> None:
        self._rules = rules
        self._most_bytes = most_bytes
        self._seconds = seconds
        self._proxies = proxies or Proxies()
        self._certificates = certificates
        self._resolve = resolve

    async def get(
        self,
        address: str,
        *,
        permit: Permit | None = None,
        headers: Mapping[str, str] | None = None,
        follow: bool = True,
    ) -> Fetched:
        """Return the answer at `address`, after its redirects.

        Args:
            address: An http or https address.
            permit: Called with the address of each hop before it is requested; refuses by an exception.
            headers: Sent besides the usual ones, so to be used without `follow` when they are secret.
            follow: Follow redirects; otherwise one is returned as it is.

        Raises:
            HomeportError: `invalid` or `denied` for the address; `unavailable`; `timeout`; `too_large`; `unsupported`;
                `damaged`; what `permit` raises.
        """
        with anyio.move_on_after(self._seconds):
            return await self._followed(parse(address), permit, headers or {}, MOST_REDIRECTS if follow else 0)
        raise HomeportError(
            "timeout", f"{address[:200]} did not answer within {self._seconds:g} seconds.", "Try again later."
        )

    async def _followed(self, url: URL, permit: Permit | None, headers: Mapping[str, str], most: int) -> Fetched:
        import httpx2

        passed: list[str] = []
        while True:
            self._rules.check_host(url)
            if permit is not None:
                await permit(url)
            try:
                async with self._answer(url, headers) as response:
                    onward = response.headers.get("location", "") if response.status_code in _REDIRECTS else ""
                    if not onward or not most:
                        return await self._read(url, response, passed)
            except (httpx2.HTTPError, OSError) as error:
                raise _unreachable(url, error) from error
            if len(passed) == most:
                raise HomeportError("unavailable", f"{passed[0]} redirects more than {most} times.", "Try another.")
            passed.append(str(url))
            url = parse(onward, base=url)

    @asynccontextmanager
    async def _answer(self, url: URL, headers: Mapping[str, str]) -> AsyncGenerator[Response]:
        """Request `url` from the first of its addresses that can be connected to.

        A client of its own for each hop: no connection to an address is used for another name.
        """
        import httpx2

        proxy = self._proxies.of(url.scheme, place_of(url)[0])
        addresses = await self._checked(url)
        async with httpx2.AsyncClient(
            verify=self._authorities, proxy=proxy or None, trust_env=False, timeout=self._seconds
        ) as client:
            response = await self._first(client, url, addresses, {**_HEADERS, **headers}, by_name=bool(proxy))
            try:
                yield response
            finally:
                await response.aclose()

    async def _first(
        self, client: AsyncClient, url: URL, addresses: list[str], headers: Mapping[str, str], *, by_name: bool
    ) -> Response:
        import httpx2

        if by_name and url.scheme == "http":  # a proxy takes the name from the address, not from the header
            return await client.send(client.build_request("GET", url, headers=headers), stream=True)
        for address in addresses:
            request = client.build_request(
                "GET",
                url.copy_with(host=address),
                headers={**headers, "Host": url.netloc.decode("ascii")},
                extensions={"sni_hostname": place_of(url)[0]},
            )
            try:
                return await client.send(request, stream=True)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if address == addresses[-1]:
                    raise
        raise AssertionError("a host has an address, or looking it up fails")

    async def _checked(self, url: URL) -> list[str]:
        """Return the addresses of the host, every one of them allowed."""
        host, port = place_of(url)
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise HomeportError("not_found", f"There is no host {host}.", "Check the address.") from error
        for address in addresses:
            self._rules.check_address(url, address)
        return addresses

    async def _read(self, url: URL, response: Response, passed: list[str]) -> Fetched:
        unpack = Unpacker(response.headers.get("content-encoding", ""), self._most_bytes)
        data = bytearray()
        left = self._most_bytes
        async for piece in response.aiter_raw():
            left -= len(piece)
            if left < 0:
                raise HomeportError(
                    "too_large",
                    f"{url} is larger than {self._most_bytes >> 20} MiB.",
                    "The setting is `web.page_mb`.",
                )
            data += unpack(piece)
        stated = Message()
        stated["Content-Type"] = response.headers.get("content-type", "")
        return Fetched(
            url=str(url),
            status=response.status_code,
            media_type=stated.get_content_type() if "/" in stated["Content-Type"] else "",
            charset=stated.get_content_charset("") or "",
            data=bytes(data),
            redirects=passed,
            retry_after=response.headers.get("retry-after", ""),
        )

    @cached_property
    def _authorities(self) -> ssl.SSLContext:
        import httpx2

        if not self._certificates:
            return httpx2.create_ssl_context(trust_env=False)
        try:
            return ssl.create_default_context(cafile=self._certificates)
        except (OSError, ssl.SSLError) as error:
            raise HomeportError(
                "invalid", f"{self._certificates} holds no certificates.", "Correct the setting `web.certificates`."
            ) from error


def _unreachable(url: URL, error: Exception) -> HomeportError:
    """Turn a failure of the connection into a sentence."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    why = f"its certificate is not believed ({getattr(cause, 'verify_message', '') or cause})" if cause else str(error)
    return HomeportError(
        "unavailable",
        f"{url} cannot be reached: {why or type(error).__name__}.",
        "Check the address, or try again later.",
    )
