"""Tokens that are good no more before they expire; calls of two people, found at once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_table(
        "revocations",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
        sa.Column("jti", sa.String(200)),
        sa.Column("sub", sa.String(64)),
        sa.Column("issued_until", sa.Float),
    )
    op.create_index("revocations_by_end", "revocations", ["expires_at"])
    op.create_index("calls_by_pair", "calls", ["caller", "callee", "created_at", "call"])


def downgrade() -> None:
    op.drop_index("calls_by_pair", "calls")
    op.drop_table("revocations")
