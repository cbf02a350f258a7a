"""The reference says what the code does."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest
from starlette.routing import Mount, Route

from homeport_shared.errors import ErrorCode

from .pages import ROOT

REFERENCE = ROOT / "docs" / "reference"


def generated_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("homeport_docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_fresh() -> None:
    stale = [
        name
        for name, text in generated_module().pages().items()
        if not (REFERENCE / name).exists() or (REFERENCE / name).read_text("utf-8") != text
    ]
    assert stale == [], "run: uv run python docs/generate.py"


def test_every_error_code_is_explained() -> None:
    told = re.findall(r"^\| `(\w+)` \|", (REFERENCE / "errors.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(told) == sorted(get_args(ErrorCode))


@pytest.mark.parametrize("part", ["host/src/homeport_host/http.py", "clients/dashboard/src/homeport_dashboard"])
def test_every_http_route_is_listed(part: str) -> None:
    path: Path = ROOT / part
    sources = [path] if path.is_file() else sorted(path.rglob("*.py"))
    calls = "|".join((Route.__name__, Mount.__name__))
    routes = {found for p in sources for found in re.findall(rf'(?:{calls})\("(/[^"]*)"', p.read_text("utf-8"))}
    text = (REFERENCE / "http.md").read_text("utf-8")
    assert routes
    assert sorted(route for route in routes if f"`{route}`" not in text) == []
