"""What the whole host shows to whom."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from homeport_host.governance.calls import Caller
from homeport_host.host import Host, open_host
from homeport_shared.errors import HomeportError

pytestmark = pytest.mark.anyio
FOR_PERSONS = {
    "files__add_root",
    "rag__add_folder",
    "rag__install_model",
    "homeport__decide_approval",
    "homeport__add_server",
    "homeport__add_folder",
    "homeport__create_ticket",
    "homeport__chat_send",
    "homeport__get_chat",
}


@pytest.fixture
async def host(tmp_path: Path) -> AsyncGenerator[Host]:
    async with open_host(tmp_path, url="") as host:
        yield host


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["chat", "ask", "client", "job"])
async def test_what_widens_access_is_shown_to_persons_only(host: Host, kind: str) -> None:
    shown = {tool.name for tool in host.dispatcher.shown(Caller(kind, "test"))}
    assert shown & FOR_PERSONS == set()
    assert {tool.name for tool in host.dispatcher.shown(Caller("person", "test"))} >= FOR_PERSONS


async def test_a_client_cannot_call_by_name_what_it_is_not_shown(host: Host, tmp_path: Path) -> None:
    result = await host.dispatcher.call_tool(Caller("client", "test"), "files__add_root", {"folder": str(tmp_path)})
    assert result["isError"]
    assert "files__add_root" in result["content"][0]["text"]


async def test_no_server_takes_more_than_8_kb_of_a_models_context(host: Host) -> None:
    sizes = Counter[str]()
    for tool in host.dispatcher.shown(Caller("client", "test")):
        sizes[tool.server] += len(json.dumps(tool.definition, ensure_ascii=False, separators=(",", ":")).encode())
    assert sizes and max(sizes.values()) <= 8 * 1024, sizes


async def test_another_program_reads_no_chat(host: Host) -> None:
    with pytest.raises(HomeportError, match="There is no resource"):
        await host.dispatcher.read_resource(Caller("client", "test"), "chat://sessions")
    assert await host.dispatcher.read_resource(Caller("person", "test"), "chat://sessions")
