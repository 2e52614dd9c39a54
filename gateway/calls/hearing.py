"""Who hears whom in a group: what follows from who is in it, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NewType

Seat = NewType("Seat", str)
"""A place in a group: ``caller`` and ``callee`` of the call that it began as, or the call's id
by which another was added."""

Way = tuple[Seat, Seat]
"""Who speaks, and who hears it."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """``present`` are those who have accepted; nobody else hears or is heard, whatever is asked.

    Whoever is ``away`` (holds, or is on hold at their own end) neither hears nor is heard.  The
    ``silenced`` and the ``listening`` hear, and are not heard.  ``whispers`` has who speaks to
    one alone, and to whom: the one hears everybody still, and is heard by all.
    """

    present: frozenset[Seat]
    away: frozenset[Seat] = frozenset()
    silenced: frozenset[Seat] = frozenset()
    listening: frozenset[Seat] = frozenset()
    whispers: Mapping[Seat, Seat] = field(default_factory=dict)

    def hears(self, source: Seat, sink: Seat) -> bool:
        here = self.present - self.away
        if source == sink or source not in here or sink not in here:
            return False
        if source in self.silenced or source in self.listening:
            return False
        return self.whispers.get(source, sink) == sink

    def ways(self) -> frozenset[Way]:
        here = self.present - self.away
        return frozenset((a, b) for a in here for b in here if self.hears(a, b))
