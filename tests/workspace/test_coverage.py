"""Coverage: what CI says of each package, and when it fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests import run

PROGRAM = """
import whole, half
assert whole.sign(1) + whole.sign(-1) == 0
assert half.sign(1) == 1
"""
MODULE = "def sign(number):\n    if number < 0:\n        return -1\n    return 1\n"


@pytest.mark.subprocess
def test_a_package_with_branches_that_no_test_takes_fails_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM, "utf-8")
    (tmp_path / ".coveragerc").write_text("[run]\nbranch = true\nparallel = true\n", "utf-8")
    for name in ("whole", "half"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(MODULE, "utf-8")
    command = [sys.executable, "-m", "coverage", "run", "program.py"]
    subprocess.run(command, cwd=tmp_path, check=True, env={"PYTHONPATH": str(tmp_path)})
    monkeypatch.setattr(run, "ROOT", tmp_path)

    monkeypatch.setattr(run, "PACKAGES", [tmp_path / "whole"])
    assert run.covered() == 0
    assert "coverage of whole, lines and branches, in percent:\n100\n" in capfd.readouterr().out

    monkeypatch.setattr(run, "PACKAGES", [tmp_path / "whole", tmp_path / "half"])
    assert run.covered() == 2
    shown = capfd.readouterr().out
    assert "coverage of whole, lines and branches, in percent:\n100\n" in shown
    assert "coverage of half, lines and branches, in percent:\n67\n" in shown
    assert "half/__init__.py" in shown


def test_every_package_of_the_workspace_is_shown() -> None:
    shown = {package.relative_to(run.ROOT).as_posix() for package in run.PACKAGES}
    assert {"shared", "host", "clients/homeport", "clients/dashboard", "servers/files", "servers/rag"} <= shown
