"""How long somebody has talked, by the records of their calls."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from gateway.policy.identity import Identity
from gateway.store.listed import Listed

_LONGEST_S: Final = 86_400.0
"""A call that began before the day may reach into it; none is longer than this."""
_TALKED: Final = Listed(
    # two walks along an index, as an OR over both sides would be none
    """
    SELECT SUM(COALESCE(ended_at, :now)
        - CASE WHEN connected_at > :since THEN connected_at ELSE :since END)
    FROM (
        SELECT call, connected_at, ended_at FROM calls
        WHERE caller IN :mine AND created_at >= :earliest AND connected_at IS NOT NULL
            AND (ended_at IS NULL OR ended_at > :since)
        UNION SELECT call, connected_at, ended_at FROM calls
        WHERE callee IN :mine AND created_at >= :earliest AND connected_at IS NOT NULL
            AND (ended_at IS NULL OR ended_at > :since)
    ) AS mine
    """
)


def talked_s(connection: Connection, who: Identity, since: float, now: float) -> float:
    """Seconds of connected calls from ``since`` to ``now``, those that last included."""
    mine = [str(a) for a in who.addresses]
    asked = {
        "since": since,
        "earliest": since - _LONGEST_S,
        "now": now,
    }
    found = connection.execute(*_TALKED.of(asked, mine=mine)).scalar()
    return max(0.0, float(found or 0.0))
