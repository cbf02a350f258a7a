"""Types of tasks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
TYPES = """UPDATE runs SET type = CASE
    WHEN kind = 'workflow' THEN 'workflow' WHEN session_id <> '' THEN 'chat' WHEN kind = 'job' THEN 'automation'
    ELSE 'agent' END"""


def upgrade() -> None:
    """Add the column, and give the runs that there are the type that they would get now."""
    op.add_column("runs", sa.Column("type", sa.String(), nullable=False, server_default="agent"))
    op.execute(TYPES)


def downgrade() -> None:
    """Drop it."""
    with op.batch_alter_table("runs") as runs:
        runs.drop_column("type")
