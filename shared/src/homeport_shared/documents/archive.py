"""ZIP containers of office documents: refused before they can unpack into more than memory holds."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

from homeport_shared.errors import HomeportError

MAX_UNPACKED = 300_000_000
MAX_MEMBERS = 20_000
_PIECE = 1 << 20  # bytes


def check(data: bytes, name: str, *, see: Callable[[str, bytes], object] | None = None) -> None:
    """Look at the sizes that the archive states.

    Args:
        data: The archive.
        name: The document's name, for messages.
        see: Gets every piece of every part with the part's name: everything is unpacked once and compared with what is
            stated, for a parser that does not do so itself.

    Raises:
        HomeportError: `too_large`, or `denied` when members are encrypted.
        zipfile.BadZipFile: With `see`, when a member is not what is stated.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
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
        if see:
            for member in members:
                with archive.open(member) as part:
                    while piece := part.read(_PIECE):
                        see(member.filename, piece)
