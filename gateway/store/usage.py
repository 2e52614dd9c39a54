"""What the product's owner asks of all calls together: how far they came, and who comes again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Float, Integer, case, cast, func, select

from gateway.policy.rules import SILENT
from gateway.store.database import Database
from gateway.store.schema import calls, ratings
from gateway.values import Direction, Reason

DAY_S: Final = 86_400
WEEK_S: Final = 7 * DAY_S
MAX_DAYS: Final = 366


@dataclass(frozen=True, slots=True)
class Callers:
    """People with a connected call of this direction; ``again``: with more than one."""

    direction: Direction
    all: int
    again: int


@dataclass(frozen=True, slots=True)
class DayOfCalls:
    """Calls of one direction that were begun on one day (UTC, its first second)."""

    day: int
    direction: Direction
    invited: int
    seen: int
    accepted: int
    connected: int
    talk_s: float
    """Of all connected calls that have ended."""
    ratings: int
    score_sum: int


def _rang() -> ColumnElement[bool]:
    """Not what its caller alone heard ring."""
    silent = func.coalesce(calls.c.verdict, "").in_(sorted(SILENT))
    return calls.c.ringing_at.is_not(None) & ~silent


class UsageStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def callers(self, since: float) -> tuple[Callers, ...]:
        """Of calls begun since then."""
        each = (
            select(calls.c.direction, calls.c.caller, func.count().label("times"))
            .where(calls.c.created_at >= since, calls.c.connected_at.is_not(None))
            .group_by(calls.c.direction, calls.c.caller)
            .subquery()
        )
        again = func.sum(case((each.c.times > 1, 1), else_=0))
        query = select(each.c.direction, func.count(), again).group_by(each.c.direction)
        rows = await self._database.read(lambda c: list(c.execute(query)))
        found = {row[0]: (int(row[1]), int(row[2])) for row in rows}
        return tuple(Callers(d, *found.get(str(d), (0, 0))) for d in Direction)

    async def days(self, since: float, until: float) -> tuple[DayOfCalls, ...]:
        """Oldest first; at most ``MAX_DAYS`` back from ``until``."""
        since = max(since, until - MAX_DAYS * DAY_S)
        days = calls.c.created_at / DAY_S
        # SQLite cuts where PostgreSQL rounds, and may have no floor()
        whole = days if self._database.is_sqlite else func.floor(days)
        day = cast(whole, Integer).label("day")
        talk = case(
            (
                calls.c.connected_at.is_not(None) & calls.c.ended_at.is_not(None),
                calls.c.ended_at - calls.c.connected_at,
            ),
            else_=0.0,
        )
        scores = (
            select(
                ratings.c.call,
                func.count().label("count"),
                func.sum(ratings.c.score).label("sum"),
            )
            .group_by(ratings.c.call)
            .subquery()
        )
        query = (
            select(
                day,
                calls.c.direction,
                func.count(),
                func.count(case((_rang(), 1))),
                func.count(calls.c.callee_accepted_at),
                func.count(calls.c.connected_at),
                cast(func.sum(talk), Float),
                func.coalesce(func.sum(scores.c.count), 0),
                func.coalesce(func.sum(scores.c.sum), 0),
            )
            .select_from(calls.outerjoin(scores, scores.c.call == calls.c.call))
            .where(calls.c.created_at >= since, calls.c.created_at < until)
            .group_by(day, calls.c.direction)
            .order_by(day, calls.c.direction)
        )
        rows: list[Any] = await self._database.read(lambda c: list(c.execute(query)))
        return tuple(
            DayOfCalls(
                day=int(r[0]) * DAY_S,
                direction=Direction(r[1]),
                invited=r[2],
                seen=r[3],
                accepted=r[4],
                connected=r[5],
                talk_s=float(r[6] or 0.0),
                ratings=int(r[7]),
                score_sum=int(r[8]),
            )
            for r in rows
        )

    async def reasons(self, since: float, until: float) -> dict[tuple[Direction, Reason], int]:
        """How the calls begun within that time ended."""
        query = (
            select(calls.c.direction, calls.c.reason, func.count())
            .where(
                calls.c.created_at >= max(since, until - MAX_DAYS * DAY_S),
                calls.c.created_at < until,
                calls.c.reason.is_not(None),
            )
            .group_by(calls.c.direction, calls.c.reason)
        )
        rows = await self._database.read(lambda c: list(c.execute(query)))
        return {(Direction(r[0]), Reason(r[1])): int(r[2]) for r in rows}
