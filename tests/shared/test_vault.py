"""Secrets come from the environment, a keyring that works, or an encrypted file."""

from __future__ import annotations

import os
from pathlib import Path

import keyring.errors
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keyring.backend import KeyringBackend

from homeport_shared.errors import HomeportError
from homeport_shared.vault import Vault

KEY = "OPENROUTER_API_KEY"


class MemoryKeyring(KeyringBackend):
    """A whole keyring that keeps its passwords in this process."""

    priority = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


class LockedKeyring(MemoryKeyring):
    """A keyring that nobody unlocks."""

    def set_password(self, service: str, username: str, password: str) -> None:
        raise keyring.errors.KeyringLocked("Failed to unlock the collection!")


def locked(folder: Path) -> Vault:
    return Vault(folder, environment={}, keyring=LockedKeyring())


def test_the_environment_wins_and_is_not_listed(tmp_path: Path) -> None:
    vault = Vault(tmp_path, environment={KEY: "from-environment"}, keyring=MemoryKeyring())
    vault.set(KEY, "from-keyring")
    assert vault.get(KEY) == "from-environment"
    assert Vault(tmp_path, environment={KEY: "x"}, keyring=LockedKeyring()).names() == [KEY]
    assert Vault(tmp_path / "other", environment={KEY: "x"}, keyring=LockedKeyring()).names() == []


def test_a_working_keyring_keeps_the_secret_and_the_file_only_its_name(tmp_path: Path) -> None:
    ring = MemoryKeyring()
    Vault(tmp_path, environment={}, keyring=ring).set(KEY, "sk-secret")
    again = Vault(tmp_path, environment={}, keyring=ring)
    assert again.get(KEY) == "sk-secret"
    assert again.names() == [KEY]
    assert list(ring.kept.values()) == ["sk-secret"], "the probe is gone"
    assert "sk-secret" not in "".join(path.read_text("utf-8") for path in tmp_path.iterdir())
    again.delete(KEY)
    assert ring.kept == {}
    assert again.get(KEY) is None


def test_a_locked_keyring_falls_through_to_an_encrypted_file(tmp_path: Path) -> None:
    locked(tmp_path).set(KEY, "sk-secret")
    assert locked(tmp_path).get(KEY) == "sk-secret"
    assert b"sk-secret" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    locked(tmp_path).delete(KEY)
    locked(tmp_path).delete(KEY)
    assert locked(tmp_path).get(KEY) is None


def test_the_files_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    locked(tmp_path).set(KEY, "sk-secret")
    own = 0o666 if os.name == "nt" else 0o600  # Windows has no such modes; there the profile's folder is private
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "vault.json": own,
        "vault.key": own,
    }


def test_two_data_roots_do_not_share_a_keyring_entry(tmp_path: Path) -> None:
    ring = MemoryKeyring()
    Vault(tmp_path / "a", environment={}, keyring=ring).set(KEY, "one")
    Vault(tmp_path / "b", environment={}, keyring=ring).set(KEY, "two")
    assert Vault(tmp_path / "a", environment={}, keyring=ring).get(KEY) == "one"


def test_a_lost_key_file_is_said_plainly_without_the_secret(tmp_path: Path) -> None:
    locked(tmp_path).set(KEY, "sk-secret")
    (tmp_path / "vault.key").unlink()
    with pytest.raises(
        HomeportError, match=f"The secret {KEY} in .* cannot be decrypted. Enter {KEY} again."
    ) as caught:
        locked(tmp_path).get(KEY)
    assert caught.value.code == "damaged"


@pytest.mark.parametrize("content", ["{", "[]", '{"A": 1}'])
def test_a_damaged_file_is_said_plainly(tmp_path: Path, content: str) -> None:
    (tmp_path / "vault.json").write_text(content, "utf-8")
    with pytest.raises(HomeportError, match="does not parse") as caught:
        locked(tmp_path).get(KEY)
    assert caught.value.code == "damaged"


@pytest.mark.parametrize(("name", "value"), [("", "x"), (KEY, "  ")])
def test_an_empty_secret_is_refused(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(HomeportError, match="needs a name and a value"):
        locked(tmp_path).set(name, value)


@settings(max_examples=20)
@given(value=st.text(min_size=1).filter(lambda text: text.strip() != ""))
def test_every_text_comes_back_as_it_went_in(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    folder = tmp_path_factory.mktemp("vault")
    locked(folder).set("ANY", value)
    assert locked(folder).get("ANY") == value.strip()
