"""Leaky buckets with the clock passed in, in a table that cannot grow without bound."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

MAX_KEYS: Final = 20_000


class Buckets:
    """One bucket a key: ``rate`` a second in the long run, ``burst`` at once."""

    def __init__(self, rate: float, burst: float, max_keys: int = MAX_KEYS) -> None:
        self._rate = rate
        self._burst = burst
        self._max_keys = max_keys
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, now: float) -> float:
        """Take one; 0 when it was there, else the seconds until one will be.

        When the table is full the key that was idle longest is forgotten: it has had the
        most time to fill up again.
        """
        level, then = self._levels.pop(key, (self._burst, now))
        level = min(self._burst, level + max(0.0, now - then) * self._rate)
        wait = 0.0 if level >= 1 else (1 - level) / self._rate
        self._levels[key] = (level - 1 if wait == 0.0 else level, now)
        if len(self._levels) > self._max_keys:
            self._levels.popitem(last=False)
        return wait

    def __len__(self) -> int:
        return len(self._levels)
