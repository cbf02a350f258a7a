"""Programs of Node that tests run, installed as their lock says."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path

from filelock import FileLock

SCRIPTS = Path(sysconfig.get_path("scripts"))


def environment() -> dict[str, str]:
    """Return the environment in which the scripts of the project's Python are found first."""
    return {**os.environ, "PATH": os.pathsep.join([str(SCRIPTS), os.environ.get("PATH", "")])}


def installed(folder: Path) -> None:
    """Install what the `package-lock.json` of `folder` names, unless it is there."""
    lock = folder / "node_modules" / ".package-lock.json"
    with FileLock(folder / ".installing"):  # two that install into one folder at the same time spoil it
        if not lock.exists() or lock.stat().st_mtime < (folder / "package-lock.json").stat().st_mtime:
            command = [SCRIPTS / "npm", "ci", "--no-audit", "--no-fund", "--prefer-offline"]
            subprocess.run(command, cwd=folder, env=environment(), check=True)
