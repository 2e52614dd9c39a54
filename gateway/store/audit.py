"""Who did what at the console.  Implements ``console_ports.AuditBook``."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, delete, insert, select, update

from gateway.calls.console_ports import Action, ActionPage
from gateway.store.database import Database
from gateway.store.schema import console_actions


class AuditStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def asked(
        self, at: float, who: str, role: str, source: str, action: str, target: str
    ) -> int:
        row = {
            "at": at,
            "who": who[:64],
            "role": role,
            "source": source[:64],
            "action": action,
            "target": target[:400],
            "outcome": "asked",
        }
        named = insert(console_actions).values(row).returning(console_actions.c.id)
        return int(await self._database.write(lambda c: c.execute(named).scalar_one()))

    async def came_of(self, action: int, outcome: str) -> None:
        named = update(console_actions).where(console_actions.c.id == action)
        changed = named.values(outcome=outcome[:200])
        await self._database.write(lambda c: c.execute(changed))

    async def actions(self, before: int | None, limit: int) -> ActionPage:
        query: Select[Any] = select(console_actions).order_by(console_actions.c.id.desc())
        if before is not None:
            query = query.where(console_actions.c.id < before)
        rows = await self._database.read(lambda c: list(c.execute(query.limit(limit + 1))))
        found = tuple(Action(**row._mapping) for row in rows[:limit])
        return ActionPage(found, found[-1].id if len(rows) > limit else None)

    async def forget(self, before: float) -> int:
        old = delete(console_actions).where(console_actions.c.at < before)
        return int(await self._database.write(lambda c: c.execute(old).rowcount))
