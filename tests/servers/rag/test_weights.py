"""Downloading the model, from a server on this machine that holds the real files."""

from __future__ import annotations

from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import anyio
import pytest
from tests.patience import PATIENCE

from homeport_rag import inference, weights
from homeport_rag.embedding import BUILT, install_model
from homeport_shared.errors import HomeportError

pytestmark = pytest.mark.anyio


class Hub:
    """Serves the files of a folder; `cut` = bytes after which it hangs up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cut: int | None = None
        self.ranges = True
        self.honest = True
        self.content: bytes | None = None
        self.endless = False
        self.asked: list[tuple[str, str | None]] = []
        self.address = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        name, wanted = request.path.rpartition("/")[2], request.headers.get("range")
        self.asked.append((name, wanted))
        path = self.folder / name
        if not path.exists():
            request.send_error(404)
            return
        data = path.read_bytes() if self.content is None else self.content
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        sent = data[start : None if self.cut is None else start + self.cut]
        request.send_response(206 if start else 200)
        if self.honest:
            request.send_header("content-length", str(len(data) - start))
        request.end_headers()
        try:
            request.wfile.write(sent)
            while self.endless:
                request.wfile.write(sent)
        except OSError:  # the client has enough
            request.close_connection = True


@pytest.fixture
def hub(published: Path) -> Generator[Hub]:
    made = Hub(published)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.answer(self)

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        made.address = f"http://127.0.0.1:{running.server_port}/model"
        Thread(target=running.serve_forever).start()
        try:
            yield made
        finally:
            running.shutdown()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_nothing_is_downloaded_without_consent(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(HomeportError, match="91 MB") as refused:
        await install_model(tmp_path, consent=False, address=hub.address)
    assert refused.value.code == "approval_required"
    assert not hub.asked
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.model
async def test_the_model_is_downloaded_checked_and_built(hub: Hub, tmp_path: Path) -> None:
    seen: list[int] = []

    async def progress(done: int, total: int) -> None:
        assert total == 90_868_376 + 466_247
        seen.append(done)

    model = await install_model(tmp_path, consent=True, address=hub.address, progress=progress)
    assert seen == sorted(seen)
    assert seen[-1] == 90_868_376 + 466_247
    assert inference.manifest_of(tmp_path / "models" / BUILT)
    assert names(tmp_path / "models" / weights.FOLDER) == ["model.safetensors", "tokenizer.json"]

    hub.asked.clear()
    assert await install_model(tmp_path, consent=False, address=hub.address) == model
    assert not hub.asked


async def test_a_cut_download_says_so_and_continues_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    hub.cut = 300_000
    with pytest.raises(HomeportError, match=r"stopped: peer closed connection") as cut:
        await weights.download(tmp_path, address=hub.address)
    assert cut.value.code == "unavailable"
    assert names(tmp_path) == ["tokenizer.json.part"]

    with pytest.raises(HomeportError, match="stopped"):
        await weights.download(tmp_path, address=hub.address)
    hub.cut = None
    await weights.download(tmp_path, address=hub.address)
    assert names(tmp_path) == ["model.safetensors", "tokenizer.json"]
    assert hub.asked == [
        ("tokenizer.json", None),
        ("tokenizer.json", "bytes=300000-"),
        ("model.safetensors", None),
        ("model.safetensors", "bytes=300000-"),
    ]


async def test_a_server_without_ranges_begins_anew(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json.part").write_bytes(b"x" * 1000)
    (tmp_path / "model.safetensors").symlink_to(hub.folder / "model.safetensors")
    hub.ranges = False
    await weights.download(tmp_path, address=hub.address)
    assert names(tmp_path) == ["model.safetensors", "tokenizer.json"]


async def test_an_answer_that_ends_early_without_saying_its_length_is_noticed(hub: Hub, tmp_path: Path) -> None:
    hub.cut, hub.honest = 1000, False
    with pytest.raises(HomeportError, match="cut after 1,000 of 466,247 bytes"):
        await weights.download(tmp_path, address=hub.address)


@pytest.mark.parametrize("size", [466_247, 500_000], ids=["same size", "too long"])
async def test_another_content_is_refused_and_deleted(hub: Hub, tmp_path: Path, size: int) -> None:
    hub.content = b"{" * size
    with pytest.raises(HomeportError, match=r"another tokenizer\.json") as refused:
        await weights.download(tmp_path, address=hub.address)
    assert refused.value.code == "damaged"
    assert names(tmp_path) == []


async def test_an_answer_without_an_end_is_stopped(hub: Hub, tmp_path: Path) -> None:
    hub.endless, hub.honest = True, False
    with anyio.fail_after(PATIENCE), pytest.raises(HomeportError, match=r"another tokenizer\.json"):
        await weights.download(tmp_path, address=hub.address)


async def test_an_address_without_the_files_is_named(hub: Hub, tmp_path: Path) -> None:
    hub.folder = tmp_path
    with pytest.raises(HomeportError, match=r"127\.0\.0\.1.*404"):
        await weights.download(tmp_path / "models", address=hub.address)


async def test_a_folder_that_cannot_be_made_is_named(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file, not a folder")
    with pytest.raises(HomeportError, match=r"models.*cannot take the model"):
        await weights.download(tmp_path / "models", address=hub.address)


async def test_a_file_that_was_changed_afterwards_is_refused(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(HomeportError, match="not the published file"):
        await weights.download(tmp_path, address=hub.address)
