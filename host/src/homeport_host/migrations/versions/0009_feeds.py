"""Up to where the events of servers in other processes were read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the table of feeds."""
    op.create_table(
        "event_feeds",
        sa.Column("feed", sa.String(), primary_key=True),
        sa.Column("cursor", sa.String(), nullable=False),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("event_feeds")
