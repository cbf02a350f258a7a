"""Packed answers, unpacked no further than the limit: a small answer that would fill the memory is stopped."""

from __future__ import annotations

import zlib

from homeport_shared.errors import HomeportError

ACCEPTED = "gzip, deflate"  # no brotli and no zstd: they are not asked for, and refused when they come
_GZIP, _ZLIB, _RAW = 31, 15, -15


class Unpacker:
    """Unpacks one answer, piece by piece.

    Args:
        encoding: The header `Content-Encoding`.
        most: The most bytes of all pieces together, unpacked.

    Raises:
        HomeportError: `unsupported`, for an encoding that was not asked for.
    """

    def __init__(self, encoding: str, most: int) -> None:
        self._kind = encoding.strip().lower().removeprefix("x-")
        if self._kind not in {"", "identity", "gzip", "deflate"}:
            raise HomeportError(
                "unsupported",
                f"The answer is packed as {encoding[:40]!r}, which was not asked for.",
                "Try another source.",
            )
        self._left = most
        self._unpack = zlib.decompressobj(_GZIP) if self._kind == "gzip" else None

    def __call__(self, piece: bytes) -> bytes:
        """Return the next piece, unpacked.

        Raises:
            HomeportError: `too_large`; `damaged`.
        """
        try:
            data = piece if self._kind in {"", "identity"} else self._unpacked(piece)
        except zlib.error as error:
            raise HomeportError("damaged", f"The answer cannot be unpacked ({error}).", "Try again.") from error
        self._left -= len(data)
        if self._left < 0:
            raise HomeportError("too_large", "The answer is larger than allowed.", "The setting is `web.page_mb`.")
        return data

    def _unpacked(self, piece: bytes) -> bytes:
        if self._unpack is None:  # servers send `deflate` with and without the frame that RFC 9110 asks for
            self._unpack = zlib.decompressobj(_ZLIB if piece[:1] and piece[0] & 0x0F == 8 else _RAW)
        data = self._unpack.decompress(piece, self._left + 1)
        while self._unpack.eof and self._unpack.unused_data and self._kind == "gzip" and len(data) <= self._left:
            rest, self._unpack = self._unpack.unused_data, zlib.decompressobj(_GZIP)  # gzip may have several members
            data += self._unpack.decompress(rest, self._left + 1 - len(data))
        return data
