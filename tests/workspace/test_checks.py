"""The static checks over everything: `make check` runs these alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("docs", "shared", "servers", "host", "clients", "tests")
CHECKS = {
    "format": ("ruff", "format", "--check", "."),
    "lint and import order": ("ruff", "check", "."),
    "spelling": ("codespell", "README.md", "CHANGELOG.md", *FOLDERS),
    "import contracts": ("lint-imports", "--no-cache"),
    "types": ("pyright",),
}


@pytest.mark.parametrize("command", CHECKS.values(), ids=CHECKS)
def test_it_passes_without_findings(command: tuple[str, ...]) -> None:
    tool = Path(sys.executable).with_name(command[0])
    done = subprocess.run([tool, *command[1:]], cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
