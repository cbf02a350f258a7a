"""One real host with a scripted model for all tests of this folder, and a reader of its pages without a browser."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from tests.dashboard.house import House, pages_of

from homeport_host.host import open_host
from homeport_shared.testing.model import ModelDouble, Reply, call, on

MODEL = [
    on("roof", "The roof is tight."),
    on("cellar", call("files__write", path="docs/cellar.txt", content="dry"), "The cellar is dry."),
    on("missing", call("files__read", path="docs/none.txt"), "There is no such file."),
    on("silent", Reply("")),
    on("sum up", "It is about boats."),
]
SETTINGS = """
[models]
default = "ollama/qwen3:8b"

[files]
roots = ["docs={docs}"]
"""


@pytest.fixture(scope="package")
def anyio_backend() -> str:
    """The event loop that all tests of this folder share, as they share the host."""
    return "asyncio"


@pytest.fixture(scope="package")
async def house(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House]:
    """A host with a folder of documents."""
    folder = tmp_path_factory.mktemp("house")
    docs = folder / "docs"
    docs.mkdir()
    (folder / "home").mkdir()
    (folder / "home" / "homeport.toml").write_text(SETTINGS.format(docs=docs.as_posix()), "utf-8")
    async with ModelDouble(MODEL) as double:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OLLAMA_HOST", double.ollama_url)
            async with open_host(folder / "home") as host, pages_of(host) as browser:
                yield House(browser, docs)
