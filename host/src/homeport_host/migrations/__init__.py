"""Versions of the host's database: a new one is made from the tables as they are, an older one is led up by Alembic.

Each change of a table adds a script to `versions/` and raises `HEAD`. Alembic is imported only when there is something
to lead up.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, MetaData, inspect, text

from homeport_shared.errors import HomeportError

HEAD = "0009"
FOLDER = Path(__file__).parent
TABLE = "alembic_version"


def bring_up(connection: Connection, tables: MetaData) -> None:
    """Bring a database to the version of this program, in the transaction of `connection`.

    Args:
        connection: To the database.
        tables: What the database holds in this version.

    Raises:
        HomeportError: `conflict`, when a newer program made it.
    """
    found = version_of(connection)
    if found is None:
        tables.create_all(connection)
        connection.execute(text(f"CREATE TABLE {TABLE} (version_num VARCHAR(32) PRIMARY KEY)"))
        connection.execute(text(f"INSERT INTO {TABLE} VALUES (:head)"), {"head": HEAD})  # noqa: S608
    elif found > HEAD:
        raise HomeportError(
            "conflict",
            f"The database of the host was made by a newer Homeport (its version is {found}, this one knows {HEAD}).",
            "Use the newer Homeport, or another HOMEPORT_HOME. Nothing was changed.",
        )
    elif found < HEAD:
        _upgrade(connection, tables)


def version_of(connection: Connection) -> str | None:
    """Return the version of a database; None when it has none yet."""
    if not inspect(connection).has_table(TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {TABLE}")).scalar()  # noqa: S608


def _upgrade(connection: Connection, tables: MetaData) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection, "tables": tables})
    config.set_main_option("script_location", str(FOLDER))
    command.upgrade(config, "head")
