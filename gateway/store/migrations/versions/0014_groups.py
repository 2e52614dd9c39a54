"""Calls that others were added to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("calls", sa.Column("group_call", sa.String(64)))
    op.add_column("calls", sa.Column("changes", sa.Text))


def downgrade() -> None:
    with op.batch_alter_table("calls") as calls:
        calls.drop_column("changes")
        calls.drop_column("group_call")
