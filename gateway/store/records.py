"""The records of all calls, for the app's servers.  Implements ``server_ports.RecordBook``."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Row, Select, literal, or_, select, tuple_

from gateway.calls.record import Acceptance, CallRecord, Change
from gateway.calls.server_ports import RecordFilter, RecordPage
from gateway.store import cursor
from gateway.store.database import Database
from gateway.store.rows import address_of
from gateway.store.schema import calls
from gateway.values import CallId, Direction, Party, Reason


class RecordStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def records(self, which: RecordFilter, before: str | None, limit: int) -> RecordPage:
        """Newest first; a ``before`` that is not ours gives an empty page."""
        after = None
        if before is not None:
            after = cursor.read(before)
            if after is None:
                return RecordPage(())
        query = _which(which)
        if after is not None:
            key = tuple_(calls.c.created_at, calls.c.call)
            query = query.where(key < tuple_(literal(after[0]), literal(after[1])))
        query = query.order_by(calls.c.created_at.desc(), calls.c.call.desc()).limit(limit + 1)
        rows = await self._database.read(lambda c: list(c.execute(query)))
        found = tuple(record_of(row) for row in rows[:limit])
        if len(rows) <= limit:
            return RecordPage(found)
        return RecordPage(found, cursor.write(found[-1].created_at, found[-1].call))

    async def record(self, call: CallId) -> CallRecord | None:
        query = select(calls).where(calls.c.call == call)
        row = await self._database.read(lambda c: c.execute(query).first())
        return None if row is None else record_of(row)


def _which(f: RecordFilter) -> Select[Any]:
    query: Select[Any] = select(calls)
    if f.party is not None:
        party = str(f.party)
        query = query.where(or_(calls.c.caller == party, calls.c.callee == party))
    if f.direction is not None:
        query = query.where(calls.c.direction == str(f.direction))
    if f.reason is not None:
        query = query.where(calls.c.reason == str(f.reason))
    if f.since is not None:
        query = query.where(calls.c.created_at >= f.since)
    if f.until is not None:
        query = query.where(calls.c.created_at < f.until)
    return query


def record_of(row: Row[Any]) -> CallRecord:
    return CallRecord(
        call=CallId(row.call),
        direction=Direction(row.direction),
        caller=address_of(row.caller),
        caller_name=row.caller_name,
        callee=address_of(row.callee),
        callee_name=row.callee_name,
        created_at=row.created_at,
        thread=row.thread,
        ringing_at=row.ringing_at,
        caller_accepted=_acceptance(row, "caller"),
        callee_accepted=_acceptance(row, "callee"),
        connected_at=row.connected_at,
        ended_at=row.ended_at,
        reason=None if row.reason is None else Reason(row.reason),
        ended_by=None if row.ended_by is None else Party(row.ended_by),
        caller_codec=row.caller_codec,
        callee_codec=row.callee_codec,
        per_minute=row.per_minute,
        per_call=row.per_call,
        verdict=row.verdict,
        group=None if row.group_call is None else CallId(row.group_call),
        changes=tuple(Change(**c) for c in json.loads(row.changes or "[]")),
    )


def _acceptance(row: Row[Any], side: str) -> Acceptance | None:
    at = row._mapping[f"{side}_accepted_at"]
    if at is None:
        return None
    means, by = row._mapping[f"{side}_accepted_means"], row._mapping[f"{side}_accepted_by"]
    return Acceptance(at, means, address_of(by))
