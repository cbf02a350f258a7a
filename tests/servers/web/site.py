"""A real HTTP site on the loopback address, and a proxy that plays the rest of the world."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Writing = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Site:
    """What it answers, by `path` or `host/path`, and what it was asked."""

    port: int = 0
    routes: dict[str, bytes | Writing] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    connects: list[str] = field(default_factory=list)
    tls: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def asked(self) -> list[str]:
        return [request.target for request in self.requests]

    def page(
        self, path: str, body: str | bytes, kind: str = "text/html; charset=utf-8", status: int = 200, **headers: str
    ) -> str:
        """Answer `path` with `body`; return its address."""
        data = body.encode() if isinstance(body, str) else body
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(data)}"]
        lines += [f"Content-Type: {kind}"] if kind else []
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.routes[path] = "\r\n".join([*lines, "Connection: close", "", ""]).encode() + data
        return self.url + path

    def redirect(self, path: str, target: str) -> str:
        return self.page(path, b"", status=302, Location=target)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await self._request(reader)
            if request.method == "CONNECT":
                self.connects.append(request.target)
                writer.write(b"HTTP/1.1 200 Established\r\n\r\n")
                await writer.drain()
                await writer.start_tls(self.tls)
                request = await self._request(reader)
            self.requests.append(request)
            path = request.target.split("?")[0].removeprefix("http://")
            answer = self.routes.get(request.headers.get("host", "") + path) or self.routes.get(path)
            if callable(answer):
                await answer(writer)
            else:
                writer.write(answer or b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
        except (OSError, EOFError, ssl.SSLError):
            pass  # the client left, as tests of limits want it to
        finally:
            writer.close()

    async def _request(self, reader: asyncio.StreamReader) -> Request:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        return Request(method, target, headers, await reader.readexactly(int(headers.get("content-length", 0))))


@asynccontextmanager
async def site(tls: ssl.SSLContext | None = None, *, secure: bool = False) -> AsyncGenerator[Site]:
    """Serve a site; with `secure` over TLS, otherwise `tls` serves what is asked for by CONNECT."""
    made = Site(tls=tls)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls if secure else None)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


def certificates(folder: Path, *names: str) -> tuple[ssl.SSLContext, Path]:
    """Return a context that serves `names`, and the PEM file of the authority that vouches for them."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])

    def signed(subject: x509.Name, public: ec.EllipticCurvePublicKey, *extensions: tuple[x509.ExtensionType, bool]):
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(name).public_key(public)
        made = made.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        made = made.not_valid_after(now + datetime.timedelta(days=1))
        for extension, critical in extensions:
            made = made.add_extension(extension, critical)
        return made.sign(key, hashes.SHA256())

    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    identity = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    authority = signed(
        name, key.public_key(), (x509.BasicConstraints(True, None), True), (usage, True), (identity, False)
    )
    own = ec.generate_private_key(ec.SECP256R1())
    leaf = signed(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]),
        own.public_key(),
        (x509.SubjectAlternativeName([_general(each) for each in names]), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False),
    )
    pem = serialization.Encoding.PEM
    private = own.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "authority.pem").write_bytes(authority.public_bytes(pem))
    (folder / "server.pem").write_bytes(leaf.public_bytes(pem) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context, folder / "authority.pem"


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
