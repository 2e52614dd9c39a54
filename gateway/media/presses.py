"""One digit a press, from the many events of RFC 4733."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

QUIET_S: Final = 0.3
"""A press of which nothing more is heard is over: its end was lost."""
REMEMBERED: Final = 8
"""Presses that are over, of which more may come: repeated ends, or what a gap cut off."""


class Presses:
    """``tell(digit, duration in ms)`` is called once a press, when it has ended."""

    def __init__(
        self, tell: Callable[[str, int], None], later: Callable[[float, Callable[[], None]], Any]
    ) -> None:
        self._tell = tell
        self._later = later
        self._press: tuple[str, int, int] | None = None
        self._past: deque[tuple[str, int]] = deque(maxlen=REMEMBERED)
        self._quiet: Any = None

    def heard(self, digit: str, duration_ms: int, timestamp: int, ended: bool) -> None:
        """An event; those of one press share digit and RTP timestamp (RFC 4733 §2.5.1.2)."""
        if (digit, timestamp) in self._past:
            return
        press = self._press
        if press is not None and (press[0], press[2]) != (digit, timestamp):
            self.over()
        longest = max(duration_ms, self._press[1] if self._press else 0)
        self._press = (digit, longest, timestamp)
        if ended:
            self.over()
            return
        self._disarm()
        self._quiet = self._later(QUIET_S, self._timed_out)

    def told(self, digit: str, duration_ms: int) -> None:
        """A whole press in one message (SIP INFO)."""
        self.over()
        self._tell(digit.upper(), duration_ms)

    def over(self) -> None:
        """What was pressed is pressed no longer."""
        self._disarm()
        press, self._press = self._press, None
        if press is not None:
            self._past.append((press[0], press[2]))
            self._tell(press[0].upper(), press[1])

    def _timed_out(self) -> None:
        self._quiet = None
        self.over()

    def _disarm(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None
