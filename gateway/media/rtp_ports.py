"""Blocks of UDP ports for RTP, held against other gateways on the same machine."""

from __future__ import annotations

import socket

from gateway.errors import NoCapacity


class Block:
    """The ports ``first`` to ``last``; ``first`` is even (RFC 3550 §11)."""

    def __init__(self, guard: socket.socket, first: int, last: int, owner: PortBlocks) -> None:
        self._guard: socket.socket | None = guard
        self._owner = owner
        self.first = first
        self.last = last

    def release(self) -> None:
        """Give the block back.  Idempotent."""
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.close()
            self._owner.taken.discard(self.first)


class PortBlocks:
    """Whoever binds the guard port below a block holds it: so do other processes."""

    def __init__(self, first: int, last: int) -> None:
        self._first = first + first % 2
        self._last = last
        self.taken: set[int] = set()

    def take(self, count: int) -> Block:
        """A free block of ``count`` ports (rounded up to even); ``NoCapacity`` when none is."""
        count += count % 2
        at = self._first
        while at + 2 + count - 1 <= self._last:
            first = at + 2
            if first not in self.taken:
                guard = _bind(at)
                if guard is not None:
                    self.taken.add(first)
                    return Block(guard, first, first + count - 1, self)
            at += count + 2
        raise NoCapacity(f"no free block of {count} RTP ports; widen media.rtp_ports")


def _bind(port: int) -> socket.socket | None:
    guard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        guard.bind(("127.0.0.1", port))
    except OSError:
        guard.close()
        return None
    return guard
