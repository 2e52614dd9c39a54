"""People in the database.  Implements ``people_ports.People`` and ``PeopleBook``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from pydantic import TypeAdapter
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from gateway.calls.people_ports import Block, BlockPage, ContactEntry, ContactPage, PeopleFacts
from gateway.errors import NotAllowed
from gateway.policy.age import day_began
from gateway.policy.identity import Identity
from gateway.policy.people import Claims, Person, Preferences
from gateway.policy.permission import FirstContact
from gateway.settings import AgeSection, PeopleSection
from gateway.store.database import Database
from gateway.store.listed import Listed
from gateway.store.rows import address_of
from gateway.store.schema import blocks, contacts, people, people_settings, strangers
from gateway.store.talk import talked_s
from gateway.store.upserts import upsert
from gateway.values import Address, Principal

_PREFERENCES: Final = TypeAdapter(Preferences)
_SEEN_EVERY_S: Final = 86_400.0
"""How exactly it is kept when somebody was last seen, where nothing else has changed."""


class PeopleStore:
    def __init__(self, database: Database, settings: PeopleSection, age: AgeSection) -> None:
        self._database = database
        self._settings = settings
        self._age = age

    # -- People

    async def facts(self, caller: Identity, callee: Identity, now: float) -> PeopleFacts:
        return await self._database.read(lambda c: self.facts_in(c, caller, callee, now))

    def facts_in(
        self, connection: Connection, caller: Identity, callee: Identity, now: float
    ) -> PeopleFacts:
        """One statement, and one more for each of the two whose talk of the day is bounded."""
        asked = {
            "caller": caller.handle or "",
            "callee": callee.handle or "",
            "caller_person": str(caller.person),
            "callee_person": str(callee.person),
        }
        lists = {
            "of_caller": [str(a) for a in caller.addresses],
            "of_callee": [str(a) for a in callee.addresses],
        }
        found = _Found(connection.execute(*_FACTS.of(asked, **lists)))
        one, other = (
            self._counted(connection, who, found.person(who), now) for who in (caller, callee)
        )
        return PeopleFacts(one, other, self._first_contact(found, callee, now))

    def _counted(self, connection: Connection, who: Identity, person: Person, now: float) -> Person:
        since = day_began(person, self._age, now)
        if since is None:
            return person
        return replace(person, talked_s=talked_s(connection, who, since, now))

    def _first_contact(self, found: _Found, callee: Identity, now: float) -> tuple[object, ...]:
        if not self._settings.stranger_rings or callee.handle is None:
            return ()
        rings, last_at = found.stranger
        fresh = now - last_at < self._settings.stranger_wait_s
        return (FirstContact(rings if fresh else 0),)

    async def rang(self, caller: Identity, callee: Identity, now: float) -> None:
        wait_s = self._settings.stranger_wait_s
        fresh = strangers.c.last_at > now - wait_s
        again = (
            update(strangers)
            .where(_between(caller, callee), fresh)
            .values(rings=strangers.c.rings + 1, last_at=now)
        )
        first = insert(strangers).values(
            caller=str(caller.person), callee=str(callee.person), rings=1, last_at=now
        )

        def note(connection: Connection) -> None:
            if not connection.execute(again).rowcount:
                connection.execute(delete(strangers).where(~fresh))
                connection.execute(first)

        await self._database.write(note)

    async def answered(self, caller: Identity, callee: Identity) -> None:
        gone = delete(strangers).where(or_(_between(caller, callee), _between(callee, caller)))
        await self._database.write(lambda c: c.execute(gone).rowcount)

    # -- PeopleBook

    async def seen(self, principal: Principal, now: float) -> None:
        claims = {
            "region": principal.region,
            "groups": json.dumps(sorted(principal.groups)),
            "age": principal.age,
            "timezone": principal.timezone,
        }

        def note(connection: Connection) -> None:
            query = select(people).where(people.c.handle == principal.handle)
            row = connection.execute(query).first()
            same = row is not None and all(getattr(row, k) == v for k, v in claims.items())
            if not same or row is None or now - row.seen_at > _SEEN_EVERY_S:
                kept = {"handle": principal.handle, "seen_at": now, **claims}
                upsert(connection, people, kept, "handle")

        await self._database.write(note)

    async def preferences(self, handle: str) -> Preferences:
        return await self._database.read(lambda c: _preferences(c, handle))

    async def prefer(self, handle: str, changes: dict[str, object], now: float) -> Preferences:
        def change(connection: Connection) -> Preferences:
            before = _PREFERENCES.dump_python(_preferences(connection, handle))
            after = _PREFERENCES.validate_python({**before, **changes})
            text = _PREFERENCES.dump_json(after).decode()
            kept = {"handle": handle, "preferences": text, "changed_at": now}
            upsert(connection, people_settings, kept, "handle")
            return after

        return await self._database.write(change)

    async def contacts(self, owner: str, after: str | None, limit: int) -> ContactPage:
        query = select(contacts).where(contacts.c.owner == owner)
        if after is not None:
            query = query.where(contacts.c.address > after)
        rows = await self._rows(query.order_by(contacts.c.address).limit(limit + 1))
        found = tuple(ContactEntry(address_of(r.address), r.name, r.favourite) for r in rows)
        more = rows[limit - 1].address if len(rows) > limit else None
        return ContactPage(more, found[:limit])

    async def put_contact(
        self, owner: str, address: Address, name: str, favourite: bool, now: float
    ) -> None:
        most = self._settings.contacts_per_user
        kept = {
            "owner": owner,
            "address": str(address),
            "name": name,
            "favourite": favourite,
            "changed_at": now,
        }

        def put(connection: Connection) -> None:
            upsert(connection, contacts, kept, "owner", "address")
            if _count(connection, contacts, owner) > most:
                raise NotAllowed(f"there are {most} contacts already; remove one first")

        await self._database.write(put)

    async def remove_contact(self, owner: str, address: Address) -> bool:
        gone = delete(contacts).where(contacts.c.owner == owner, contacts.c.address == str(address))
        return await self._database.write(lambda c: bool(c.execute(gone).rowcount))

    async def blocks(self, owner: str, after: str | None, limit: int) -> BlockPage:
        query = select(blocks).where(blocks.c.owner == owner)
        if after is not None:
            query = query.where(blocks.c.who > after)
        rows = await self._rows(query.order_by(blocks.c.who).limit(limit + 1))
        found = tuple(Block(address_of(r.who), r.created_at) for r in rows)
        return BlockPage(rows[limit - 1].who if len(rows) > limit else None, found[:limit])

    async def block(self, owner: str, who: Address, now: float) -> None:
        most = self._settings.blocks_per_user
        made = {"owner": owner, "who": str(who), "created_at": now}
        there = select(blocks.c.who).where(blocks.c.owner == owner, blocks.c.who == str(who))

        def put(connection: Connection) -> None:
            if connection.execute(there).first() is not None:
                return
            connection.execute(insert(blocks).values(made))
            if _count(connection, blocks, owner) > most:
                raise NotAllowed(f"there are {most} blocks already; remove one first")

        await self._database.write(put)

    async def unblock(self, owner: str, who: Address) -> bool:
        gone = delete(blocks).where(blocks.c.owner == owner, blocks.c.who == str(who))
        return await self._database.write(lambda c: bool(c.execute(gone).rowcount))

    async def _rows(self, query: Select[Any]) -> list[Row[Any]]:
        return await self._database.read(lambda c: list(c.execute(query)))


def _between(caller: Identity, callee: Identity) -> ColumnElement[bool]:
    one, other = str(caller.person), str(callee.person)
    return and_(strangers.c.caller == one, strangers.c.callee == other)


_FACTS: Final = Listed(
    # written out: what makes a statement of parts takes longer than the database does
    """
    SELECT 'claims' AS kind, handle AS owner, region AS a, groups AS b, age AS c, timezone AS d,
        0 AS times, 0.0 AS last_at
    FROM people WHERE handle IN (:caller, :callee)
    UNION ALL SELECT 'preferences', handle, preferences, NULL, NULL, NULL, 0, 0.0
    FROM people_settings WHERE handle IN (:caller, :callee)
    UNION ALL SELECT 'knows', owner, NULL, NULL, NULL, NULL, CAST(favourite AS INTEGER), 0.0
    FROM contacts WHERE owner = :caller AND address IN :of_callee
    UNION ALL SELECT 'knows', owner, NULL, NULL, NULL, NULL, CAST(favourite AS INTEGER), 0.0
    FROM contacts WHERE owner = :callee AND address IN :of_caller
    UNION ALL SELECT 'blocks', owner, NULL, NULL, NULL, NULL, 0, 0.0
    FROM blocks WHERE owner = :caller AND who IN :of_callee
    UNION ALL SELECT 'blocks', owner, NULL, NULL, NULL, NULL, 0, 0.0
    FROM blocks WHERE owner = :callee AND who IN :of_caller
    UNION ALL SELECT 'stranger', caller, NULL, NULL, NULL, NULL, rings, last_at
    FROM strangers WHERE caller = :caller_person AND callee = :callee_person
    """
)


class _Found:
    """Rows of ``_FACTS`` by kind and owner."""

    def __init__(self, rows: Iterable[Row[Any]]) -> None:
        self._claims: dict[str, Claims] = {}
        self._preferences: dict[str, Preferences] = {}
        self._ties: set[tuple[str, str]] = set()
        self.stranger = (0, 0.0)
        """How often the caller rang, and when last."""
        for row in rows:
            match row.kind:
                case "claims":
                    groups = frozenset(json.loads(row.b))
                    self._claims[row.owner] = Claims(row.a, groups, row.c, row.d)
                case "preferences":
                    self._preferences[row.owner] = _PREFERENCES.validate_json(row.a)
                case "stranger":
                    self.stranger = (row.times, row.last_at)
                case kind:
                    self._ties.add((kind, row.owner))
                    if row.times:
                        self._ties.add(("favours", row.owner))

    def person(self, who: Identity) -> Person:
        handle = who.handle
        if handle is None:
            return Person(who.person)
        return Person(
            who.person,
            self._claims.get(handle, Claims()),
            self._preferences.get(handle, Preferences()),
            knows=("knows", handle) in self._ties,
            favours=("favours", handle) in self._ties,
            blocks=("blocks", handle) in self._ties,
        )


def _preferences(connection: Connection, handle: str) -> Preferences:
    query = select(people_settings.c.preferences).where(people_settings.c.handle == handle)
    text = connection.execute(query).scalar()
    return Preferences() if text is None else _PREFERENCES.validate_json(text)


def _count(connection: Connection, table: Table, owner: str) -> int:
    query = select(func.count()).select_from(table).where(table.c.owner == owner)
    return int(connection.execute(query).scalar_one())
