"""Every command and sample of the documentation works: blocks run in order, in one folder for each page."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Generator
from importlib.metadata import entry_points
from pathlib import Path

import click
import psutil
import pytest
import yaml
from click.testing import CliRunner

from homeport.cli import homeport
from homeport_host import process
from homeport_host.gateway.config import read_mcp_json
from homeport_shared import settings
from homeport_shared.testing.model import ModelDouble, call, on

from .pages import PAGES, ROOT, Block, blocks_of
from .test_reference import generated_module

pytestmark = [pytest.mark.subprocess, pytest.mark.timeout(600), pytest.mark.slow]
BIN = Path(sys.executable).parent
RULES = [
    on("boiler", call("rag__search", query="boiler service due"), "The next service is due in March 2027 [1]."),
    on("tyres", call("rag__search", query="size of the winter tyres"), "Their size is 205/55 R16 [1]."),
    on("water the plants", call("garden__water", minutes=5), "I watered the plants."),
]


def checked_make(words: list[str]) -> None:
    assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


def checked_script(name: str) -> None:
    assert name in entry_points(group="console_scripts").names, f"there is no program {name}"


def checked_uv(words: list[str]) -> None:
    """Check `uv run [--directory DIR] PROGRAM …`; of other uses of uv only what is in this list."""
    if words[1] != "run":
        assert words[1:] in (["sync", "--all-packages"], ["sync", "--all-packages", "--all-extras"], ["lock"])
        return
    rest = words[4:] if words[2] == "--directory" else words[3:] if words[2] == "--no-sync" else words[2:]
    if rest[0] == "homeport":
        checked_homeport(rest)
    elif rest[0] == "python":
        assert (ROOT / rest[1]).is_file(), rest[1]
    elif rest[0] == "pytest":
        assert all((ROOT / path).exists() or "weather" in path for path in rest[1:])
    else:
        checked_script(rest[0])


def checked_homeport(words: list[str]) -> None:
    """Check that the command line parses, without running it."""
    command: click.Command = homeport
    rest = words[1:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(click.Context(command), rest.pop(0))
        assert found is not None, words
        command = found
    command.make_context(words[0], rest)


# What cannot run in a test: it downloads, waits for ever, or works on the clone itself.
FORMS: dict[str, Callable[[list[str]], None]] = {
    "make": checked_make,
    "uvx": lambda words: checked_script(words[3] if words[1] == "--with" else words[1]),
    "uv": checked_uv,
    "ollama": lambda words: None,
}
FOREVER = (
    "homeport",
    "homeport serve",
    "homeport-files",
    "homeport-rag",
    "homeport-scheduler",
    "homeport-web",
    "homeport new-server",
)


def form_of(line: str) -> Callable[[list[str]], None] | None:
    """Return how to check a line without running it; None when it is to be run."""
    words = shlex.split(line, comments=True)
    if words and words[0] in FORMS:
        return FORMS[words[0]]
    if line.strip() in FOREVER or line.startswith(tuple(f"{start} " for start in FOREVER[1:])):
        return checked_homeport if words[0] == "homeport" else lambda words: checked_script(words[0])
    return None


def is_plain(line: str) -> bool:
    """Say whether a line is one call of `homeport` that needs no shell."""
    words = list(shlex.shlex(line, posix=True, punctuation_chars=True))
    return words[0] == "homeport" and "$" not in line and not any(set(word) <= set("();<>|&") for word in words if word)


class Reader:
    """Somebody who does what a page says, in a folder of their own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment, self.printed = folder, environment, ""

    def follow(self, block: Block) -> None:
        if block.file:
            path = self.folder / block.file.replace("$HOMEPORT_HOME", self.environment["HOMEPORT_HOME"])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language == "sh":
            self.shell(block)
        elif block.language == "python":
            self.printed = self.run([sys.executable, "-c", block.text], block)
        if block.language == "text" and "output" in block.marks:
            missing = [line for line in block.text.splitlines() if line.strip() not in self.printed]
            assert missing == [], f"{block.place}: not in the output:\n{self.printed}"
        check_form(block, self.folder)

    def shell(self, block: Block) -> None:
        lines = [line for line in block.text.replace("\\\n", " ").splitlines() if line.strip()]
        forms = [form_of(line) for line in lines]
        if all(map(is_plain, lines)) and not any(forms):
            self.printed = "".join(self.homeport(line, block) for line in lines)
            return
        if not any(forms):
            self.printed = self.run(["bash", "-euo", "pipefail", "-c", block.text], block)
            return
        for line, form in zip(lines, forms, strict=True):
            assert form is not None, f"{block.place}: {line!r} would run, its neighbours cannot: use two blocks"
            form(shlex.split(line, comments=True))

    def homeport(self, line: str, block: Block) -> str:
        """Run one command in this process, which spares the seconds that a new one takes to begin."""
        with contextlib.chdir(self.folder):
            done = CliRunner().invoke(homeport, shlex.split(line, comments=True)[1:], env=self.environment)
        assert done.exit_code == 0, f"{block.place}: {line}: exit code {done.exit_code}\n{done.output}"
        return done.output

    def run(self, command: list[str], block: Block) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=150,
            check=False,
        )
        assert done.returncode == 0, f"{block.place}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr


def check_form(block: Block, folder: Path) -> None:
    """Check what is shown and not run."""
    if block.language == "toml":
        sections = generated_module().sections()
        for section, values in tomllib.loads(block.text).items():
            if section in sections:  # pyproject.toml is shown too
                (folder / "homeport.toml").write_text(block.text, encoding="utf-8")
                assert values
                settings.load(sections[section], section, home=folder, environment={})
    elif block.language == "json":
        content = json.loads(block.text)
        if "mcpServers" in content:
            path = folder / "shown.json"
            path.write_text(block.text, encoding="utf-8")
            for server in read_mcp_json(path):
                if server.command == "uvx":
                    checked_script(server.args[0])
    elif block.language == "yaml":
        yaml.safe_load(block.text)


@pytest.fixture(scope="module")
def double() -> Generator[ModelDouble]:
    with ModelDouble(RULES).running() as double:
        yield double


@pytest.fixture
def reader(tmp_path: Path, double: ModelDouble) -> Generator[Reader]:
    home, work = tmp_path / "home", tmp_path / "work"
    for note in (ROOT / "tests" / "docs" / "notes").iterdir():
        path = work / "notes" / note.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(note.read_bytes())
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("HOMEPORT", "OPENROUTER"))},
        "HOME": str(tmp_path),
        "HOMEPORT_HOME": str(home),
        "OLLAMA_HOST": double.ollama_url,
        "OPENROUTER_BASE_URL": double.openrouter_url,
        "PATH": os.pathsep.join((str(BIN), os.environ["PATH"])),
        "HOMEPORT_MODEL_DIR": str(tmp_path / "none"),  # building the model takes long, and no page needs it
        "PYTHONIOENCODING": "utf-8",
        "COLUMNS": "200",
    }
    yield Reader(work, environment)
    if record := process.running(home):
        host = psutil.Process(record.pid)
        host.terminate()
        host.wait(60)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks_of(page)], ids=lambda page: str(page.relative_to(ROOT))
)
def test_a_reader_can_do_what_the_page_says(page: Path, reader: Reader) -> None:
    for block in blocks_of(page):
        assert block.language, f"{block.place}: say the language of the block"
        reader.follow(block)
