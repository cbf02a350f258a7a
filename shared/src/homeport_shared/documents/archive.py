"""ZIP containers of office documents: refused before they can unpack into more than memory holds."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Generator

from homeport_shared.errors import HomeportError

MAX_UNPACKED = 300_000_000
MAX_MEMBERS = 20_000
_PIECE = 1 << 20  # bytes


def check(data: bytes, name: str) -> None:
    """Look at the sizes that the archive states; `name` is the document's, for messages.

    Raises:
        HomeportError: `too_large`, or `denied` when members are encrypted.
        zipfile.BadZipFile: When it is none.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        _require_small(archive, name)


def pieces(data: bytes, name: str) -> Generator[tuple[str, bytes]]:
    """Yield every piece of every part with the part's name: compares what is there with what is stated.

    For a parser that does not do so itself.

    Raises:
        HomeportError: As for `check`.
        zipfile.BadZipFile: When a part is not what is stated.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        _require_small(archive, name)
        for member in archive.infolist():
            with archive.open(member) as part:
                while piece := part.read(_PIECE):
                    yield member.filename, piece


def _require_small(archive: zipfile.ZipFile, name: str) -> None:
    members = archive.infolist()
    unpacked = sum(member.file_size for member in members)
    if unpacked > MAX_UNPACKED or len(members) > MAX_MEMBERS:
        raise HomeportError(
            "too_large",
            f"{name} would unpack into {unpacked / 1e6:,.0f} MB in {len(members):,} parts, which is not read.",
            f"The most is {MAX_UNPACKED / 1e6:,.0f} MB. If you trust it, divide it in its own program.",
        )
    if any(member.flag_bits & 1 for member in members):
        raise HomeportError(
            "denied", f"{name} is protected by a password.", "Save a copy without the password and use that."
        )
