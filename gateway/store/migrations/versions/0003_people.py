"""People: what their tokens said, what they have set, whom they know and whom they have blocked;
strangers' calls, what was switched while running, and which rule spoke of a call."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "people",
        sa.Column("handle", sa.String(64), primary_key=True),
        sa.Column("region", sa.String(2)),
        sa.Column("groups", sa.Text, nullable=False),
        sa.Column("age", sa.String(8)),
        sa.Column("timezone", sa.String(64)),
        sa.Column("seen_at", sa.Float, nullable=False),
    )
    op.create_table(
        "people_settings",
        sa.Column("handle", sa.String(64), primary_key=True),
        sa.Column("preferences", sa.Text, nullable=False),
        sa.Column("changed_at", sa.Float, nullable=False),
    )
    op.create_table(
        "contacts",
        sa.Column("owner", sa.String(64), primary_key=True),
        sa.Column("address", sa.String(400), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("favourite", sa.Boolean, nullable=False),
        sa.Column("changed_at", sa.Float, nullable=False),
    )
    op.create_table(
        "blocks",
        sa.Column("owner", sa.String(64), primary_key=True),
        sa.Column("who", sa.String(400), primary_key=True),
        sa.Column("created_at", sa.Float, nullable=False),
    )
    op.create_table(
        "strangers",
        sa.Column("caller", sa.String(400), primary_key=True),
        sa.Column("callee", sa.String(400), primary_key=True),
        sa.Column("rings", sa.Integer, nullable=False),
        sa.Column("last_at", sa.Float, nullable=False),
    )
    op.create_index("strangers_by_age", "strangers", ["last_at"])
    op.create_table(
        "switches",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("changed_at", sa.Float, nullable=False),
    )
    op.add_column("calls", sa.Column("verdict", sa.String(32)))


def downgrade() -> None:
    op.drop_column("calls", "verdict")
    for table in ("switches", "strangers", "blocks", "contacts", "people_settings", "people"):
        op.drop_table(table)
