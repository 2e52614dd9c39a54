"""People in the database.  Implements ``people_ports.People`` and ``PeopleBook``."""

from __future__ import annotations

import json
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
    literal,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from gateway.calls.people_ports import Block, BlockPage, ContactEntry, ContactPage, PeopleFacts
from gateway.errors import NotAllowed
from gateway.policy.age import day_began
from gateway.policy.identity import Identity
from gateway.policy.people import Claims, Person, Preferences
from gateway.policy.permission import FirstContact
from gateway.settings import AgeSection, PeopleSection
from gateway.store.database import Database
from gateway.store.rows import address_of
from gateway.store.schema import blocks, contacts, people, people_settings, strangers
from gateway.store.talk import talked_s
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
        """A few statements by key, of one state of the database."""
        of_both = _of([h for h in (caller.handle, callee.handle) if h is not None])
        ties = union_all(_ties(caller, callee), _ties(callee, caller))

        def read(connection: Connection) -> PeopleFacts:
            known = {row.handle: row for row in connection.execute(of_both)}
            tied = {(row.owner, row.kind) for row in connection.execute(ties)}
            one, other = (
                self._counted(connection, who, _person(who, known, tied), now)
                for who in (caller, callee)
            )
            return PeopleFacts(one, other, self._first_contact(connection, caller, callee, now))

        return await self._database.read(read)

    def _counted(self, connection: Connection, who: Identity, person: Person, now: float) -> Person:
        since = day_began(person, self._age, now)
        if since is None:
            return person
        return replace(person, talked_s=talked_s(connection, who, since, now))

    def _first_contact(
        self, connection: Connection, caller: Identity, callee: Identity, now: float
    ) -> tuple[object, ...]:
        if not self._settings.stranger_rings or callee.handle is None:
            return ()
        row = connection.execute(select(strangers).where(_between(caller, callee))).first()
        fresh = row is not None and now - row.last_at < self._settings.stranger_wait_s
        return (FirstContact(row.rings if row is not None and fresh else 0),)

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
                self._upsert(connection, people, kept, "handle")

        await self._database.write(note)

    async def preferences(self, handle: str) -> Preferences:
        return await self._database.read(lambda c: _preferences(c, handle))

    async def prefer(self, handle: str, changes: dict[str, object], now: float) -> Preferences:
        def change(connection: Connection) -> Preferences:
            before = _PREFERENCES.dump_python(_preferences(connection, handle))
            after = _PREFERENCES.validate_python({**before, **changes})
            text = _PREFERENCES.dump_json(after).decode()
            kept = {"handle": handle, "preferences": text, "changed_at": now}
            self._upsert(connection, people_settings, kept, "handle")
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
            self._upsert(connection, contacts, kept, "owner", "address")
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
        upsert = sqlite_insert if self._database.is_sqlite else postgresql_insert
        row = upsert(blocks).values(owner=owner, who=str(who), created_at=now)

        def put(connection: Connection) -> None:
            connection.execute(row.on_conflict_do_nothing())
            if _count(connection, blocks, owner) > most:
                raise NotAllowed(f"there are {most} blocks already; remove one first")

        await self._database.write(put)

    async def unblock(self, owner: str, who: Address) -> bool:
        gone = delete(blocks).where(blocks.c.owner == owner, blocks.c.who == str(who))
        return await self._database.write(lambda c: bool(c.execute(gone).rowcount))

    async def _rows(self, query: Select[Any]) -> list[Row[Any]]:
        return await self._database.read(lambda c: list(c.execute(query)))

    def _upsert(self, connection: Connection, table: Table, row: dict[str, Any], *key: str) -> None:
        upsert = sqlite_insert if self._database.is_sqlite else postgresql_insert
        statement = upsert(table).values(row)
        changed = {name: value for name, value in row.items() if name not in key}
        connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=changed))


def _between(caller: Identity, callee: Identity) -> ColumnElement[bool]:
    one, other = str(caller.person), str(callee.person)
    return and_(strangers.c.caller == one, strangers.c.callee == other)


def _of(handles: list[str]) -> Select[Any]:
    """Claims and preferences; either may be there without the other."""
    listed = union_all(
        select(people.c.handle).where(people.c.handle.in_(handles)),
        select(people_settings.c.handle).where(people_settings.c.handle.in_(handles)),
    ).subquery()
    return (
        select(
            listed.c.handle,
            people.c.region,
            people.c.groups,
            people.c.age,
            people.c.timezone,
            people_settings.c.preferences,
        )
        .select_from(listed)
        .outerjoin(people, people.c.handle == listed.c.handle)
        .outerjoin(people_settings, people_settings.c.handle == listed.c.handle)
    )


def _ties(one: Identity, other: Identity) -> Select[Any]:
    """How the one holds the other: a row for each of knows, favours, blocks."""
    theirs = [str(a) for a in other.addresses]
    mine = "" if one.handle is None else one.handle
    known = and_(contacts.c.owner == mine, contacts.c.address.in_(theirs))
    rows = union_all(
        select(contacts.c.owner, literal("knows").label("kind")).where(known),
        select(contacts.c.owner, literal("favours")).where(known, contacts.c.favourite),
        select(blocks.c.owner, literal("blocks")).where(
            blocks.c.owner == mine, blocks.c.who.in_(theirs)
        ),
    ).subquery()
    return select(rows.c.owner, rows.c.kind)


def _person(who: Identity, known: dict[str, Row[Any]], tied: set[tuple[str, str]]) -> Person:
    handle = who.handle
    if handle is None:
        return Person(who.person)
    row = known.get(handle)
    claims, preferences = Claims(), Preferences()
    if row is not None and row.groups is not None:
        claims = Claims(row.region, frozenset(json.loads(row.groups)), row.age, row.timezone)
    if row is not None and row.preferences is not None:
        preferences = _PREFERENCES.validate_json(row.preferences)
    return Person(
        who.person,
        claims,
        preferences,
        knows=(handle, "knows") in tied,
        favours=(handle, "favours") in tied,
        blocks=(handle, "blocks") in tied,
    )


def _preferences(connection: Connection, handle: str) -> Preferences:
    query = select(people_settings.c.preferences).where(people_settings.c.handle == handle)
    text = connection.execute(query).scalar()
    return Preferences() if text is None else _PREFERENCES.validate_json(text)


def _count(connection: Connection, table: Table, owner: str) -> int:
    query = select(func.count()).select_from(table).where(table.c.owner == owner)
    return int(connection.execute(query).scalar_one())
