"""Several hosts may share a database: a run knows its worker, and workers show that they live; calls become tasks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the tables of workers and tasks; the runs that there are belong to the worker of a SQLite file."""
    op.create_table(
        "engine_workers",
        sa.Column("worker", sa.String(), primary_key=True),
        sa.Column("beats", sa.Integer(), nullable=False),
    )
    op.create_table(
        "call_tasks",
        sa.Column("id", sa.String(), primary_key=True),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("owner", "host", "status", "created", "updated")),
        sa.Column("result", sa.JSON()),
        sa.Column("error", sa.JSON()),
    )
    op.create_index("ix_call_tasks_created", "call_tasks", ["created"])
    op.add_column("engine_runs", sa.Column("worker", sa.String(), nullable=False, server_default="local"))
    op.add_column("engine_runs", sa.Column("starts", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Drop them."""
    with op.batch_alter_table("engine_runs") as runs:
        runs.drop_column("worker")
        runs.drop_column("starts")
    op.drop_table("call_tasks")
    op.drop_table("engine_workers")
