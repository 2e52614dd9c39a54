"""Insert or update, in the words of either database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert


def upsert(connection: Connection, table: Table, row: Mapping[str, Any], *key: str) -> None:
    """``key`` are the columns of the primary key, or of a unique index."""
    upsert_all(connection, table, [row], *key)


def upsert_all(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *key: str
) -> None:
    """All with the same columns, in one go."""
    if not rows:
        return
    insert = sqlite_insert if connection.dialect.name == "sqlite" else postgresql_insert
    statement = insert(table)
    changed = {name: statement.excluded[name] for name in rows[0] if name not in key}
    together = statement.on_conflict_do_update(index_elements=list(key), set_=changed)
    connection.execute(together, [dict(row) for row in rows])
