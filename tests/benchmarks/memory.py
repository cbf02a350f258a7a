"""Memory: servers and the host when idle, and the host two minutes after real work."""

from __future__ import annotations

import tempfile
from pathlib import Path

import anyio
import psutil
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from tests.benchmarks.homes import BIN, host
from tests.benchmarks.rows import Row, compared, memory

from homeport.connection import call, connect
from homeport_shared.testing.model import ModelDouble

DOCUMENTS = 100
AFTER = 120.0  # seconds; workers leave after 60


async def measure() -> list[Row]:
    """Measure each server alone, then the host with all, before and after work."""
    rows = [
        compared(f"RSS of `homeport-{name}`, idle", await _alone(name), 85, "MiB") for name in ("files", "rag", "web")
    ]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        async with ModelDouble(["Two birds fly."] * 5) as double, host(home, OLLAMA_HOST=double.ollama_url) as running:
            process = running[0]
            await anyio.sleep(3)  # what starts in the background is part of an idle host
            rows.append(compared("RSS of the host with all, idle", memory(process.pid), 170, "MiB"))
            await _work(home, Path(folder) / "documents")
            busy = memory(process.pid)
            await anyio.sleep(AFTER)
            workers = len(psutil.Process(process.pid).children(recursive=True))
            name = f"… 2 min after chat, ingest, searches ({busy:.0f} MiB right after; {workers} workers left)"
            rows.append(compared(name, memory(process.pid), 240, "MiB"))
    return rows


async def _alone(name: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        roots = [folder] if name == "files" else []
        settings = {"HOMEPORT_HOME": str(Path(folder) / "home")}
        server = StdioServerParameters(command=str(BIN / f"homeport-{name}"), args=roots, env=settings)
        known = {child.pid for child in psutil.Process().children()}
        async with Client(stdio_client(server)) as client:
            await client.list_tools()
            [child] = [each for each in psutil.Process().children() if each.pid not in known]
            return memory(child.pid)


async def _work(home: Path, folder: Path) -> None:
    folder.mkdir()
    for number in range(DOCUMENTS):
        text = f"# Note {number}\n\n" + f"Bird number {number} flies over the river and the wide sea. " * 20
        (folder / f"note-{number}.md").write_text(text, "utf-8")
    async with connect(home, start=False) as client:
        await call(client, "homeport__add_folder", path=str(folder))
        with anyio.fail_after(120):
            while True:
                [known] = [c for c in (await call(client, "rag__stats"))["collections"] if c["name"] == "default"]
                if known["documents"] >= DOCUMENTS and known["embedded"] >= known["chunks"]:
                    break
                await anyio.sleep(0.5)
        for number in range(20):
            await call(client, "rag__search", query=f"which bird flies over river {number}")
        sent = await call(client, "homeport__chat_send", text="What flies?", model="ollama/qwen3:8b")
        with anyio.fail_after(60):
            while (await call(client, "homeport__run_get", run_id=sent["run_id"]))["state"] in {"queued", "running"}:
                await anyio.sleep(0.2)
