"""Hours of the week by the clock on the wall of a place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from gateway.settings.routing import DAYS, Day, Period, minutes


@dataclass(frozen=True, slots=True)
class Hours:
    """A period by the clock on the wall of its zone.

    A period that ends on the next day belongs to the day on which it begins.  When clocks are
    put back its repeated hour counts twice; an hour that is left out never comes.
    """

    days: frozenset[int]
    first: int
    end: int
    zone: ZoneInfo

    @classmethod
    def of(cls, period: Period, zone: str) -> Hours:
        return cls.between(period.days, period.from_, period.to, period.timezone or zone)

    @classmethod
    def between(cls, days: Iterable[Day], first: str, end: str, zone: str) -> Hours:
        """``first`` and ``end`` as ``HH:MM``; ``end`` before ``first`` is on the next day."""
        numbers = frozenset(DAYS.index(d) for d in days)
        return cls(numbers, minutes(first), minutes(end), ZoneInfo(zone))

    def hold(self, now: float) -> bool:
        wall = datetime.fromtimestamp(now, self.zone)
        at, today = wall.hour * 60 + wall.minute, wall.weekday()
        if self.first < self.end:
            return today in self.days and self.first <= at < self.end
        if at >= self.first:
            return today in self.days
        yesterday = (wall.date() - timedelta(days=1)).weekday()
        return at < self.end and yesterday in self.days

    def wall(self, now: float) -> str:
        found = datetime.fromtimestamp(now, self.zone)
        return f"{DAYS[found.weekday()]} {found:%H:%M} in {self.zone.key}"


def midnight(now: float, zone: str) -> float:
    """When the present day began there, in seconds since the epoch."""
    wall = datetime.fromtimestamp(now, ZoneInfo(zone))
    return wall.replace(hour=0, minute=0, second=0, microsecond=0, fold=0).timestamp()
