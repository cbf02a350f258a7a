"""Events know their source and what led to them; subscriptions, what they started, and notifications."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
TABLES = ("watches", "notifications", "deliveries", "subscriptions")


def upgrade() -> None:
    """Add columns and tables; the events that there are have no known source."""
    for name in ("source", "cause", "correlation"):
        op.add_column("events", sa.Column(name, sa.String(), nullable=False, server_default=""))
    op.create_index("ix_events_cause", "events", ["cause"])
    op.create_index("ix_events_correlation", "events", ["correlation"])
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), nullable=False, unique=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("where", sa.JSON(), nullable=False),
        sa.Column("start", sa.JSON(), nullable=False),
        sa.Column("at_once", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created", sa.String(), nullable=False),
        sa.Column("updated", sa.String(), nullable=False),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("subscription", sa.String(), nullable=False),
        sa.Column("event", sa.Integer(), nullable=False),
        sa.Column("correlation", sa.String(), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("run", "state", "at", "error")),
    )
    for name in ("subscription", "event", "correlation", "run"):
        op.create_index(f"ix_deliveries_{name}", "deliveries", [name])
    op.create_index("deliveries_open", "deliveries", ["subscription", "state"])
    op.create_table(
        "notifications",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("user", "at", "level", "title", "text", "link")),
        sa.Column("event", sa.Integer(), nullable=False),
        sa.Column("read", sa.Boolean(), nullable=False),
        sa.UniqueConstraint("user", "event", name="notifications_once"),
    )
    op.create_table(
        "watches",
        sa.Column("run", sa.String(), primary_key=True),
        sa.Column("user", sa.String(), primary_key=True),
        sa.Column("moments", sa.JSON(), nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    for table in TABLES:
        op.drop_table(table)
    for name in ("correlation", "cause"):
        op.drop_index(f"ix_events_{name}", "events")
    with op.batch_alter_table("events") as events:
        for name in ("correlation", "cause", "source"):
            events.drop_column(name)
