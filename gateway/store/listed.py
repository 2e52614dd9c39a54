"""Statements that are written out, with lists of a few values in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import TextClause, text


class Listed:
    """``IN :name`` takes a list.  A statement is made once for each length of its lists, which are
    few: SQLAlchemy's expanding parameters are written anew each time, and take longer than the
    database does.
    """

    def __init__(self, sql: str) -> None:
        self._sql = sql
        self._made = lru_cache(maxsize=64)(self._make)

    def of(
        self, asked: Mapping[str, Any], **lists: Sequence[str]
    ) -> tuple[TextClause, dict[str, Any]]:
        """What to execute."""
        values = dict(asked)
        for name, of in lists.items():
            values |= {f"{name}_{n}": value for n, value in enumerate(of)}
        return self._made(*((name, len(of)) for name, of in lists.items())), values

    def _make(self, *sizes: tuple[str, int]) -> TextClause:
        made = self._sql
        for name, size in sizes:
            slots = ", ".join(f":{name}_{n}" for n in range(size)) or "NULL"
            made = re.sub(rf"IN :{name}\b", f"IN ({slots})", made)
        return text(made)
