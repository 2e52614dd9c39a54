"""Lines that are written by a thread of their own, so that nobody waits for who reads them."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from queue import Full, Queue
from typing import Final, TextIO

MOST: Final = 10_000
END_S: Final = 2.0


class Lines:
    """A text stream as far as logging needs one.

    A reader that has stalled (a full pipe) makes lines fall away, never the reactor wait;
    ``lost`` makes the line that tells how many fell.
    """

    def __init__(self, out: TextIO, lost: Callable[[int], str], most: int = MOST) -> None:
        self._out = out
        self._lost = lost
        self._waiting: Queue[str | None] = Queue(most)
        self._fallen = 0
        self._thread = threading.Thread(target=self._write, name="log-writer", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def write(self, text: str) -> int:
        try:
            self._waiting.put_nowait(text)
        except Full:
            self._fallen += 1
        return len(text)

    def flush(self) -> None:
        """The thread does."""

    def isatty(self) -> bool:
        return self._out.isatty()

    def close(self) -> None:
        """Write what waits, for two seconds at most.  Idempotent."""
        atexit.unregister(self.close)
        try:
            self._waiting.put(None, timeout=END_S)
        except Full:
            return
        self._thread.join(END_S)

    def _write(self) -> None:
        while (text := self._waiting.get()) is not None:
            fallen, self._fallen = self._fallen, 0
            try:
                if fallen:
                    self._out.write(self._lost(fallen))
                self._out.write(text)
                if self._waiting.empty():
                    self._out.flush()
            except (OSError, ValueError):
                # whoever read it is gone: there is nobody left to tell
                return
        try:
            self._out.flush()
        except (OSError, ValueError):
            return
