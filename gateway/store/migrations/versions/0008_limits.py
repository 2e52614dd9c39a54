"""Limits: leaky buckets, holds on telephone calls, and what calls cost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("calls", sa.Column("per_minute", sa.Float))
    op.add_column("calls", sa.Column("per_call", sa.Float))
    op.create_table(
        "limit_buckets",
        sa.Column("key", sa.String(900), primary_key=True),
        sa.Column("level", sa.Float, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_index("limit_buckets_by_time", "limit_buckets", ["at"])
    op.create_table(
        "holds",
        sa.Column("person", sa.String(400), primary_key=True),
        sa.Column("rule", sa.String(64), nullable=False),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("until", sa.Float, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("holds")
    op.drop_table("limit_buckets")
    op.drop_column("calls", "per_call")
    op.drop_column("calls", "per_minute")
