"""Agents in steps of the same workflow's run write to each other."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the table of messages."""
    op.create_table(
        "run_messages",
        sa.Column("run", sa.String(), primary_key=True),
        sa.Column("seq", sa.Integer(), primary_key=True),
        *(
            sa.Column(name, sa.String(), nullable=False)
            for name in ("key", "sender", "receiver", "text", "sent", "taken")
        ),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("run_messages")
