"""Call records and the history made of them.  Implements ``ports.CallRecords`` and ``History``."""

from __future__ import annotations

import base64
import json
from typing import Any

from sqlalchemy import Connection, Row, and_, literal, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from gateway.calls.record import Acceptance, CallRecord, HistoryItem, HistoryPage
from gateway.store.database import Database
from gateway.store.schema import calls
from gateway.values import Address, CallId, Party, Reason, UserAddress, parse_address

_NOT_MISSED = (Reason.DECLINED, Reason.BUSY, Reason.ANSWERED_ELSEWHERE)


class CallStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, record: CallRecord) -> None:
        """Insert or update; durable when it returns."""
        row = _row(record)
        insert = sqlite_insert if self._database.is_sqlite else postgresql_insert

        def upsert(connection: Connection) -> None:
            statement = insert(calls).values(row)
            changed = {name: value for name, value in row.items() if name != "call"}
            connection.execute(
                statement.on_conflict_do_update(index_elements=["call"], set_=changed)
            )

        await self._database.write(upsert)

    async def close_left_open(self, now: float) -> int:
        """Records that a crash left open end now, with ``gateway_error``; how many there were."""
        closing = (
            update(calls)
            .where(calls.c.ended_at.is_(None))
            .values(ended_at=now, reason=Reason.GATEWAY_ERROR, ended_by=Party.GATEWAY)
        )
        return await self._database.write(lambda c: int(c.execute(closing).rowcount))

    async def list(
        self,
        user: UserAddress,
        before: str | None,
        limit: int,
        with_: Address | None,
        missed: bool | None,
    ) -> HistoryPage:
        """Newest first; a ``before`` that is not ours gives an empty page."""
        at = _read_cursor(before) if before is not None else None
        if before is not None and at is None:
            return HistoryPage(())
        me = str(user)
        query = select(calls).where(_part_of(me, with_))
        if at is not None:
            query = query.where(
                tuple_(calls.c.created_at, calls.c.call) < tuple_(*map(literal, at))
            )
        if missed is not None:
            was_missed = and_(
                calls.c.callee == me,
                calls.c.connected_at.is_(None),
                calls.c.callee_accepted_at.is_(None),
                calls.c.ended_at.is_not(None),
                calls.c.reason.not_in(_NOT_MISSED),
            )
            query = query.where(was_missed if missed else ~was_missed)
        query = query.order_by(calls.c.created_at.desc(), calls.c.call.desc()).limit(limit + 1)
        rows = await self._database.read(lambda c: list(c.execute(query)))
        items = tuple(_item(row, me) for row in rows[:limit])
        more = _cursor(rows[limit - 1]) if len(rows) > limit else None
        return HistoryPage(items, more)


def _part_of(me: str, with_: Address | None) -> Any:
    if with_ is None:
        return or_(calls.c.caller == me, calls.c.callee == me)
    other = str(with_)
    return or_(
        and_(calls.c.caller == me, calls.c.callee == other),
        and_(calls.c.caller == other, calls.c.callee == me),
    )


def _row(r: CallRecord) -> dict[str, Any]:
    row: dict[str, Any] = {
        "call": r.call,
        "direction": str(r.direction),
        "caller": str(r.caller),
        "caller_name": r.caller_name[:200],
        "callee": str(r.callee),
        "callee_name": r.callee_name[:200],
        "thread": r.thread,
        "created_at": r.created_at,
        "ringing_at": r.ringing_at,
        "connected_at": r.connected_at,
        "ended_at": r.ended_at,
        "reason": None if r.reason is None else str(r.reason),
        "ended_by": None if r.ended_by is None else str(r.ended_by),
        "caller_codec": r.caller_codec,
        "callee_codec": r.callee_codec,
    }
    return row | _acceptance("caller", r.caller_accepted) | _acceptance("callee", r.callee_accepted)


def _acceptance(side: str, a: Acceptance | None) -> dict[str, Any]:
    return {
        f"{side}_accepted_at": None if a is None else a.at,
        f"{side}_accepted_means": None if a is None else a.means,
        f"{side}_accepted_by": None if a is None else str(a.by),
    }


def _item(row: Row[Any], me: str) -> HistoryItem:
    out = row.caller == me
    missed = (
        not out
        and row.ended_at is not None
        and row.connected_at is None
        and row.callee_accepted_at is None
        and row.reason not in _NOT_MISSED
    )
    talked = row.connected_at is not None and row.ended_at is not None
    return HistoryItem(
        call=CallId(row.call),
        direction="out" if out else "in",
        with_=parse_address(row.callee if out else row.caller),
        with_name=row.callee_name if out else row.caller_name,
        at=row.created_at,
        thread=row.thread,
        connected_at=row.connected_at,
        reason=None if row.reason is None else Reason(row.reason),
        missed=missed,
        duration_s=max(0.0, row.ended_at - row.connected_at) if talked else 0.0,
    )


def _cursor(row: Row[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps([row.created_at, row.call]).encode()).decode()


def _read_cursor(text: str) -> tuple[float, str] | None:
    try:
        at, call = json.loads(base64.urlsafe_b64decode(text.encode("ascii")))
        return float(at), str(call)
    except (ValueError, TypeError):
        return None
