"""Run every test, say what is left out, and run what failed once more, alone.

With CI=true nothing may be left out, and branch coverage is measured: a package below 90 % is a failure. Only what
runs in the processes of pytest counts; those that tests start would take half as long again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
CI = os.environ.get("CI") == "true"
# Minutes of killed processes, other people's clients, browsers, and whole hosts: CI and `make soak` run them.
LONG = ("attacks", "conformance", "end_to_end", "faults")
LONG_MARKERS = ("browser", "faults", "slow")
PROGRAMS = {
    "browser": ("chromium-headless-shell", "chromium", "google-chrome"),  # the first takes a quarter less time
    "scans": ("tesseract",),
    "clock": ("faketime",),
}  # marker → what its tests need
MOST_AGAIN = 40
PACKAGES = sorted(path.parent for pattern in ("*", "*/*") for path in ROOT.glob(f"{pattern}/pyproject.toml"))
WORKERS = (os.cpu_count() or 1) + 1
LEAST_COVERED = 90  # percent of lines and branches


def main() -> int:
    """Run what this machine can and return the exit status."""
    started = time.monotonic()
    absent = {marker: names[0] for marker, names in PROGRAMS.items() if not any(map(shutil.which, names))}
    if CI and absent:
        print(f"{', '.join(absent.values())} is missing: with CI=true that is a failure")
        return 1
    left_out = [] if CI else [f"--ignore=tests/{folder}" for folder in LONG]
    markers = absent if CI else dict.fromkeys((*LONG_MARKERS, *absent))
    left_out += ["-m", " and ".join(f"not {marker}" for marker in markers)] if markers else []
    # One line for each failure: the run alone shows more, and whole tracebacks can overflow the parser of Python 3.11.
    measured = ("coverage", "run", "-m") if CI else ()
    # Each worker goes through the files in order, so that the tests of a module share what it starts. Half of the time
    # of a test is waiting: for a process to start, a page to be drawn, a moment to come.
    arguments = ("-n", str(WORKERS), "--dist", "worksteal", "--tb=line", "--junitxml=junit.xml", *left_out)
    status = pytest(*arguments, through=measured)
    if status == 1:
        status = run_alone(failed(ROOT / "junit.xml"))
    if measured and status == 0:
        status = covered()
    for marker, program in absent.items():
        print(f"left out: the tests marked {marker} (install {program} to run them)")
    if not CI:
        print("left out: the long tests, those in a browser among them (`make soak` runs them)")
    print(f"{time.monotonic() - started:.0f} s")
    return status


def pytest(*arguments: str, through: tuple[str, ...] = ()) -> int:
    """Run pytest, maybe through another module, and return its exit status."""
    return python(*through, "pytest", "-q", *arguments)


def python(*module: str) -> int:
    """Run a module with its arguments and return its exit status."""
    return subprocess.run([sys.executable, "-m", *module], cwd=ROOT, check=False).returncode


def covered() -> int:
    """Print the coverage of each package in percent, and of one with too little each file; return 2 if there is one."""
    python("coverage", "combine", "--quiet")
    status = 0
    for package in PACKAGES:
        name = package.relative_to(ROOT).as_posix()
        print(f"== coverage of {name}, lines and branches, in percent:", flush=True)
        only, least = f"--include={name}/*", f"--fail-under={LEAST_COVERED}"
        if python("coverage", "report", only, least, "--format=total"):
            python("coverage", "report", only, "--skip-covered", "--sort=cover")
            status = 2
    return status


def failed(junit: Path) -> list[str]:
    """Return the tests that failed, as pytest names them."""
    cases = ElementTree.parse(junit).iter("testcase")
    bad = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    return [named(case.get("classname", ""), case.get("name", "")) for case in bad]


def named(module: str, name: str) -> str:
    """Return a test, or a module that could not even be imported, as pytest names it."""
    return f"{module.replace('.', '/')}.py::{name}" if module else f"{name.replace('.', '/')}.py"


def run_alone(names: list[str]) -> int:
    """Run tests that failed beside others once more, one at a time: what fails alone, too, is broken.

    Many tests wait for real processes and browsers, and two of those at once can outlast a limit on a small machine.
    """
    print(f"== {len(names)} failed; each once more, alone: {' '.join(names)}", flush=True)
    return pytest("--tb=short", *names) if 0 < len(names) <= MOST_AGAIN else 1


if __name__ == "__main__":
    sys.exit(main())
