"""How calls fare, for the product's owner and for those who keep people safe.

Implements ``console_ports.ProductBook`` and ``SafetyBook``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, Integer, Row, case, cast, func, select

from gateway.calls.console_ports import Blocked, Count, Product
from gateway.store.database import Database
from gateway.store.schema import blocks, calls, ratings
from gateway.store.usage import DAY_S

TALK_S: Final = 10.0
BOUNDS: Final = (10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0)
MOST_TAGGED: Final = 20_000


class ProductStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def product(self, since: float, until: float) -> Product:
        """One pass over the calls of that time, on a reader's thread."""
        return await self._database.read(lambda c: _product(c, since, until))

    async def most_blocked(self, most: int) -> tuple[Blocked, ...]:
        by = func.count().label("n")
        query = select(blocks.c.who, by).group_by(blocks.c.who).order_by(by.desc(), blocks.c.who)
        rows = await self._database.read(lambda c: list(c.execute(query.limit(most))))
        return tuple(Blocked(row.who, row.n) for row in rows)


def _product(connection: Connection, since: float, until: float) -> Product:
    rows = _by_day(connection, since, until)
    funnel, reasons = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
    days: dict[tuple[str, ...], list[float]] = defaultdict(lambda: [0, 0.0])
    lengths = Counter[tuple[str, ...]]()
    for row in rows:
        for step in ("invited", "seen", "accepted", "connected", "talked"):
            funnel[row.direction, step] += row._mapping[step]
        reasons[row.direction, row.reason or "going on"] += row.invited
        day = datetime.fromtimestamp(row.day * DAY_S, UTC).date().isoformat()
        days[day, row.direction][0] += row.invited
        days[day, row.direction][1] += row.seconds or 0.0
        below = 0
        for bound in BOUNDS:
            upto = row._mapping[_name(bound)]
            lengths[f"{bound:g}",] += upto - below
            below = upto
        lengths["",] += row.ended - below
    scores, tags = _opinions(connection, since, until)
    return Product(
        since=since,
        until=until,
        funnel=_counts(funnel),
        reasons=_counts(reasons),
        days=tuple(Count(what, int(n), round(s, 1)) for what, (n, s) in sorted(days.items())),
        lengths=tuple(Count(what, n) for what, n in lengths.items()),
        scores=scores,
        tags=tags,
        use=_use(connection, since, until),
    )


def _counts(found: Counter[tuple[str, ...]]) -> tuple[Count, ...]:
    return tuple(Count(what, n) for what, n in sorted(found.items()) if n)


def _name(bound: float) -> str:
    return f"upto_{bound:g}"


def _times(condition: Any) -> Any:
    return func.sum(case((condition, 1), else_=0))


def _by_day(connection: Connection, since: float, until: float) -> list[Row[Any]]:
    day: Any = calls.c.created_at / DAY_S
    # SQLite cuts off where it casts, PostgreSQL rounds
    day = cast(day if connection.dialect.name == "sqlite" else func.floor(day), Integer)
    seconds = calls.c.ended_at - calls.c.connected_at
    talked = calls.c.connected_at.is_not(None) & calls.c.ended_at.is_not(None)
    query = (
        select(
            calls.c.direction,
            calls.c.reason,
            day.label("day"),
            func.count().label("invited"),
            _times(calls.c.ringing_at.is_not(None)).label("seen"),
            _times(calls.c.callee_accepted_at.is_not(None)).label("accepted"),
            _times(calls.c.connected_at.is_not(None)).label("connected"),
            _times(talked & (seconds >= TALK_S)).label("talked"),
            _times(talked).label("ended"),
            func.sum(case((talked, seconds), else_=0.0)).label("seconds"),
            *(_times(talked & (seconds < bound)).label(_name(bound)) for bound in BOUNDS),
        )
        .where(calls.c.created_at >= since, calls.c.created_at < until)
        .group_by(calls.c.direction, calls.c.reason, day)
    )
    return list(connection.execute(query))


def _opinions(
    connection: Connection, since: float, until: float
) -> tuple[tuple[Count, ...], tuple[Count, ...]]:
    both = ratings.join(calls, ratings.c.call == calls.c.call)
    within = (calls.c.created_at >= since, calls.c.created_at < until)
    by_score = (
        select(calls.c.direction, ratings.c.score, func.count().label("n"))
        .select_from(both)
        .where(*within)
        .group_by(calls.c.direction, ratings.c.score)
        .order_by(calls.c.direction, ratings.c.score)
    )
    scores = tuple(Count((r.direction, str(r.score)), r.n) for r in connection.execute(by_score))
    tagged = select(ratings.c.tags, func.count().label("n")).select_from(both)
    tagged = tagged.where(*within, ratings.c.tags != "").group_by(ratings.c.tags)
    found = Counter[tuple[str, ...]]()
    for row in connection.execute(tagged.limit(MOST_TAGGED)):
        for tag in row.tags.split(","):
            found[tag,] += row.n
    return scores, tuple(Count(what, n) for what, n in found.most_common())


def _use(connection: Connection, since: float, until: float) -> tuple[Count, ...]:
    """Callers, and those of them who had more than one connected call."""
    mine = (
        select(calls.c.direction, calls.c.caller, func.count().label("n"))
        .where(
            calls.c.created_at >= since,
            calls.c.created_at < until,
            calls.c.connected_at.is_not(None),
        )
        .group_by(calls.c.direction, calls.c.caller)
        .subquery()
    )
    query = select(mine.c.direction, func.count().label("n"), _times(mine.c.n > 1).label("again"))
    out: list[Count] = []
    for row in connection.execute(query.group_by(mine.c.direction).order_by(mine.c.direction)):
        out += [Count((row.direction, "all"), row.n), Count((row.direction, "again"), row.again)]
    return tuple(out)
