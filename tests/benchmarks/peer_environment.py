"""Environments of their own: peers, kept for the next run, and what this tree is now."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from tests.node import SCRIPTS

ROOT = Path(__file__).parent.parent.parent
FOLDER = Path(tempfile.gettempdir()) / "homeport-benchmarks"


def make(*requirements: str, override: str = "") -> Path:
    """Install `requirements` once and return the folder with their commands.

    Args:
        requirements: As pip writes them.
        override: A requirement that replaces what a package demands too strictly.
    """
    name = "-".join(requirement.partition("==")[0] for requirement in requirements)
    place = FOLDER / name
    commands = place / ("Scripts" if os.name == "nt" else "bin")
    if not (place / ".ready").exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        _run("uv", "venv", "--quiet", "--clear", str(place))
        more: list[str] = []
        if override:
            (place / "override.txt").write_text(override, "utf-8")
            more = ["--override", str(place / "override.txt")]
        python = commands / "python"
        _run("uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), *more, *requirements)
        (place / ".ready").touch()
    return commands


def make_node(package: str) -> Path:
    """Install a package of npm once and return its folder."""
    place = FOLDER / package.rpartition("/")[2]
    if not (place / "node_modules" / package).is_dir():
        place.mkdir(parents=True, exist_ok=True)
        _run(str(SCRIPTS / "npm"), "install", "--prefix", str(place), "--no-audit", "--no-fund", package)
    return place / "node_modules" / package


def make_ours(*members: str) -> Path:
    """Install members of this workspace as their users get them and return the folder with their commands.

    Args:
        members: Folders below the root, such as `shared` and `servers/files`.
    """
    place = FOLDER / "homeport"
    commands = place / ("Scripts" if os.name == "nt" else "bin")
    FOLDER.mkdir(parents=True, exist_ok=True)
    _run("uv", "venv", "--quiet", "--clear", str(place))
    sources = [str(ROOT / member) for member in members]
    _run("uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", str(commands / "python"), *sources)
    return commands


def repository(folder: Path) -> None:
    """Make `folder` a git repository."""
    _run("git", "init", "--quiet", str(folder))


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8")
    if done.returncode:
        raise RuntimeError(f"{command[0]} {command[1]}: {done.stderr.strip()[-300:]}")
