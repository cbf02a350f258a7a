"""The processes that benchmarks start: a whole host, or one server."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx2
from anyio.abc import Process

from homeport_host.process import running

BIN = Path(sys.executable).parent
SECONDS = 120.0


@asynccontextmanager
async def host(home: Path, **environment: str) -> AsyncGenerator[tuple[Process, str, float]]:
    """Run `homeport serve` on `home`; yield its process, its address, and the seconds until a page answered."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "homeport", "serve", "--http", "127.0.0.1:0"]
    settings = os.environ | {"HOMEPORT_HOME": str(home), "OLLAMA_HOST": "http://127.0.0.1:1"} | environment
    with (home / "host.txt").open("ab") as output:
        async with await anyio.open_process(command, env=settings, stdout=output, stderr=output) as process:
            try:
                address = await _answers(home, process)
                yield process, address, time.perf_counter() - began
            finally:
                process.terminate()
                await process.wait()


async def _answers(home: Path, process: Process) -> str:
    with anyio.fail_after(SECONDS):
        async with httpx2.AsyncClient() as client:
            while True:
                if process.returncode is not None:
                    raise RuntimeError((home / "host.txt").read_text("utf-8", "replace")[-500:])
                record = running(home)
                if record is not None and record.pid == process.pid:
                    try:
                        if (await client.get(f"{record.address}/login")).status_code < 500:
                            return record.address
                    except httpx2.TransportError:
                        pass
                await anyio.sleep(0.01)
