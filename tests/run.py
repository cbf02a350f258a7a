"""Run every check and every test, say what is left out, and stop at the first kind that fails.

    python tests/run.py            static checks, then all tests with coverage
    python tests/run.py --checks   only the static checks

With CI=true nothing may be left out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
SOAK = ("attacks", "end_to_end", "faults")  # minutes of killed hosts each: CI and `make soak` run them
CHECKS: list[tuple[str, list[str]]] = [
    ("format", ["ruff", "format", "--check", "--quiet", "."]),
    ("lint", ["ruff", "check", "--quiet", "."]),
    ("spelling", ["codespell", "README.md", "CHANGELOG.md", "docs", "shared", "servers", "host", "clients", "tests"]),
    ("imports", ["lint-imports", "--no-cache"]),
    ("types", ["pyright"]),
]


def main() -> int:
    """Run what was asked for and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checks", action="store_true", help="only the static checks")
    arguments = parser.parse_args()
    started = time.monotonic()
    for name, command in CHECKS:
        print(f"== {name}", flush=True)
        if subprocess.run([str(BIN / command[0]), *command[1:]], cwd=ROOT, check=False).returncode:
            print(f"{name} failed: {' '.join(command)}")
            return 1
    if arguments.checks:
        return 0
    return run_tests(started)


def run_tests(started: float) -> int:
    """Run all tests on all cores with branch coverage."""
    left_out = [] if shutil.which("chromium") or shutil.which("google-chrome") else ["browser"]
    if left_out and os.environ.get("CI") == "true":
        print("chromium is missing: with CI=true that is a failure")
        return 1
    selection = ["-m", " and ".join(f"not {mark}" for mark in left_out)] if left_out else []
    print("== tests", flush=True)
    command = [
        "-m",
        "pytest",
        "-n",
        "2",
        "--dist",
        "loadgroup",
        "-q",
        "--tb=line",  # the run alone shows more; whole tracebacks can overflow the parser of Python 3.11
        *[f"--ignore=tests/{folder}" for folder in SOAK],
        "--junitxml=junit.xml",
        *selection,
        *sys.argv[1:],
    ]
    status = subprocess.run([sys.executable, *command], cwd=ROOT, check=False).returncode
    if status == 1:
        status = run_alone(failed(ROOT / "junit.xml"))
    for mark in left_out:
        print(f"left out: {mark} tests (install chromium to run them)")
    print(f"{time.monotonic() - started:.0f} s")
    return status


def failed(junit: Path) -> list[str]:
    """Return the tests that failed, as pytest names them."""
    cases = ElementTree.parse(junit).iter("testcase")
    bad = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    return [f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}" for case in bad]


def run_alone(names: list[str]) -> int:
    """Run tests that failed beside others once more, one at a time: what fails alone, too, is broken.

    Many tests wait for real processes and browsers, and two of those at once can outlast a limit on a small machine.
    """
    print(f"== {len(names)} failed; each once more, alone: {' '.join(names)}", flush=True)
    if not names or len(names) > 40:
        return 1
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", *names]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
