"""Which browsers get Opus: the thriftiest codec on the wire, and the dearest one to us."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

OPUS: Final = "opus"
LEGS_A_CORE: Final = 20
"""Half a core at the 2.5 % that an Opus leg was measured to take; the rest is the workers'."""
NARROW_KBPS: Final = 90.0
"""G.722 and G.711 take 80 kbit/s with RTP, UDP and IP, Opus 36."""
NARROW_BPS: Final = 20_000
"""What a browser on a narrow way is asked to spend on the audio itself."""


class OpusShare:
    """``most`` Opus legs at a time; ``None``: as many as ask.  ``count`` is told how many."""

    def __init__(self, most: int | None, count: Callable[[int], None]) -> None:
        self._most = most
        self._count = count
        self._legs: set[str] = set()
        count(0)

    def order(
        self, allowed: Sequence[str], kbps: float | None, before: str | None
    ) -> tuple[str, ...]:
        """The codecs for one offer, best first; Opus is last where there is no room for it.

        ``kbps`` is the bandwidth that the offer allows (``b=AS``, RFC 8866 §5.8): on a narrow way
        Opus is first, whatever it costs.  ``before`` is what the leg has: it stays.
        """
        if OPUS in allowed and is_narrow(kbps):
            return _first(OPUS, allowed)
        if before is not None and before in allowed:
            return _first(before, allowed)
        if self._most is not None and len(self._legs) >= self._most:
            return tuple(sorted(allowed, key=lambda codec: codec == OPUS))
        return tuple(allowed)

    def has(self, leg: str, codec: str) -> None:
        """From now on this leg has this codec."""
        (self._legs.add if codec == OPUS else self._legs.discard)(leg)
        self._count(len(self._legs))

    def gone(self, leg: str) -> None:
        self._legs.discard(leg)
        self._count(len(self._legs))


def is_narrow(kbps: float | None) -> bool:
    return kbps is not None and kbps < NARROW_KBPS


def _first(codec: str, allowed: Sequence[str]) -> tuple[str, ...]:
    return (codec, *(c for c in allowed if c != codec))
