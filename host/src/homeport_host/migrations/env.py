"""Alembic's entry point: the scripts run in the transaction of the connection that `bring_up` hands over."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes["tables"],
    render_as_batch=True,  # SQLite changes a column by making the table anew
)
context.run_migrations()
