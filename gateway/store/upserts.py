"""Insert or update, in the words of either database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table


def upsert(connection: Connection, table: Table, row: Mapping[str, Any], *key: str) -> None:
    """``key`` are the columns of the primary key, or of a unique index."""
    upsert_all(connection, table, [row], *key)


def upsert_all(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *key: str
) -> None:
    """All with the same columns, in one go."""
    if not rows:
        return
    statement = _statement(connection.dialect.name, table, tuple(rows[0]), key)
    connection.execute(statement, [dict(row) for row in rows])


@lru_cache(maxsize=128)
def _statement(dialect: str, table: Table, columns: tuple[str, ...], key: tuple[str, ...]) -> Any:
    """Made once: that takes longer than the database does."""
    statement = _insert(dialect, table)
    changed = {name: statement.excluded[name] for name in columns if name not in key}
    return statement.on_conflict_do_update(index_elements=list(key), set_=changed)


def _insert(dialect: str, table: Table) -> Any:
    """Each dialect is some megabytes: the one that is not used is not loaded."""
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite  # noqa: PLC0415

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415

    return postgresql.insert(table)
