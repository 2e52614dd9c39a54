"""Call records."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("call", sa.String(64), primary_key=True),
        sa.Column("direction", sa.String(16), nullable=False),
        sa.Column("caller", sa.String(400), nullable=False),
        sa.Column("caller_name", sa.String(200), nullable=False),
        sa.Column("callee", sa.String(400), nullable=False),
        sa.Column("callee_name", sa.String(200), nullable=False),
        sa.Column("thread", sa.String(200)),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("ringing_at", sa.Float),
        sa.Column("caller_accepted_at", sa.Float),
        sa.Column("caller_accepted_means", sa.String(16)),
        sa.Column("caller_accepted_by", sa.String(400)),
        sa.Column("callee_accepted_at", sa.Float),
        sa.Column("callee_accepted_means", sa.String(16)),
        sa.Column("callee_accepted_by", sa.String(400)),
        sa.Column("connected_at", sa.Float),
        sa.Column("ended_at", sa.Float),
        sa.Column("reason", sa.String(32)),
        sa.Column("ended_by", sa.String(16)),
        sa.Column("caller_codec", sa.String(32)),
        sa.Column("callee_codec", sa.String(32)),
    )
    op.create_index("calls_by_caller", "calls", ["caller", "created_at", "call"])
    op.create_index("calls_by_callee", "calls", ["callee", "created_at", "call"])
    op.create_index("calls_open", "calls", ["ended_at"])


def downgrade() -> None:
    op.drop_table("calls")
