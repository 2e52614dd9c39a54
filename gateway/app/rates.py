"""How often something may be done: a token bucket on an injected clock."""

from __future__ import annotations

from typing import Protocol


class Seconds(Protocol):
    def seconds(self) -> float: ...


class TokenBucket:
    """``per_s`` in the long run, up to ``burst`` at once."""

    def __init__(self, per_s: float, burst: float, clock: Seconds) -> None:
        self._per_s = per_s
        self._burst = burst
        self._clock = clock
        self._left = burst
        self._at = clock.seconds()

    def _fill(self) -> None:
        now = self._clock.seconds()
        # a wall clock may be set back: that gives nothing and takes nothing
        self._left = min(self._burst, self._left + max(0.0, now - self._at) * self._per_s)
        self._at = now

    def take(self) -> float:
        """0.0 when there was one to take; else the seconds until there is."""
        self._fill()
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return (1 - self._left) / self._per_s

    @property
    def full(self) -> bool:
        """Nothing was taken lately: it may be forgotten."""
        self._fill()
        return self._left >= self._burst
