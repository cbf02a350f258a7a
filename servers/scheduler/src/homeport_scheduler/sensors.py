"""Where events come from: changed files and webhooks."""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, cast

from homeport_scheduler.records import Note
from homeport_shared.atomic import write_atomically
from homeport_shared.bursts import Batch
from homeport_shared.clock import Clock, iso

LARGEST_BODY = 256 * 1024
_NAME = re.compile(r"/hooks/([A-Za-z0-9_-]{1,60})")
Emit = Callable[[Note], Awaitable[None]]
Message = dict[str, Any]


def notes_of(batch: Batch, now: str) -> list[Note]:
    """Return a batch of changes as events: `file.created`, `folder.moved` and so on, with the path."""
    found: list[Note] = []
    for change in batch.changes:
        kind = f"{'folder' if change.folder else 'file'}.{change.kind}"
        data = {"path": str(change.path), "name": change.path.name, "came_from": str(change.came_from or "")}
        found.append(Note(f"file-{secrets.token_hex(8)}", now, kind, f"scheduler://files/{change.path.name}", data))
    if not batch.complete:
        data = {"path": str(batch.folder), "name": batch.folder.name, "there": batch.there}
        found.append(
            Note(f"file-{secrets.token_hex(8)}", now, "folder.changed", f"scheduler://files/{batch.folder.name}", data)
        )
    return found


def secret_in(file: Path) -> str:
    """Return the secret that webhooks must repeat; it is made when the file is missing, readable by its owner only."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, secrets.token_urlsafe(32).encode(), secret=True)
    return file.read_text("utf-8").strip()


class Webhooks:
    """The ASGI application of `POST /hooks/NAME`: each delivery becomes one event `webhook.NAME`.

    Who sends proves to know the secret, by `Authorization: Bearer SECRET` or by the header `X-Hub-Signature-256`, the
    HMAC of the body as GitHub sends it. A delivery with the id of an earlier one (`Idempotency-Key`,
    `X-GitHub-Delivery`) is the same event.

    Args:
        secret: The secret.
        emit: Keeps an event; it survives a power cut before the answer is sent.
        clock: The time.
    """

    def __init__(self, secret: str, emit: Emit, clock: Clock) -> None:
        self._secret = secret.encode()
        self._emit = emit
        self._clock = clock

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            return
        status, text = await self._answer(scope, receive)
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps({"message": text}).encode()})

    async def _answer(self, scope: Message, receive: Callable[[], Awaitable[Message]]) -> tuple[int, str]:
        place = _NAME.fullmatch(scope["path"])
        if place is None:
            return 404, "There is only POST /hooks/NAME."
        if scope["method"] != "POST":
            return 405, "Send it with POST."
        body = await _body(receive)
        if body is None:
            return 413, f"The body is larger than {LARGEST_BODY >> 10} KB."
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if not self._proves(headers, body):
            return 401, "Send the secret as 'Authorization: Bearer …', or sign the body with it."
        delivery = headers.get("idempotency-key") or headers.get("x-github-delivery") or secrets.token_hex(12)
        kind = f"webhook.{place[1]}"
        note = Note(
            f"{kind}:{delivery[:200]}", iso(self._clock.now()), kind, f"scheduler://hooks/{place[1]}", _data(body)
        )
        await self._emit(note)
        return 202, "Accepted."

    def _proves(self, headers: dict[str, str], body: bytes) -> bool:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return hmac.compare_digest(token.encode(), self._secret)
        signature = "sha256=" + hmac.new(self._secret, body, "sha256").hexdigest()
        return hmac.compare_digest(headers.get("x-hub-signature-256", "").encode(), signature.encode())


async def _body(receive: Callable[[], Awaitable[Message]]) -> bytes | None:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY:
            return None
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return bytes(body)


def _data(body: bytes) -> dict[str, Any]:
    try:
        value: Any = json.loads(body) if body.strip() else {}
    except ValueError:
        return {"text": body.decode("utf-8", "replace")}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {"value": value}


def folders_of(names: Iterable[str]) -> list[Path]:
    """Return the folders that settings name, absolute and without links."""
    return [Path(name).expanduser().resolve() for name in names]
