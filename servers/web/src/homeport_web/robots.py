"""What a site asks of programs in its robots.txt, read as RFC 9309 says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

LONGEST = 500 * 1024  # what RFC 9309 asks to read at least; the rest is not read
_GROUP = re.compile(r"[a-z_-]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rule:
    """One line: `pattern` is a path with `*` and a final `$`."""

    pattern: str
    allow: bool


def rules_for(text: str, program: str) -> list[Rule]:
    """Return the rules of the groups that name `program`, or else of those for all.

    Args:
        text: The file.
        program: The product token, such as `homeport-web`.
    """
    groups: dict[str, list[Rule]] = {}
    agents: list[str] = []
    in_rules = False
    for line in text[:LONGEST].splitlines():
        key, colon, value = line.partition("#")[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if not colon:
            continue
        if key == "user-agent":
            if in_rules:
                agents, in_rules = [], False
            found = _GROUP.match(value)
            agents.append(found[0].lower() if found else "*")
            groups.setdefault(agents[-1], [])
        elif key in {"allow", "disallow"}:
            in_rules = True
            if value:
                for agent in agents:
                    groups[agent].append(Rule(_canonical(value), key == "allow"))
    return groups.get(program.lower(), groups.get("*", []))


def allowed(rules: list[Rule], path: str) -> bool:
    """Say whether a path, with its query, may be read: the longest rule that fits decides, and if equal the kinder."""
    path = _canonical(path)
    fitting = [(len(rule.pattern), rule.allow) for rule in rules if _fits(rule.pattern, path)]
    return max(fitting, default=(0, True))[1]


def _canonical(path: str) -> str:
    """Write every character in the one form that is compared; reserved ones that are escaped stay escaped."""
    parts = re.split(r"(%2[Ff])", path)
    return "".join(
        part.upper() if part.upper() == "%2F" else quote(unquote(part), safe="/*$?=&;:@!',()+~") for part in parts
    )


def _fits(pattern: str, path: str) -> bool:
    """Match without backtracking, as the pattern is a stranger's: each part at its first place after the last."""
    anchored = pattern.endswith("$")
    first, *rest = pattern.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    at = len(first)
    if not rest:
        return not anchored or at == len(path)
    for part in rest[:-1]:
        found = path.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(path) - len(rest[-1]) >= at and path.endswith(rest[-1]) if anchored else path.find(rest[-1], at) >= 0
