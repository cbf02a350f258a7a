"""How long tests wait for anything at all before they take it for hanging; never asserted, as machines differ."""

from __future__ import annotations

PATIENCE = 120.0  # seconds; a test as a whole has 300
