"""A person's own data: all of it as they may have it, and what is left when they are erased.

Calls and reports are other people's data too: they stay, with a pseudonym that only the database's
own key could tell the person of.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, delete, insert, or_, select, update

from gateway.policy.identity import Identity
from gateway.store.schema import (
    blocks,
    calls,
    contacts,
    keys,
    pass_uses,
    passes,
    people,
    people_settings,
    pins,
    ratings,
    reports,
    strangers,
)

_KEY: Final = "erasure"
_HIDDEN: Final = frozenset(
    {"digest", "held_until", "caller_hid", "callee_hid", "frozen", "changes"}
)
"""What is the gateway's own business or another's: a PIN's digest, a whisper."""
_TIMES_OF_OTHERS: Final = frozenset({"verdict", "per_minute", "per_call"})


def export(connection: Connection, who: Identity, handle: str) -> dict[str, Any]:
    """By kind of data: rows as JSON would have them, oldest first where they have a time."""
    mine = [str(address) for address in who.addresses]

    def rows(table: Table, where: ColumnElement[bool], *order: Any) -> list[dict[str, Any]]:
        found = connection.execute(select(table).where(where).order_by(*order))
        return [
            {k: v for k, v in row._mapping.items() if k not in _HIDDEN and v is not None}
            for row in found
        ]

    took_part = or_(calls.c.caller.in_(mine), calls.c.callee.in_(mine))
    made = rows(calls, took_part, calls.c.created_at, calls.c.call)
    settings = rows(people_settings, people_settings.c.handle == handle)
    return {
        "person": str(who.person),
        "addresses": mine,
        "token": rows(people, people.c.handle == handle),
        "settings": [json.loads(row["preferences"]) for row in settings],
        "contacts": rows(contacts, contacts.c.owner == handle, contacts.c.address),
        "blocks": rows(blocks, blocks.c.owner == handle, blocks.c.who),
        "calls": [_as_seen(row, mine) for row in made],
        "ratings": rows(ratings, ratings.c.by.in_(mine), ratings.c.at),
        "reports": rows(reports, reports.c.by.in_(mine), reports.c.at),
        "pins": rows(pins, pins.c.owner == handle, pins.c.created_at),
        "passes_granted": rows(passes, passes.c.creator == handle, passes.c.created_at),
        "passes_held": rows(passes, passes.c.follower == handle, passes.c.created_at),
    }


def _as_seen(row: dict[str, Any], mine: Sequence[str]) -> dict[str, Any]:
    """What rules said of a call is its caller's to know, where it was theirs."""
    if row["caller"] in mine:
        return row
    return {k: v for k, v in row.items() if k not in _TIMES_OF_OTHERS}


def erase(connection: Connection, who: Identity, handle: str) -> dict[str, int]:
    """How many rows of each table were deleted, or given the pseudonym."""
    mine = [str(address) for address in who.addresses]
    alias = f"user:erased-{_pseudonym(connection, handle)}"
    done: dict[str, int] = {}

    def count(table: Table, rows: int) -> None:
        done[table.name] = done.get(table.name, 0) + rows

    for table, where in (
        (people, people.c.handle == handle),
        (people_settings, people_settings.c.handle == handle),
        (contacts, contacts.c.owner == handle),
        # whoever kept them as a contact has a name of theirs
        (contacts, contacts.c.address.in_(mine)),
        (blocks, blocks.c.owner == handle),
        (pass_uses, pass_uses.c.pass_id.in_(_passes_of(handle))),
        (passes, passes.c.pass_id.in_(_passes_of(handle))),
        (pins, pins.c.owner == handle),
        (strangers, or_(strangers.c.caller.in_(mine), strangers.c.callee.in_(mine))),
    ):
        count(table, connection.execute(delete(table).where(where)).rowcount)
    for side in ("caller", "callee"):
        taken = update(calls).where(calls.c[side].in_(mine))
        values = {side: alias, f"{side}_name": "", "thread": None}
        count(calls, connection.execute(taken.values(values)).rowcount)
        by = f"{side}_accepted_by"
        connection.execute(update(calls).where(calls.c[by].in_(mine)).values({by: alias}))
    rated = update(ratings).where(ratings.c.by.in_(mine))
    count(ratings, connection.execute(rated.values(by=alias, comment="")).rowcount)
    _in_reports(connection, mine, alias)
    for column in ("by", "about"):
        told = update(reports).where(reports.c[column].in_(mine))
        count(reports, connection.execute(told.values({column: alias})).rowcount)
    return done


def _passes_of(handle: str) -> Any:
    return select(passes.c.pass_id).where(
        or_(passes.c.creator == handle, passes.c.follower == handle)
    )


def _in_reports(connection: Connection, mine: Sequence[str], alias: str) -> None:
    named = or_(reports.c.by.in_(mine), reports.c.about.in_(mine))
    for row in list(connection.execute(select(reports).where(named))):
        frozen = json.loads(row.frozen)
        for side in ("caller", "callee"):
            if frozen.get(side) in mine:
                frozen |= {side: alias, f"{side}_name": ""}
            if frozen.get(f"{side}_accepted_by") in mine:
                frozen[f"{side}_accepted_by"] = alias
        changed = update(reports).where(reports.c.report == row.report)
        connection.execute(changed.values(frozen=json.dumps(frozen)))


def _pseudonym(connection: Connection, handle: str) -> str:
    """The same for the same person, whenever they are erased."""
    value = connection.execute(select(keys.c.value).where(keys.c.name == _KEY)).scalar()
    if value is None:
        value = secrets.token_hex(32)
        connection.execute(insert(keys).values(name=_KEY, value=value))
    return hmac.digest(bytes.fromhex(value), handle.encode(), "sha256").hex()[:16]


def forget_old_calls(connection: Connection, before: float, most: int) -> int:
    """Records of calls that were begun before, and what was said of them; at most so many."""
    old = select(calls.c.call).where(calls.c.created_at < before, calls.c.ended_at.is_not(None))
    batch = [row.call for row in connection.execute(old.order_by(calls.c.created_at).limit(most))]
    connection.execute(delete(ratings).where(ratings.c.call.in_(batch)))
    return int(connection.execute(delete(calls).where(calls.c.call.in_(batch))).rowcount)


def forget_old_reports(connection: Connection, before: float) -> int:
    """Those that were settled before; open ones stay."""
    old = delete(reports).where(reports.c.settled_at < before, reports.c.state != "open")
    return int(connection.execute(old).rowcount)
