"""What people have used, in the database: a restart forgives nothing.

Implements ``limit_ports.Ledger`` and ``Holds``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import structlog
from sqlalchemy import Connection, Float, bindparam, delete, func, select

from gateway.calls.limit_ports import Hold, LimitMeters
from gateway.calls.people_ports import PeopleFacts
from gateway.policy.identity import Identity
from gateway.policy.limits import (
    DAY_S,
    HOUR_S,
    Bucket,
    Overflow,
    TelephoneCall,
    Usage,
    buckets,
    cost,
)
from gateway.routing.numbers import country_of
from gateway.settings import LimitsSection
from gateway.store.database import Database
from gateway.store.outbox import Outbox
from gateway.store.people import PeopleStore
from gateway.store.rows import address_of
from gateway.store.schema import calls, holds, limit_buckets
from gateway.store.upserts import upsert, upsert_all
from gateway.values import Address, TelAddress

log = structlog.get_logger()

KNOWN_S: Final = 30 * DAY_S
MAX_CALLS: Final = 2000
"""Telephone calls that are looked at; whoever makes more in a day meets other limits first."""
MAX_HOLDS: Final = 1000
_SWEEP_EVERY: Final = 500


class LimitStore:
    """``outbox``, where there is one, tells the app's servers of breaches."""

    def __init__(
        self,
        database: Database,
        limits: LimitsSection,
        meters: LimitMeters,
        people: PeopleStore,
        outbox: Outbox | None = None,
    ) -> None:
        self._people = people
        self._outbox = outbox
        self._database = database
        self._limits = limits
        self._meters = meters
        self._asked = 0

    # -- Ledger

    async def ask(
        self,
        caller: Identity,
        callee: Identity,
        source: str | None,
        now: float,
        members: Sequence[Identity] = (),
    ) -> tuple[Usage, tuple[PeopleFacts, ...]]:
        """One hop to one thread: two that run at once only wait for each other's turns."""
        wanted = buckets(self._limits, str(caller.person), str(callee.person), source)
        self._asked += 1
        sweep = self._asked % _SWEEP_EVERY == 0

        bounded = self._limits.talk_minutes_per_day is not None
        costly = any(isinstance(address, TelAddress) for address in callee.addresses)

        def known(connection: Connection) -> tuple[PeopleFacts, ...]:
            facts = self._people.facts_in
            return tuple(facts(connection, caller, who, now) for who in (callee, *members))

        if not wanted and not bounded and not costly:
            return Usage(), await self._database.read(known)

        def used(connection: Connection) -> Usage:
            if sweep:
                connection.execute(delete(limit_buckets).where(limit_buckets.c.at < now - HOUR_S))
            overflow = _take(connection, wanted, now)
            mine = [str(address) for address in caller.addresses]
            talk_s = _talk_s(connection, mine, now) if bounded else 0.0
            if not costly:  # only a telephone can cost anything
                return Usage(overflow, talk_s)
            telephone, known = _telephone(connection, mine, now)
            return Usage(
                overflow=overflow,
                talk_s=talk_s,
                telephone=telephone,
                known_countries=known,
                held_until=_held_until(connection, caller.person, now),
            )

        return await self._database.write(lambda c: (used(c), known(c)))

    # -- Holds

    async def hold(self, person: Address, rule: str, now: float) -> None:
        until = now + self._limits.telephone.hold_s
        row = {"person": str(person), "rule": rule, "since": now, "until": until}

        def keep(connection: Connection) -> None:
            upsert(connection, holds, row, "person")
            if self._outbox is not None and self._outbox.wanted:
                self._outbox.put(connection, "limit.breached", None, row)

        await self._database.write(keep)
        if self._outbox is not None:
            self._outbox.told()
        self._meters.breached(rule)
        log.warning("telephone_calls_held", person=str(person), rule=rule, until=until)

    async def holds(self, now: float) -> tuple[Hold, ...]:
        query = select(holds).where(holds.c.until > now).order_by(holds.c.since.desc())
        rows = await self._database.read(lambda c: list(c.execute(query.limit(MAX_HOLDS))))
        return tuple(Hold(address_of(r.person), r.rule, r.since, r.until) for r in rows)

    async def release(self, person: Address) -> bool:
        named = delete(holds).where(holds.c.person == str(person))
        return bool(await self._database.write(lambda c: c.execute(named).rowcount))


