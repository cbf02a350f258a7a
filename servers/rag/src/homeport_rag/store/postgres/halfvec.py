"""Vectors on their way to pgvector and back: as they are stored in SQLite (float16, little endian) on our side."""

from __future__ import annotations

import struct
from array import array
from typing import Any

import psycopg
from psycopg import pq
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader

_HEAD = struct.Struct(">HH")  # of a halfvec as it is sent: how many numbers, and nothing; then these, big endian


class VectorDumper(Dumper):
    """Sends a vector."""

    format = pq.Format.BINARY

    def dump(self, obj: bytes) -> Buffer:
        """Return `obj` as pgvector reads it."""
        return _HEAD.pack(len(obj) // 2, 0) + _swapped(obj)


class VectorLoader(Loader):
    """Receives a vector."""

    format = pq.Format.BINARY

    def load(self, data: Buffer) -> bytes:
        """Return what pgvector wrote as it is stored elsewhere."""
        return _swapped(bytes(data)[_HEAD.size :])


def _swapped(data: bytes) -> bytes:
    numbers = array("H", data)
    numbers.byteswap()
    return numbers.tobytes()


def register(connection: psycopg.Connection[Any], oid: int) -> None:
    """Let `bytes` be vectors on a connection.

    Args:
        connection: The driver's own.
        oid: The number of the type `halfvec` in this database.
    """
    dumper = type("VectorDumper", (VectorDumper,), {"oid": oid})
    connection.adapters.register_dumper(bytes, dumper)
    connection.adapters.register_loader(oid, VectorLoader)
