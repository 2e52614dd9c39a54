"""Passes, and the calls that use them just now."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "passes",
        sa.Column("pass_id", sa.String(32), primary_key=True),
        sa.Column("creator", sa.String(64), nullable=False),
        sa.Column("follower", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("calls", sa.Integer),
        sa.Column("seconds", sa.Float),
        sa.Column("calls_left", sa.Integer),
        sa.Column("seconds_left", sa.Float),
        sa.Column("from_at", sa.Float),
        sa.Column("until_at", sa.Float),
        sa.Column("created_at", sa.Float, nullable=False),
    )
    op.create_index("passes_by_creator", "passes", ["creator", "follower", "created_at"])
    op.create_index("passes_by_follower", "passes", ["follower", "created_at"])
    op.create_table(
        "pass_uses",
        sa.Column("call", sa.String(64), primary_key=True),
        sa.Column("pass_id", sa.String(32), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("pass_uses")
    op.drop_table("passes")
