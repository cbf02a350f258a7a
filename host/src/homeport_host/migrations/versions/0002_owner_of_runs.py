"""Runs know whose they are, so that one program does not read the runs of another."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add `runs.owner`; the runs that there are belong to the person."""
    op.add_column("runs", sa.Column("owner", sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    """Drop `runs.owner`."""
    with op.batch_alter_table("runs") as runs:
        runs.drop_column("owner")
