"""Insert or update, in the words of either database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert


def upsert(connection: Connection, table: Table, row: Mapping[str, Any], *key: str) -> None:
    """``key`` are the columns of the primary key, or of a unique index."""
    insert = sqlite_insert if connection.dialect.name == "sqlite" else postgresql_insert
    changed = {name: value for name, value in row.items() if name not in key}
    statement = insert(table).values(dict(row))
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=changed))
