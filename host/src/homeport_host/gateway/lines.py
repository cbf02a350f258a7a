"""The text encoding of stdio connections: UTF-8 that comes out in whole lines, none of them longer than a limit.

The SDK's reader joins what it has with each chunk that arrives, so one line of 40 MB costs it a minute in which the
host does nothing else. It decodes by the name of an encoding; this one gives it a line only when the line is complete.
"""

from __future__ import annotations

import codecs
import json
import logging
import re

logger = logging.getLogger(__name__)
ENCODING = "homeport_lines"
LONGEST_LINE = 16 << 20  # bytes of one message
KEPT = 256  # bytes at either end of a message that is too long: its id is there
# Where JSON-RPC peers write the id of an answer: after the version, or as the last member.
ID_FIRST = re.compile(rb'^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d+|"[^"\\]*")')
ID_LAST = re.compile(rb'"id"\s*:\s*(\d+|"[^"\\]*")\s*\}\s*$')


class LineDecoder(codecs.IncrementalDecoder):
    """Decodes bytes into whole lines; an answer that is too long becomes an error with its id."""

    def __init__(self, errors: str = "replace") -> None:
        super().__init__(errors)
        self.reset()

    def reset(self) -> None:
        """Forget the line that has begun."""
        self._parts: list[bytes] = []
        self._length = 0
        self._end = b""

    def decode(self, input: object, final: bool = False) -> str:
        """Return the lines that `input` completes, each with its line end.

        Args:
            input: The bytes that arrived.
            final: Nothing follows: the line that has begun is complete.
        """
        *complete, rest = bytes(input).split(b"\n")  # pyright: ignore[reportArgumentType]
        text = ""
        for line in complete:
            self._add(line)
            text += self._line()
        self._add(rest)
        return text + (self._line() if final and self._length else "")

    def _add(self, part: bytes) -> None:
        self._length += len(part)
        self._end = (self._end + part[-KEPT:])[-KEPT:]
        self._parts.append(part)
        if self._length > LONGEST_LINE:
            self._parts = [b"".join(self._parts)[:KEPT]]

    def _line(self) -> str:
        parts, length, end = self._parts, self._length, self._end
        self.reset()
        if length <= LONGEST_LINE:
            return b"".join(parts).decode("utf-8", "replace") + "\n"
        return _refused(parts[0], end, length)


def too_long() -> str:
    """Return what a caller is told instead of an answer that is too long."""
    return f"The result is too long: at most {LONGEST_LINE >> 20} MiB are accepted. Ask for less at a time."


def _refused(start: bytes, end: bytes, length: int) -> str:
    found = ID_FIRST.search(start) or ID_LAST.search(end)
    if found is None:
        logger.warning(
            "a server wrote a message of %d MiB that is not the answer to a call; it was dropped", length >> 20
        )
        return ""
    error = {"jsonrpc": "2.0", "id": json.loads(found[1]), "error": {"code": -32603, "message": too_long()}}
    return json.dumps(error) + "\n"


def _find(name: str) -> codecs.CodecInfo | None:
    if name != ENCODING:
        return None
    utf8 = codecs.lookup("utf-8")
    return codecs.CodecInfo(utf8.encode, utf8.decode, incrementaldecoder=LineDecoder, name=ENCODING)


codecs.register(_find)
