"""The answers of HTTP servers: whole, and never longer than those of stdio servers may be."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client

from homeport_host.gateway import bodies
from homeport_host.gateway.bodies import LimitedBody
from homeport_host.gateway.lines import LONGEST_LINE

from .conftest import Open, http_server

CALL = json.dumps({"jsonrpc": "2.0", "id": 7, "method": "tools/call"}).encode()
MORE = b"x" * (1 << 20)


class Chunks(httpx2.AsyncByteStream):
    """A body that arrives in these pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece


def answer(kind: str, pieces: list[bytes], *, asked: bytes = CALL, **headers: str) -> httpx2.Response:
    request = httpx2.Request("POST", "http://example.org/mcp", content=asked)
    return httpx2.Response(200, headers={"content-type": kind, **headers}, stream=Chunks(pieces), request=request)


async def read(response: httpx2.Response) -> bytes:
    await bodies.limit(response)
    return await response.aread()


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
async def test_an_answer_that_is_too_long_becomes_an_error_of_its_call(kind: str) -> None:
    begin, whole = (b'{"text":"', b"") if "json" in kind else (b'data: {"text":"', b"data: {}\n\n")
    told = await read(answer(kind, [whole, begin, *[MORE] * (LONGEST_LINE // len(MORE) + 1), b'"}\n\n']))
    assert told.startswith(whole), "what was complete before arrives"
    error = json.loads(told[len(whole) :].removeprefix(b"data: "))
    assert error["id"] == 7
    assert "at most 16 MiB are accepted" in error["error"]["message"]


@pytest.mark.anyio
async def test_what_is_too_long_and_answers_no_call_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    pieces = [MORE] * (LONGEST_LINE // len(MORE) + 1)
    assert await read(answer("text/event-stream", pieces, asked=b"")) == b""
    assert "dropped" in caplog.text


@pytest.mark.anyio
async def test_a_compressed_answer_is_refused_unread() -> None:
    told = json.loads(await read(answer("application/json", [b"\x1f\x8b bomb"], **{"content-encoding": "gzip"})))
    assert "compresses its answers" in told["error"]["message"]


@given(
    lines=st.lists(st.sampled_from([b"data: a", b": comment", b"", b"id: 1"]), max_size=12),
    end=st.sampled_from([b"\n", b"\r", b"\r\n"]),
    size=st.integers(1, 9),
)
@pytest.mark.anyio
async def test_a_stream_of_events_comes_out_as_it_went_in(lines: list[bytes], end: bytes, size: int) -> None:
    text = b"".join(line + end for line in lines)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert await read(answer("text/event-stream", pieces)) == text


@pytest.mark.anyio
async def test_an_event_is_passed_on_as_soon_as_it_is_complete() -> None:
    response = answer("text/event-stream", [b"data: 1\r\n\r", b"\ndata: 2", b"\n\n"])
    body: Any = LimitedBody(response, events=True, compressed=False)
    assert [piece async for piece in body if piece] == [b"data: 1\r\n\r\n", b"data: 2\n\n"]


@pytest.mark.anyio
@pytest.mark.subprocess
async def test_long_answers_of_an_http_server_arrive_and_longer_ones_are_refused(gateway: Open) -> None:
    async with http_server(sys.executable, "everything.py", "far") as config, gateway(config) as running:
        async with Client(running.front.server) as client:
            fits = await client.call_tool("far__large", {"megabytes": 5})
            refused = await client.call_tool("far__large", {"megabytes": 17})
            after = await client.call_tool("far__echo", {"text": "hi"})

    assert len(fits.content[0].text) == 5 << 20
    assert refused.is_error
    assert "at most 16 MiB are accepted" in refused.content[0].text
    assert after.content[0].text == "hi"
