"""Ratings and reports of calls.  Implements ``Reviews`` and ``ReportQueue``."""

from __future__ import annotations

import json
import secrets
from typing import Any, Final, Literal

from sqlalchemy import (
    Connection,
    Row,
    Select,
    and_,
    delete,
    insert,
    literal,
    select,
    tuple_,
    update,
)

from gateway.calls.event_ports import EventKind
from gateway.calls.review_ports import Category, Rating, Report, ReportPage, ReportState
from gateway.errors import WrongState
from gateway.store import cursor
from gateway.store.database import Database
from gateway.store.outbox import Outbox
from gateway.store.rows import address_of
from gateway.store.schema import calls, ratings, reports
from gateway.values import CallId, Direction, UserAddress

LONGEST_COMMENT: Final = 4000
_UNFROZEN: Final = frozenset({"caller_hid", "callee_hid"})


class ReviewStore:
    """``outbox``, where there is one, tells the app's servers."""

    def __init__(self, database: Database, outbox: Outbox | None = None) -> None:
        self._database = database
        self._outbox = outbox

    async def rate(self, rating: Rating) -> Direction | None:
        row = {
            "call": rating.call,
            "by": str(rating.by),
            "score": rating.score,
            "tags": ",".join(rating.tags),
            "comment": rating.comment,
            "at": rating.at,
        }

        def keep(connection: Connection) -> Direction | None:
            call = _theirs(connection, rating.call, rating.by)
            if call is None:
                return None
            if call.ended_at is None:
                raise WrongState("call.feedback", "not ended")
            mine = and_(ratings.c.call == rating.call, ratings.c.by == str(rating.by))
            connection.execute(delete(ratings).where(mine))
            connection.execute(insert(ratings).values(row))
            return Direction(call.direction)

        return await self._database.write(keep)

    async def report(
        self, call: CallId, by: UserAddress, category: Category, comment: str, now: float
    ) -> Report | None:
        def keep(connection: Connection) -> Report | None:
            row = _theirs(connection, call, by)
            if row is None:
                return None
            earlier = connection.execute(
                select(reports).where(reports.c.call == call, reports.c.by == str(by))
            ).first()
            if earlier is not None:
                return _added(connection, earlier, comment)
            made = Report(
                id=f"r{secrets.token_hex(8)}",
                call=call,
                by=by,
                about=address_of(row.callee if row.caller == str(by) else row.caller),
                category=category,
                comment=comment,
                at=now,
                frozen=_frozen(row),
            )
            connection.execute(insert(reports).values(_row(made)))
            self._tell(connection, "report.created", made)
            return made

        return self._told(await self._database.write(keep))

    async def reports(
        self, state: ReportState | None, before: str | None, limit: int
    ) -> ReportPage:
        after = None
        if before is not None:
            after = cursor.read(before)
            if after is None:
                return ReportPage(())
        query: Select[Any] = select(reports)
        if state is not None:
            query = query.where(reports.c.state == state)
        if after is not None:
            key = tuple_(reports.c.at, reports.c.report)
            query = query.where(key < tuple_(literal(after[0]), literal(after[1])))
        query = query.order_by(reports.c.at.desc(), reports.c.report.desc()).limit(limit + 1)
        rows = await self._database.read(lambda c: list(c.execute(query)))
        found = tuple(_report(row) for row in rows[:limit])
        if len(rows) <= limit:
            return ReportPage(found)
        return ReportPage(found, cursor.write(found[-1].at, found[-1].id))

    async def report_of(self, report: str) -> Report | None:
        query = select(reports).where(reports.c.report == report)
        row = await self._database.read(lambda c: c.execute(query).first())
        return None if row is None else _report(row)

    async def settle(
        self, report: str, state: Literal["upheld", "dismissed"], note: str, now: float
    ) -> Report | None:
        def keep(connection: Connection) -> Report | None:
            named = reports.c.report == report
            changed = update(reports).where(named)
            connection.execute(changed.values(state=state, note=note, settled_at=now))
            row = connection.execute(select(reports).where(named)).first()
            if row is None:
                return None
            settled = _report(row)
            self._tell(connection, "report.settled", settled)
            return settled

        return self._told(await self._database.write(keep))

    def _tell(self, connection: Connection, kind: EventKind, report: Report) -> None:
        """In the transaction that keeps the report."""
        if self._outbox is not None and self._outbox.wanted:
            data = {k: v for k, v in _row(report).items() if k != "frozen"}
            self._outbox.put(connection, kind, report.call, data)

    def _told(self, report: Report | None) -> Report | None:
        if self._outbox is not None and report is not None:
            self._outbox.told()
        return report


def _theirs(connection: Connection, call: CallId, who: UserAddress) -> Row[Any] | None:
    row = connection.execute(select(calls).where(calls.c.call == call)).first()
    return row if row is not None and str(who) in (row.caller, row.callee) else None


def _frozen(row: Row[Any]) -> dict[str, Any]:
    return {name: value for name, value in row._mapping.items() if name not in _UNFROZEN}


def _added(connection: Connection, earlier: Row[Any], comment: str) -> Report:
    """What was said before stays, so that nobody can take it back."""
    said = "\n".join(part for part in (earlier.comment, comment) if part)[:LONGEST_COMMENT]
    named = reports.c.report == earlier.report
    connection.execute(update(reports).where(named).values(comment=said))
    return _report(connection.execute(select(reports).where(named)).one())


def _row(r: Report) -> dict[str, Any]:
    return {
        "report": r.id,
        "call": r.call,
        "by": str(r.by),
        "about": str(r.about),
        "category": r.category,
        "comment": r.comment,
        "at": r.at,
        "state": r.state,
        "settled_at": r.settled_at,
        "note": r.note,
        "frozen": json.dumps(r.frozen),
    }


def _report(row: Row[Any]) -> Report:
    return Report(
        id=row.report,
        call=CallId(row.call),
        by=address_of(row.by),
        about=address_of(row.about),
        category=row.category,
        comment=row.comment,
        at=row.at,
        state=row.state,
        settled_at=row.settled_at,
        note=row.note,
        frozen=json.loads(row.frozen),
    )
