"""Runs have what a list of tasks needs: a title, an origin, a priority, a parent, dependencies and tags."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
TEXTS = {"title": "", "origin": "user", "parent": "", "after": "[]", "tags": "[]"}


def upgrade() -> None:
    """Add the columns; a run that there is has the beginning of its prompt as its title."""
    for name, default in TEXTS.items():
        kind = sa.JSON() if default == "[]" else sa.String()
        op.add_column("runs", sa.Column(name, kind, nullable=False, server_default=default))
    op.add_column("runs", sa.Column("priority", sa.Integer(), nullable=False, server_default="1"))
    op.create_index("ix_runs_parent", "runs", ["parent"])
    op.execute("UPDATE runs SET title = substr(prompt, 1, 80)")


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_runs_parent", "runs")
    with op.batch_alter_table("runs") as runs:
        for name in (*TEXTS, "priority"):
            runs.drop_column(name)
