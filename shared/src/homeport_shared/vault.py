"""Secrets: looked up in the environment, then in the system's keyring, then in an encrypted file of their owner.

The file protects against a copied backup or a glance, not against a program that runs as the same user: its key lies
beside it, readable by the owner only. That is why a working keyring comes first.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from homeport_shared.atomic import write_atomically
from homeport_shared.errors import HomeportError

if TYPE_CHECKING:
    from cryptography.fernet import Fernet
    from keyring.backend import KeyringBackend

log = logging.getLogger(__name__)
FILE = "vault.json"
KEY_FILE = "vault.key"
_PROBE = "probe"


class Vault:
    """The secrets of one data root. Its methods may block: call them off the event loop.

    Args:
        folder: The data root; `vault.json` and `vault.key` are made in it with the first secret that needs them.
        environment: Read first, and never written.
        keyring: Replaces the system's keyring.
    """

    def __init__(
        self,
        folder: Path,
        *,
        environment: Mapping[str, str] = os.environ,
        keyring: KeyringBackend | None = None,
    ) -> None:
        self._folder = folder
        self._environment = environment
        self._given = keyring
        self._probed: KeyringBackend | None = None
        self._has_probed = False

    def get(self, name: str) -> str | None:
        """Return the secret `name`, such as `OPENROUTER_API_KEY`; None where there is none.

        Raises:
            HomeportError: `damaged`, when the file holds it but cannot be decrypted.
        """
        if value := self._environment.get(name, "").strip():
            return value
        places = self._places()
        if name not in places:
            return None
        if places[name]:
            return self._decrypted(name, places[name])
        keyring = self._keyring()
        return keyring.get_password(self._service(), name) if keyring else None

    def set(self, name: str, value: str) -> None:
        """Keep `value` under `name`: in the keyring where one works, in the encrypted file otherwise.

        Raises:
            HomeportError: `invalid`, when the name or the value is empty; `damaged`, when the file does not parse.
        """
        if not name or not value.strip():
            raise HomeportError("invalid", "A secret needs a name and a value.", "Enter both.")
        places, keyring = self._places(), self._keyring()
        if keyring is not None:
            keyring.set_password(self._service(), name, value.strip())  # pyright: ignore[reportUnknownMemberType]
            places[name] = ""
        else:
            places[name] = self._fernet().encrypt(value.strip().encode()).decode()
        self._write(places)

    def delete(self, name: str) -> None:
        """Forget `name`; nothing happens where there is none.

        Raises:
            HomeportError: `damaged`, when the file does not parse.
        """
        places, keyring = self._places(), self._keyring()
        if name not in places:
            return
        if not places.pop(name) and keyring is not None and keyring.get_password(self._service(), name) is not None:
            keyring.delete_password(self._service(), name)
        self._write(places)

    def names(self) -> list[str]:
        """Return the names of the secrets kept here, without those that only the environment has.

        Raises:
            HomeportError: `damaged`, when the file does not parse.
        """
        return sorted(self._places())

    def has(self, name: str) -> bool:
        """Return whether there is a secret `name`, here or in the environment, without reading it.

        Raises:
            HomeportError: `damaged`, when the file does not parse.
        """
        return bool(self._environment.get(name, "").strip()) or name in self._places()

    def _service(self) -> str:
        return f"homeport {self._folder}"

    def _keyring(self) -> KeyringBackend | None:
        """Return the keyring if a value written to it can be read back, probed once."""
        if not self._has_probed:
            self._probed = _working(self._given, self._service())
            self._has_probed = True
        return self._probed

    def _places(self) -> dict[str, str]:
        """Return each name with its encrypted value, or an empty one where the keyring has it."""
        path = self._folder / FILE
        try:
            value: Any = json.loads(path.read_text("utf-8"))
            if not isinstance(value, dict) or set(map(type, cast("dict[str, Any]", value).values())) - {str}:
                raise ValueError("it is no table of texts")
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise HomeportError(
                "damaged", f"{path} does not parse.", "Move it away and enter the keys again."
            ) from error
        return cast("dict[str, str]", value)

    def _write(self, places: Mapping[str, str]) -> None:
        write_atomically(self._folder / FILE, json.dumps(places, indent=1).encode(), secret=True)

    def _fernet(self) -> Fernet:
        from cryptography.fernet import Fernet

        path = self._folder / KEY_FILE
        if not path.exists():
            write_atomically(path, Fernet.generate_key(), secret=True)
        return Fernet(path.read_bytes())

    def _decrypted(self, name: str, token: str) -> str:
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet().decrypt(token.encode()).decode()
        except (InvalidToken, ValueError) as error:
            message = f"The secret {name} in {self._folder / FILE} cannot be decrypted."
            raise HomeportError("damaged", message, f"Enter {name} again.") from error


def _working(given: KeyringBackend | None, service: str) -> KeyringBackend | None:
    import keyring

    backend = given or keyring.get_keyring()
    value = secrets.token_hex(8)
    try:
        backend.set_password(service, _PROBE, value)  # pyright: ignore[reportUnknownMemberType]
        works = backend.get_password(service, _PROBE) == value
        backend.delete_password(service, _PROBE)
    except Exception as error:  # a backend is foreign code on a foreign bus: whatever it raises, the file serves
        log.info("No keyring can be used (%s); secrets go to an encrypted file.", type(error).__name__)
        return None
    return backend if works else None
