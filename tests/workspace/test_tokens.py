"""One set of design tokens styles all pages and views."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[2] / "shared/web/src"
TOKENS = SOURCES / "styles/tokens.css"
SHEETS = sorted(path for path in SOURCES.rglob("*.css") if path != TOKENS)
COLOUR = re.compile(r"#[0-9a-fA-F]{3,8}\b|\b(?:rgb|hsl|oklch)a?\(")


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda path: path.name)
def test_a_style_sheet_takes_its_colours_from_the_tokens(sheet: Path) -> None:
    assert COLOUR.findall(sheet.read_text("utf-8")) == []


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda path: path.name)
def test_a_style_sheet_takes_its_sizes_of_letters_from_the_tokens(sheet: Path) -> None:
    sizes = re.findall(r"font-size: ([^;}]+)", sheet.read_text("utf-8"))
    assert [size for size in sizes if not re.fullmatch(r"var\(--font-[\w-]+\)|0|inherit|[\d.]+em", size.strip())] == []


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda path: path.name)
def test_every_token_that_is_used_exists(sheet: Path) -> None:
    text = sheet.read_text("utf-8")
    known = set(re.findall(r"(--[\w-]+)\s*:", TOKENS.read_text("utf-8") + text))
    assert set(re.findall(r"var\((--[\w-]+)\)", text)) <= known


def test_components_are_defined_once() -> None:
    for component in (".button", ".card", ".list-row", ".empty"):
        homes = [
            s.name for s in SHEETS if re.search(rf"^{re.escape(component)} {{", s.read_text("utf-8"), re.MULTILINE)
        ]
        assert homes == ["parts.css"], component
