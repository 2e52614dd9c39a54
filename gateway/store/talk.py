"""How long somebody has talked, by the records of their calls."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, case, func, or_, select, union

from gateway.policy.identity import Identity
from gateway.store.schema import calls

_LONGEST_S: Final = 86_400.0
"""A call that began before the day may reach into it; none is longer than this."""


def talked_s(connection: Connection, who: Identity, since: float, now: float) -> float:
    """Seconds of connected calls from ``since`` to ``now``, those that last included."""
    mine = [str(a) for a in who.addresses]
    begun = calls.c.created_at >= since - _LONGEST_S
    later = or_(calls.c.ended_at.is_(None), calls.c.ended_at > since)
    talked = (calls.c.connected_at.is_not(None), begun, later)
    columns = (calls.c.call, calls.c.connected_at, calls.c.ended_at)
    # two walks along an index, as an OR over both sides would be none
    both = union(
        select(*columns).where(calls.c.caller.in_(mine), *talked),
        select(*columns).where(calls.c.callee.in_(mine), *talked),
    ).subquery()
    first = case((both.c.connected_at > since, both.c.connected_at), else_=since)
    total = select(func.sum(func.coalesce(both.c.ended_at, now) - first))
    return max(0.0, float(connection.execute(total).scalar() or 0.0))
