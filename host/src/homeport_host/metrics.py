"""The host's counters in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Sample = tuple[str, str, Mapping[str, str], float]  # name, help, labels, value


def text(samples: Iterable[Sample]) -> str:
    """Return `samples` as Prometheus reads them; samples of one name must come together."""
    lines: list[str] = []
    last = ""
    for name, told, labels, value in samples:
        if name != last:
            lines += [f"# HELP {name} {told}", f"# TYPE {name} gauge"]
            last = name
        inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        lines.append(f"{name}{{{inner}}} {value:g}" if inner else f"{name} {value:g}")
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
