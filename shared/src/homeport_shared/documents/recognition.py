"""Text recognition (OCR) by Tesseract, a program of its own that a machine may or may not have."""

from __future__ import annotations

import os
import shutil
import subprocess

from homeport_shared.errors import HomeportError

SECONDS_PER_PAGE = 120
HINT = "Install Tesseract: apt install tesseract-ocr, brew install tesseract, or its installer for Windows."


def is_there() -> bool:
    """Tell whether Tesseract is installed."""
    return shutil.which("tesseract") is not None


def recognize(picture: bytes, languages: str) -> str:
    """Return the text on the picture of a page.

    Args:
        picture: A netpbm picture.
        languages: Names of Tesseract's language files, such as `eng+deu`.

    Raises:
        HomeportError: `unavailable`, when Tesseract or one of the languages is not installed; `timeout`; `damaged`,
            when it gives up on the picture.
    """
    program = shutil.which("tesseract")
    if program is None:
        raise HomeportError("unavailable", "Scans cannot be read: Tesseract is not installed.", HINT)
    command = [program, "stdin", "stdout", "-l", languages]
    try:
        done = subprocess.run(
            command,
            input=picture,
            capture_output=True,
            timeout=SECONDS_PER_PAGE,
            check=False,
            env=os.environ | {"OMP_THREAD_LIMIT": "1"},  # its threads cost more than they bring
        )
    except subprocess.TimeoutExpired as error:
        raise HomeportError("timeout", "Tesseract took too long for a page.", "Divide the document.") from error
    if done.returncode == 0:
        return done.stdout.decode("utf-8", "replace")
    said = done.stderr.decode("utf-8", "replace").strip()
    if "language" in said:
        raise HomeportError(
            "unavailable", f"Tesseract has not all of the languages {languages}.", "apt install tesseract-ocr-LANGUAGE"
        )
    raise HomeportError("damaged", f"Tesseract could not read a page: {said[-200:] or 'it said nothing'}.")
