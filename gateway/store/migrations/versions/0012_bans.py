"""Who may not call at all, by which report."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "bans",
        sa.Column("person", sa.String(400), primary_key=True),
        sa.Column("report", sa.String(64), nullable=False),
        sa.Column("since", sa.Float, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("bans")
