"""PINs, what was guessed of them, and the key that hides them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "pins",
        sa.Column("pin", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float),
        sa.Column("held_until", sa.Float, nullable=False),
        sa.Column("uses", sa.Integer, nullable=False),
    )
    op.create_index("pins_by_digest", "pins", ["digest"], unique=True)
    op.create_index("pins_by_owner", "pins", ["owner", "created_at"])
    op.create_table(
        "pin_failures",
        sa.Column("who", sa.String(400), primary_key=True),
        sa.Column("level", sa.Float, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_table(
        "keys",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", sa.String(64), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("keys")
    op.drop_table("pin_failures")
    op.drop_table("pins")
