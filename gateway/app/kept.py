"""What a session has told its client and does not know to have arrived.

A socket that died is noticed late (up to 45 s), so what was written to it may never have
arrived.  Each message is therefore kept until a pong that was asked for after it comes back, and
told again when the session is resumed.  Messages that must not be told twice are
kept only while there is no socket.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

MAX_KEPT: Final = 256
MAX_KEPT_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Message:
    """``once``: better lost than told twice (a digit, a measurement)."""

    text: str
    once: bool = False


class Kept:
    """Bounded by number and size; the first to go are those that may be lost, then the oldest."""

    def __init__(self) -> None:
        self._messages: deque[tuple[int, Message]] = deque()
        self._bytes = 0
        self.last = 0
        """The number of the message that came last."""

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, message: Message) -> None:
        self.last += 1
        self._messages.append((self.last, message))
        self._bytes += len(message.text)
        while len(self._messages) > MAX_KEPT or self._bytes > MAX_KEPT_BYTES:
            self._evict()

    def _evict(self) -> None:
        index = next((i for i, (_, m) in enumerate(self._messages) if m.once), 0)
        self._bytes -= len(self._messages[index][1].text)
        del self._messages[index]

    def confirmed(self, number: int) -> None:
        """Everything up to this number has arrived."""
        while self._messages and self._messages[0][0] <= number:
            self._bytes -= len(self._messages.popleft()[1].text)

    def told_again(self) -> list[Message]:
        """All of them, in order, for a fresh socket; those told once are kept no more."""
        told = [message for _, message in self._messages]
        kept = [(n, m) for n, m in self._messages if not m.once]
        self._messages = deque(kept)
        self._bytes = sum(len(m.text) for _, m in kept)
        return told
