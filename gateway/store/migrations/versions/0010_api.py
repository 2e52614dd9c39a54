"""Answers of the API that may be asked for again, and events that wait for their receivers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "answers",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("said", sa.String(64), nullable=False),
        sa.Column("sealed", sa.Text),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_index("answers_by_age", "answers", ["at"])
    op.create_table(
        "webhook_events",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("receiver", sa.String(32), nullable=False),
        sa.Column("lane", sa.String(64), nullable=False),
        sa.Column("event", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("due_at", sa.Float),
        sa.Column("attempts", sa.Integer, nullable=False),
    )
    op.create_index("webhook_events_due", "webhook_events", ["receiver", "due_at"])
    op.create_index("webhook_events_lane", "webhook_events", ["receiver", "lane", "seq"])


def downgrade() -> None:
    op.drop_table("webhook_events")
    op.drop_table("answers")
