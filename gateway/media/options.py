"""What a worker is started with; both the daemon and the worker read it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Options:
    """``proxy`` is the edge's inner address; empty where not set: ``public_host``, ``prompts``.

    ``hold_sound`` is ``none``, ``music``, or the path of a WAV file.
    """

    proxy: str
    media_host: str
    public_host: str
    codecs: tuple[str, ...]
    ptime_ms: int
    rtp_first: int
    rtp_last: int
    legs: int
    stats_interval_s: float
    rtp_timeout_s: float
    jitter_ms_init: int
    jitter_ms_max: int
    hold_sound: str
    prompts: str
    user_agent: str


LEGS_A_SECOND: Final = 20
"""What the pool gives a worker.  PJSIP keeps each socket's place in its table of 64 for half a
second after it is closed, and aborts the process when the table is full; a leg has two."""
LEGS_A_SECOND_AT_MOST: Final = 26
"""What a worker takes: offers that fail make legs, too."""


@dataclass(slots=True)
class Pace:
    """How many legs were begun within the last second; ``now`` is any clock's seconds."""

    limit: int
    begun: deque[float] = field(default_factory=deque)

    def room(self, now: float) -> int:
        """How many more may begin now."""
        while self.begun and self.begun[0] <= now - 1:
            self.begun.popleft()
        return max(0, self.limit - len(self.begun))

    def begin(self, now: float, legs: int = 1) -> None:
        self.begun.extend([now] * legs)
