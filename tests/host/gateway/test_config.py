"""The servers of Claude Desktop, Cursor and VS Code are read as they are, and written without secrets."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport_host.gateway.config import ServerConfig, bundled, expand, export, parse, read_mcp_json
from homeport_shared.errors import HomeportError


def written(folder: Path, data: object) -> Path:
    path = folder / "mcp.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def test_a_file_of_claude_desktop_or_cursor_is_read_as_it_is(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {
            "mcpServers": {
                "github": {"command": "npx", "args": ["-y", "server"], "env": {"GITHUB_TOKEN": "ghp_x"}},
                "my server": {"url": "https://example.org/mcp", "headers": {"Authorization": "Bearer abc"}},
                "off": {"command": "x", "disabled": True},
            }
        },
    )

    github, mine, off = read_mcp_json(path)

    assert github == ServerConfig(
        "github", "stdio", command="npx", args=("-y", "server"), env={"GITHUB_TOKEN": "ghp_x"}
    )
    assert (mine.name, mine.kind, mine.headers) == ("my-server", "http", {"Authorization": "Bearer abc"})
    assert not off.enabled


def test_a_file_of_vs_code_is_read_too(tmp_path: Path) -> None:
    path = written(tmp_path, {"servers": {"a": {"type": "stdio", "command": "uvx", "args": ["a"]}}})

    assert read_mcp_json(path) == [ServerConfig("a", "stdio", command="uvx", args=("a",))]


def test_a_missing_file_names_no_servers(tmp_path: Path) -> None:
    assert read_mcp_json(tmp_path / "none.json") == []


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "no table `mcpServers`"),
        ({"mcpServers": {"a": {}}}, "'a' needs either a command or a url"),
        ({"mcpServers": {"a": {"command": "x", "url": "http://y"}}}, "'a' needs either"),
        ({"mcpServers": {"a": {"command": 3}}}, "'a' needs either"),
        ({"mcpServers": {"a": {"url": "file:///etc/passwd"}}}, "'a' has the url"),
        ({"mcpServers": {"a": {"command": "x", "args": "y"}}}, "args of the server 'a'"),
        ({"mcpServers": {"a": {"command": "x", "env": ["y"]}}}, "env of the server 'a'"),
        ({"mcpServers": {"...": {"command": "x"}}}, "'...' is not a table with a name"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_name(tmp_path: Path, content: object, what: str) -> None:
    path = written(tmp_path, content)

    with pytest.raises(HomeportError) as caught:
        read_mcp_json(path)

    assert caught.value.code == "invalid"
    assert str(path) in caught.value.message
    assert what in caught.value.message


def test_the_export_has_no_secret_in_clear_text_and_reads_back() -> None:
    secret = "sk-canary-0123456789abcdef"
    configs = [
        ServerConfig("a", "stdio", command="x", args=("--key", secret), env={"API_KEY": secret}),
        ServerConfig("b", "http", url=f"https://user:{secret}@example.org/mcp", headers={"Authorization": secret}),
        ServerConfig("files", "in-process", entry_point="homeport_files.server:build_server"),
    ]

    exported = export(configs)

    assert secret not in json.dumps(exported)
    assert list(exported["mcpServers"]) == ["a", "b"]
    assert exported["mcpServers"]["a"]["env"] == {"API_KEY": "${env:API_KEY}"}
    assert parse("b", exported["mcpServers"]["b"]).headers == {"Authorization": "${env:B_AUTHORIZATION}"}


def test_variables_are_filled_in_from_the_environment() -> None:
    assert expand("Bearer ${env:KEY}-${OTHER}", {"KEY": "k", "OTHER": "o"}) == "Bearer k-o"
    with pytest.raises(HomeportError, match="no variable MISSING"):
        expand("${MISSING}", {})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["command", "args", "env", "url", "headers", "cwd"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(st.text(max_size=8), JSON)
def test_any_entry_gives_a_server_or_a_plain_error(name: str, entry: object) -> None:
    try:
        config = parse(name, entry)
    except HomeportError as error:
        assert error.code == "invalid"
    else:
        assert config.kind in {"stdio", "http"}


def test_the_installed_servers_are_found_by_their_entry_point() -> None:
    found = {config.name: config for config in bundled(isolated=["rag"])}

    assert found["files"].entry_point == "homeport_files.server:build_server"
    assert found["files"].isolation == "in-process"
    assert found["rag"].isolation == "process"
    assert os.environ.get("HOMEPORT_CONNECTION_KEY") is None
