"""One pydantic tree per server: flags > environment > `homeport.toml` > default, and a write that keeps comments."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import platformdirs
from pydantic import BaseModel, ValidationError

from homeport_shared.atomic import write_atomically
from homeport_shared.errors import HomeportError

S = TypeVar("S", bound=BaseModel)
FILE = "homeport.toml"


def home_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the data root: `HOMEPORT_HOME`, or the platform's data directory for `homeport`."""
    named = environment.get("HOMEPORT_HOME")
    return Path(named).expanduser().absolute() if named else platformdirs.user_data_path("homeport", appauthor=False)


def load(
    model: type[S],
    section: str,
    *,
    home: Path,
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> S:
    """Return the settings of one section.

    Args:
        model: The pydantic model of the section; every field has a description.
        section: The table of `homeport.toml`, such as `files`; its environment prefix is `HOMEPORT_FILES_`.
        home: The data root that holds `homeport.toml`.
        flags: Values from the command line, which win; None values are left out.
        environment: Where `HOMEPORT_<SECTION>_<FIELD>` is looked up; lists are separated by the path separator.

    Raises:
        HomeportError: `invalid`, naming each wrong field and where it came from.
    """
    table = read_file(home).get(section, {})
    if not isinstance(table, dict):
        raise HomeportError("invalid", f"{home / FILE}: [{section}] is not a table.", "Write it as a table.")
    values: dict[str, Any] = dict(table)  # pyright: ignore[reportUnknownArgumentType]
    for name, field in model.model_fields.items():
        raw = environment.get(f"HOMEPORT_{section.upper()}_{name.upper()}")
        if raw is not None:
            values[name] = raw.split(os.pathsep) if "list" in str(field.annotation) else raw
    values |= {name: value for name, value in (flags or {}).items() if value is not None}
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise HomeportError(
            "invalid", f"The settings of [{section}] do not fit: {_wrong(error)}.", f"Correct them in {home / FILE}."
        ) from error


def read_file(home: Path) -> dict[str, Any]:
    """Return `homeport.toml` as a dict; empty when there is none.

    Raises:
        HomeportError: `invalid`, with line and column, when it does not parse.
    """
    path = home / FILE
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise HomeportError("invalid", f"{path} does not parse: {error}.", "Correct that line.") from error


def save(home: Path, section: str, values: Mapping[str, Any]) -> None:
    """Write `values` into one section of `homeport.toml`; comments and everything else stay as they are.

    Raises:
        HomeportError: `invalid`, when the file that is there does not parse.
    """
    import tomlkit

    read_file(home)  # refuses a file that does not parse, before anything is written
    path = home / FILE
    document = tomlkit.parse(path.read_text("utf-8")) if path.exists() else tomlkit.document()
    if section not in document:
        document[section] = tomlkit.table()
    document[section].update(values)  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue]
    write_atomically(path, tomlkit.dumps(document).encode())  # pyright: ignore[reportUnknownMemberType]


class Setting(BaseModel):
    """A setting; a `fixed` one was given on the command line and cannot be changed here."""

    name: str
    value: Any
    default: Any
    about: str
    fixed: bool


class SettingList(BaseModel):
    """The settings of a server."""

    settings: list[Setting]


def shown(chosen: BaseModel, flags: Mapping[str, Any]) -> SettingList:
    """Return every setting with its value, its default and what it means."""
    return SettingList(
        settings=[
            Setting(
                name=name,
                value=getattr(chosen, name),
                default=field.get_default(call_default_factory=True),  # pyright: ignore[reportUnknownMemberType]
                about=field.description or "",
                fixed=flags.get(name) is not None,
            )
            for name, field in type(chosen).model_fields.items()
        ]
    )


def changed(before: S, values: Mapping[str, Any], flags: Mapping[str, Any]) -> S:
    """Return settings with other values; nothing is stored.

    Raises:
        HomeportError: `invalid`, when a value does not fit; `denied`, when the command line says otherwise.
    """
    for name in values:
        if flags.get(name) is not None:
            raise HomeportError("denied", f"{name} is set on the command line.", "Start the server without it.")
    try:
        return type(before).model_validate(before.model_dump() | dict(values))
    except ValidationError as error:
        raise HomeportError("invalid", f"These settings do not fit: {_wrong(error)}.", "Correct them.") from error


def _wrong(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
