"""The command `new-server`: a server with tests and a page of documentation, in the shape of all others."""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from pathlib import Path

import click

from homeport.cli.output import console
from homeport_shared import __version__
from homeport_shared.errors import HomeportError

LAYOUT = {
    "pyproject.toml": "servers/{name}/pyproject.toml",
    "README.md": "servers/{name}/README.md",
    "init.py": "servers/{name}/src/homeport_{name}/__init__.py",
    "server.py": "servers/{name}/src/homeport_{name}/server.py",
    "notes.py": "servers/{name}/src/homeport_{name}/notes.py",
    "store.py": "servers/{name}/src/homeport_{name}/store.py",
    "settings.py": "servers/{name}/src/homeport_{name}/settings.py",
    "py.typed": "servers/{name}/src/homeport_{name}/py.typed",
    "test_server.py": "tests/servers/{name}/test_server.py",
    "page.md": "docs/reference/servers/{name}.md",
}

_OURS = re.compile(r"(?:^from homeport_.*\n)+", re.MULTILINE)


@click.command("new-server")
@click.argument("name")
@click.option("--into", type=click.Path(path_type=Path), default=Path(), help="The workspace (default: this folder).")
def new_server(name: str, into: Path) -> None:
    """Start the server NAME in this workspace: it runs and passes its tests at once."""
    if not re.fullmatch(r"[a-z][a-z0-9]{1,30}", name) or keyword.iskeyword(name):
        raise HomeportError(
            "invalid", f"{name!r} cannot be a server's name.", "Use small letters and digits, like weather."
        )
    if not (into / "servers").is_dir():
        raise HomeportError("not_found", f"{into.absolute()} is no Homeport workspace.", "Go to the clone's folder.")
    if (into / "servers" / name).exists():
        raise HomeportError("conflict", f"servers/{name} is there already.", "Choose another name.")
    for path in write(name, into):
        console.print(f"  {path.relative_to(into)}")
    _register_imports(name, into)
    console.print(f"Next: uv sync --all-packages, then uv run pytest tests/servers/{name}")


def write(name: str, into: Path) -> list[Path]:
    """Write the files of the server `name` and return their paths."""
    templates = files("homeport") / "templates"
    written: list[Path] = []
    for template, target in LAYOUT.items():
        text = (templates / f"{template}.txt").read_text("utf-8")
        path = into / target.format(name=name)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = text.replace("@name@", name).replace("@Name@", name.capitalize()).replace("@version@", __version__)
        path.write_text(_OURS.sub(_sorted, text), encoding="utf-8")
        written.append(path)
    return written


def _sorted(imports: re.Match[str]) -> str:
    """The order of the imports of our packages depends on the new server's name."""
    return "".join(sorted(imports[0].splitlines(keepends=True)))


def _register_imports(name: str, into: Path) -> None:
    """Put the package into the lists of packages that the root's checks know."""
    root = into / "pyproject.toml"
    text = root.read_text("utf-8")
    root.write_text(text.replace('"homeport_files", ', f'"homeport_files", "homeport_{name}", '), encoding="utf-8")
