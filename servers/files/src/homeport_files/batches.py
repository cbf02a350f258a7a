"""Several changes as one: all of them are made, or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, WithJsonSchema

from homeport_files.changing import Done, text_encoder
from homeport_files.edits import Edit
from homeport_files.restoring import Restorer
from homeport_shared.errors import HomeportError

MOST_CHANGES = 500


class FileChange(BaseModel):
    """One change: new `content`, `edits` of the present one, or `delete`."""

    path: str
    content: Annotated[str | None, WithJsonSchema({"type": "string"})] = None
    edits: Annotated[list[Edit], WithJsonSchema({"type": "array", "description": "as for edit"})] = []
    delete: bool = False
    if_sha256: str = ""


def apply_all(restorer: Restorer, changes: Sequence[FileChange]) -> list[Done]:
    """Make the changes in their order; when one fails, take back those before it, under the same lock.

    A process that is killed in between leaves the first of them done; they are one set in the history.

    Raises:
        HomeportError: `invalid`, when a change says not exactly one thing or there are too many; what the change that
            failed says, with its number.
    """
    if not 0 < len(changes) <= MOST_CHANGES:
        raise HomeportError("invalid", f"{len(changes)} changes were given.", f"Give 1 to {MOST_CHANGES} at a time.")
    done: list[Done] = []
    for number, change in enumerate(changes, 1):
        try:
            done.append(_made(restorer, change))
        except (HomeportError, OSError) as error:
            versions = [one.version for one in reversed(done) if one.version]
            _, left = restorer.take_back(versions)
            if not isinstance(error, HomeportError):
                raise
            rest = f" Not taken back: {' '.join(left)}" if left else ""
            message = f"Change {number} of {len(changes)} cannot be made, so none was: {error.message}{rest}"
            raise HomeportError(error.code, message, error.hint) from error
    return done


def _made(restorer: Restorer, change: FileChange) -> Done:
    if sum((change.content is not None, bool(change.edits), change.delete)) != 1:
        raise HomeportError("invalid", f"{change.path!r} has not one of content, edits and delete.", "Give one.")
    if change.delete:
        return restorer.delete(change.path, recursive=False)[-1]
    if change.edits:
        return restorer.edit(change.path, change.edits, if_sha256=change.if_sha256, dry_run=False)
    encode = text_encoder(change.content or "", "", change.path)
    return restorer.write(change.path, encode, overwrite=True, if_sha256=change.if_sha256)
