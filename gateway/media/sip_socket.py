"""PJSIP's own SIP socket in the worker's reactor."""

from __future__ import annotations

from collections.abc import Callable


class SipSocket:
    """PJSIP's UDP socket, for the reactor to watch."""

    def __init__(self, descriptor: int, poll: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._poll = poll

    def fileno(self) -> int:
        return self._descriptor

    def logPrefix(self) -> str:
        return "sip"

    def doRead(self) -> None:
        self._poll()

    def connectionLost(self, reason: object) -> None:
        """PJSIP closes it."""
