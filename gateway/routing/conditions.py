"""Whether a route holds for a call: class of the number, caller's region and groups, time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.hours import Hours
from gateway.settings import Route
from gateway.values import NumberClass


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a call; ``now`` in seconds since the epoch."""

    classes: tuple[NumberClass, ...]
    region: str | None
    groups: frozenset[str]
    now: float


@dataclass(frozen=True, slots=True)
class Conditions:
    """Those of one route, ready to be held against calls."""

    route: Route
    classes: frozenset[NumberClass]
    regions: frozenset[str]
    groups: frozenset[str]
    hours: tuple[Hours, ...]

    @classmethod
    def of(cls, route: Route, zone: str) -> Conditions:
        return cls(
            route,
            frozenset({NumberClass.SHORT} if route.short else route.classes),
            frozenset(route.regions),
            frozenset(route.groups),
            tuple(Hours.of(p, zone) for p in route.times),
        )

    def objection(self, seen: Seen) -> str | None:
        """Why the route does not hold, or ``None``."""
        if not self.classes.intersection(seen.classes):
            return f"is not for {_or(seen.classes)}"
        if self.regions and seen.region not in self.regions:
            here = seen.region or "a country that is not known"
            return f"is for callers in {_or(sorted(self.regions))}, not in {here}"
        if self.groups and not self.groups & seen.groups:
            return f"is for callers of the group {_or(sorted(self.groups))}"
        if self.hours and not any(h.hold(seen.now) for h in self.hours):
            walls = dict.fromkeys(h.wall(seen.now) for h in self.hours)
            return f"does not hold at {_or(walls)}"
        return None


def _or(words: Iterable[str]) -> str:
    return " or ".join(map(str, words))
