"""Revoked tokens.  Implements ``revocation_ports.RevocationBook``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import delete, select

from gateway.calls.revocation_ports import Revocation, RevocationPage
from gateway.store.database import Database
from gateway.store.schema import revocations
from gateway.store.upserts import upsert

MAX_LISTED: Final = 1000


class RevocationStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, now: float) -> tuple[Revocation, ...]:
        query = select(revocations).where(revocations.c.expires_at > now)
        rows = await self._database.read(lambda c: list(c.execute(query)))
        return tuple(_of(row) for row in rows)

    async def keep(self, revocation: Revocation) -> None:
        row = asdict(revocation)
        await self._database.write(lambda c: upsert(c, revocations, row, "id"))

    async def forget(self, id_: str) -> None:
        gone = delete(revocations).where(revocations.c.id == id_)
        await self._database.write(lambda c: c.execute(gone))

    async def forget_expired(self, now: float) -> None:
        gone = delete(revocations).where(revocations.c.expires_at <= now)
        await self._database.write(lambda c: c.execute(gone))

    async def page(self, now: float, after: str | None, limit: int) -> RevocationPage:
        """By id."""
        most = min(limit, MAX_LISTED)
        query = select(revocations).where(revocations.c.expires_at > now)
        if after is not None:
            query = query.where(revocations.c.id > after)
        query = query.order_by(revocations.c.id).limit(most + 1)
        rows = await self._database.read(lambda c: list(c.execute(query)))
        more = rows[most - 1].id if len(rows) > most else None
        return RevocationPage(tuple(_of(row) for row in rows[:most]), more)


def _of(row: Any) -> Revocation:
    return Revocation(**row._mapping)
