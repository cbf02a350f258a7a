"""Templates, and what every page knows: menu, theme, mode, version."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from homeport_dashboard import navigation
from homeport_dashboard.connection import Connection, Json
from homeport_shared.errors import HomeportError

THEMES = ("system", "light", "dark", "contrast")


@dataclass(frozen=True)
class Outcome:
    """What a read brought: a value, or the failure that its place on the page shows."""

    value: Any = None
    error: HomeportError | None = None


async def attempt(work: Awaitable[Any]) -> Outcome:
    """Wait for `work`; a foreseen failure becomes part of the page instead of replacing it."""
    try:
        return Outcome(value=await work)
    except HomeportError as error:
        return Outcome(error=error)


async def attempt_all(**work: Awaitable[Any]) -> dict[str, Outcome]:
    """Wait for several reads at once."""
    return await gather(**{name: attempt(awaitable) for name, awaitable in work.items()})


async def gather(**work: Awaitable[Outcome]) -> dict[str, Outcome]:
    """Wait for several outcomes at once."""
    found: dict[str, Outcome] = {}

    async def one(name: str, awaitable: Awaitable[Outcome]) -> None:
        found[name] = await awaitable

    async with anyio.create_task_group() as tasks:
        for name, awaitable in work.items():
            tasks.start_soon(one, name, awaitable)
    return found


class Pages:
    """Renders templates with what the shell needs.

    Args:
        connection: The host; asked for the mode, waiting approvals and notifications.
        version: Shown in the footer.
    """

    def __init__(self, connection: Connection, version: str) -> None:
        self._connection = connection
        self._version = version
        self._assets = _assets()
        self._environment = Environment(
            loader=PackageLoader("homeport_dashboard"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment: Any = self._environment  # Jinja types its tables by their first entries
        environment.filters.update(
            moment=moment,
            short=short,
            clock=clock,
            size=size,
            count=count,
            pretty=pretty,
            part=part,
            seconds=seconds,
            duration=duration,
            about=about,
        )
        environment.tests["local_model"] = is_local_model
        environment.globals.update(asset=self.asset, TIERS=navigation.TIERS, PAGES=navigation.PAGES)
        environment.globals["ui"] = environment.get_template("macros.html").module

    def asset(self, name: str) -> str:
        """Return the address of a built file; it changes with the content, so browsers may keep it for ever."""
        return f"/static/dist/{name}?v={self._assets.get(name, self._version)}"

    async def page(
        self, request: Request, template: str, *, current: str, crumbs: list[tuple[str, str]], **values: Any
    ) -> HTMLResponse:
        """Render a whole page.

        Args:
            request: What is answered.
            template: The page's template.
            current: Key of the menu entry that is marked.
            crumbs: Title and path from the top to here; the last one is this page.
            values: What the template shows.
        """
        shell = await attempt(self.shell())
        theme = request.cookies.get("homeport_theme", "system")
        return self.fragment(
            template,
            request=request,
            current=current,
            crumbs=crumbs,
            shell=shell.value or {"mode": "", "approvals": 0, "notifications": 0},
            offline=shell.error,
            theme=theme if theme in THEMES else "system",
            nonce=request.scope["state"]["nonce"],
            version=self._version,
            status_code=values.pop("status_code", 200),
            **values,
        )

    def fragment(self, template: str, *, status_code: int = 200, **values: Any) -> HTMLResponse:
        """Render a part of a page, without the shell."""
        return HTMLResponse(self._environment.get_template(template).render(**values), status_code)

    async def shell(self) -> Json:
        """Return what the frame around every page shows: the mode, and how many approvals and notifications wait."""
        found = await attempt_all(
            mode=self._connection.read("homeport://mode"),
            waiting=self._connection.read("approval://pending"),
            told=self._connection.read("notifications://recent"),
        )
        if error := next((outcome.error for outcome in found.values() if outcome.error), None):
            raise error
        return {
            "mode": found["mode"].value["mode"],
            "approvals": len(found["waiting"].value["approvals"]),
            "notifications": found["told"].value["unread"],
        }


def _assets() -> dict[str, str]:
    manifest = Path(__file__).parent / "static" / "dist" / "manifest.json"
    return json.loads(manifest.read_text("utf-8")) if manifest.is_file() else {}


def moment(text: str) -> str:
    """Return an RFC 3339 time as a `datetime` attribute's readable twin, such as `21 Nov 2026, 02:26`."""
    return _time(text).strftime("%d %b %Y, %H:%M").lstrip("0") if text else ""


def short(text: str) -> str:
    """Return the hour of a time of today, else its day, and its year when that is another one."""
    then, today = _time(text), datetime.now().astimezone()
    if then.date() == today.date():
        return then.strftime("%H:%M")
    return then.strftime("%d %b" if then.year == today.year else "%d %b %Y").lstrip("0")


def clock(text: str) -> str:
    """Return hours and minutes of an RFC 3339 time."""
    return _time(text).strftime("%H:%M") if text else ""


def _time(text: str) -> datetime:
    """Read an RFC 3339 time into this machine's zone, which on loopback is the reader's."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone()


def size(count: float) -> str:
    """Return a number of bytes as people read it: 1 KB is 1,000 bytes."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return ""


def pretty(value: Any) -> str:
    """Return `value` as indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def seconds(number: float) -> str:
    """Return a length of time as people read it: `0.4 s`, `12 s`, `3 min`, `2 h 5 min`."""
    if number < 10:
        return f"{number:.1f} s"
    if number < 120:
        return f"{number:.0f} s"
    minutes = round(number / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def duration(task: Json) -> str:
    """Return how long something that has `started` and `finished` took, or takes until now; empty before it began."""
    if not task["started"]:
        return ""
    end = _time(task["finished"]) if task["finished"] else datetime.now().astimezone()
    return seconds(max((end - _time(task["started"])).total_seconds(), 0.0))


def part(text: Any) -> str:
    """Return `text` as a part of a query."""
    return quote(str(text), safe="")


def about(event: Json) -> str:
    """Return what an event is about: what its data names it by, or else its subject."""
    data = event["data"]
    return str(next((data[name] for name in ("name", "title", "path", "reason") if data.get(name)), event["subject"]))


def is_local_model(name: str) -> bool:
    """Say whether a model answers on this machine."""
    return name.startswith("ollama/")


def count(number: int, thing: str) -> str:
    """Return `1 passage`, `2 passages`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
