"""Who may not call at all.  Implements ``review_ports.Bans`` and ``people_ports.FactSource``."""

from __future__ import annotations

from typing import Any, Final

import structlog
from sqlalchemy import Select, delete, select

from gateway.calls.review_ports import Ban
from gateway.policy.identity import Identities, Identity
from gateway.policy.permission import Banned
from gateway.store.database import Database
from gateway.store.rows import address_of
from gateway.store.schema import bans
from gateway.store.upserts import upsert
from gateway.values import Address

log = structlog.get_logger()

MAX_LISTED: Final = 1000


class BanStore:
    """A ban is on a person, whatever they call with.

    They are few, and every call asks for them: they are in memory from ``load`` on.
    """

    def __init__(self, database: Database, identities: Identities) -> None:
        self._database = database
        self._identities = identities
        self._persons: frozenset[str] = frozenset()

    async def load(self) -> None:
        query = select(bans.c.person)
        rows = await self._database.read(lambda c: list(c.execute(query)))
        self._persons = frozenset(row.person for row in rows)

    async def part(self, caller: Identity, callee: Identity, now: float) -> object:
        return Banned(str(caller.person) in self._persons, str(callee.person) in self._persons)

    async def ban(self, address: Address, report: str, now: float) -> None:
        person = str(self._identities.person(address))
        row = {"person": person, "report": report, "since": now}
        await self._database.write(lambda c: upsert(c, bans, row, "person"))
        self._persons |= {person}
        log.warning("banned", person=person, report=report)

    async def bans(self, before: str | None, limit: int) -> tuple[Ban, ...]:
        query: Select[Any] = select(bans).order_by(bans.c.person)
        if before is not None:
            query = query.where(bans.c.person > before)
        query = query.limit(min(limit, MAX_LISTED))
        rows = await self._database.read(lambda c: list(c.execute(query)))
        return tuple(Ban(address_of(r.person), r.report, r.since) for r in rows)

    async def lift(self, address: Address) -> bool:
        person = str(self._identities.person(address))
        named = delete(bans).where(bans.c.person == person)
        lifted = bool(await self._database.write(lambda c: c.execute(named).rowcount))
        self._persons -= {person}
        if lifted:
            log.warning("ban_lifted", person=person)
        return lifted