# made once: making a statement takes longer than the database does
_BUCKETS: Final = (
    select(limit_buckets)
    .where(limit_buckets.c.key.in_(bindparam("keys", expanding=True)))
    .with_for_update()
)
_TALK: Final = select(
    func.sum(func.coalesce(calls.c.ended_at, bindparam("now", type_=Float)) - calls.c.connected_at)
).where(
    calls.c.caller.in_(bindparam("mine", expanding=True)),
    calls.c.created_at > bindparam("since"),
    calls.c.connected_at.is_not(None),
)


def _take(connection: Connection, wanted: Sequence[Bucket], now: float) -> Overflow | None:
    """One from each, or none from any: what is refused costs nothing further."""
    if not wanted:
        return None
    keys = [b.key for b in wanted]
    rows = {row.key: row for row in connection.execute(_BUCKETS, {"keys": keys})}
    levels: dict[str, float] = {}
    for bucket in wanted:
        row = rows.get(bucket.key)
        levels[bucket.key] = 0.0 if row is None else bucket.level(row.level, row.at, now)
    full = [Overflow(b.rule, b.wait_s(levels[b.key])) for b in wanted]
    worst = max(full, key=lambda o: o.wait_s, default=None)
    if worst is not None and worst.wait_s > 0:
        return worst
    taken = [{"key": b.key, "level": levels[b.key] + 1, "at": now} for b in wanted]
    upsert_all(connection, limit_buckets, taken, "key")
    return None


def _talk_s(connection: Connection, mine: Sequence[str], now: float) -> float:
    """Of calls made within a day, those that last up to now included."""
    asked = {"mine": mine, "now": now, "since": now - DAY_S}
    return max(0.0, float(connection.execute(_TALK, asked).scalar() or 0.0))


def _telephone(
    connection: Connection, mine: Sequence[str], now: float
) -> tuple[tuple[TelephoneCall, ...], frozenset[str]]:
    made = (calls.c.caller.in_(mine), calls.c.callee.like("tel:%"))
    newest = (
        select(calls)
        .where(*made, calls.c.created_at > now - DAY_S)
        .order_by(calls.c.created_at.desc())
        .limit(MAX_CALLS)
    )
    recent = tuple(_call(row, now) for row in connection.execute(newest))
    if not recent:
        return (), frozenset()  # whatever is dialled now is the day's first
    earlier = (
        select(calls.c.callee)
        .where(*made, calls.c.created_at.between(now - KNOWN_S, now - DAY_S))
        .distinct()
        .limit(MAX_CALLS)
    )
    numbers = [str(row.callee).removeprefix("tel:") for row in connection.execute(earlier)]
    return recent, frozenset(c for c in map(country_of, numbers) if c is not None)


def _call(row: Any, now: float) -> TelephoneCall:
    number = str(row.callee).removeprefix("tel:")
    talk_s = None
    if row.connected_at is not None:
        talk_s = max(0.0, (now if row.ended_at is None else row.ended_at) - row.connected_at)
    price = cost(talk_s, row.per_minute or 0.0, row.per_call or 0.0)
    return TelephoneCall(number, country_of(number), row.created_at, talk_s, price)


def _held_until(connection: Connection, person: Address, now: float) -> float | None:
    query = select(holds.c.until).where(holds.c.person == str(person), holds.c.until > now)
    found = connection.execute(query).scalar()
    return None if found is None else float(found)
