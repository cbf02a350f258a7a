"""The whole product as processes, for a browser."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Locator


@contextmanager
def program(arguments: list[str], environment: dict[str, str], sign: str) -> Generator[str]:
    """Run a Python module; yields what its output says after `sign`, and ends it with a signal."""
    command = [sys.executable, "-m", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, encoding="utf-8", env={**os.environ, **environment}
    ) as process:
        try:
            assert process.stdout is not None
            found = next((match for line in process.stdout if (match := re.search(sign, line))), None)
            assert found, f"{arguments[0]} ended with {process.wait()}"
            yield found[1]
        finally:
            process.terminate()
            process.stdout.read()


@contextmanager
def homeport(home: Path, port: int, model: str) -> Generator[str]:
    """Run the product; yields the address that signs a browser in."""
    environment = {
        "HOMEPORT_HOME": str(home),
        "OLLAMA_HOST": model,
        "OPENROUTER_BASE_URL": f"{model}/api/v1",
        "OPENROUTER_API_KEY": "",
        "COLUMNS": "300",
    }
    with program(["homeport", "serve", "--http", f"127.0.0.1:{port}"], environment, r"(http://\S+token=\S+)") as url:
        yield url


def follow(link: Locator) -> None:
    """Click what leads to another page, and wait until that is there with its scripts."""
    with link.page.expect_navigation():
        link.click()


def drag(source: Locator, target: Locator) -> None:
    """Drag by hand: what is dropped on surely hears of it by the second move over it, not by the first."""
    mouse = source.page.mouse
    source.hover()
    mouse.down()
    target.hover()
    target.hover()
    mouse.up()
