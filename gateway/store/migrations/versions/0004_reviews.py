"""Ratings, reports, and calls that a side has deleted from their own view."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    for side in ("caller", "callee"):
        hid = sa.Column(f"{side}_hid", sa.Boolean, nullable=False, server_default=sa.false())
        op.add_column("calls", hid)
    op.create_index("calls_by_time", "calls", ["created_at"])
    op.create_table(
        "ratings",
        sa.Column("call", sa.String(64), primary_key=True),
        sa.Column("by", sa.String(400), primary_key=True),
        sa.Column("score", sa.Integer, nullable=False),
        sa.Column("tags", sa.String(200), nullable=False),
        sa.Column("comment", sa.String(1000), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_table(
        "reports",
        sa.Column("report", sa.String(64), primary_key=True),
        sa.Column("call", sa.String(64), nullable=False),
        sa.Column("by", sa.String(400), nullable=False),
        sa.Column("about", sa.String(400), nullable=False),
        sa.Column("category", sa.String(32), nullable=False),
        sa.Column("comment", sa.String(4000), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("settled_at", sa.Float),
        sa.Column("note", sa.String(1000), nullable=False),
        sa.Column("frozen", sa.Text, nullable=False),
    )
    op.create_index("reports_by_call", "reports", ["call", "by"], unique=True)
    op.create_index("reports_by_state", "reports", ["state", "at", "report"])
    op.create_index("reports_by_about", "reports", ["about"])


def downgrade() -> None:
    op.drop_table("reports")
    op.drop_table("ratings")
    op.drop_index("calls_by_time", "calls")
    op.drop_column("calls", "callee_hid")
    op.drop_column("calls", "caller_hid")
