"""Blocks of UDP ports for RTP, held against other gateways on the same machine.

All ports are cut into cells, at the same places for every gateway, and a block is a run of
whole cells.  Who binds the abstract Unix socket that is named after a cell holds it: it is seen by
exactly those who share the ports (the network namespace), takes no port away, and the kernel
gives it back however its owner dies.
"""

from __future__ import annotations

import socket
from typing import Final

from gateway.errors import NoCapacity

CELL: Final = 32
"""Ports in a cell; a worker for four legs fills one."""


PORTS_A_LEG: Final = 8
"""RTP and RTCP, and as many again while a re-INVITE changes over, twice."""
PORTS_TO_REST: Final = 32
"""With so many a leg, a port is taken again long after its last leg, whose far end may not have
noticed and speaks on."""


def worker_ports(room: int, workers: int, legs: int) -> int:
    """How many ports each worker takes of ``room``, so that there is a block for every one."""
    fair = room // workers // CELL * CELL
    return max(PORTS_A_LEG * legs, min(PORTS_TO_REST * legs, fair))


class Block:
    """The ports ``first`` to ``last``; ``first`` is even (RFC 3550 §11)."""

    def __init__(self, guards: list[socket.socket], first: int, last: int) -> None:
        self._guards = guards
        self.first = first
        self.last = last

    def release(self) -> None:
        """Give the block back.  Idempotent."""
        for guard in self._guards:
            guard.close()
        self._guards = []


class PortBlocks:
    """Blocks within the ports ``first`` to ``last``."""

    def __init__(self, first: int, last: int) -> None:
        self._cells = range(-(-first // CELL), (last + 1) // CELL)
        self.room = len(self._cells) * CELL

    def take(self, count: int) -> Block:
        """A free block of at least ``count`` ports; ``NoCapacity`` when there is none."""
        wanted = -(-count // CELL)
        held: list[tuple[int, socket.socket]] = []
        for cell in self._cells:
            guard = _hold(cell)
            if guard is None:
                _let_go(held)
                continue
            held.append((cell, guard))
            if len(held) == wanted:
                first = held[0][0] * CELL
                return Block([g for _, g in held], first, first + wanted * CELL - 1)
        _let_go(held)
        raise NoCapacity(f"no free block of {count} RTP ports; widen media.rtp_ports")


def _hold(cell: int) -> socket.socket | None:
    guard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        guard.bind(f"\0dm-gateway/rtp/{cell * CELL}")
    except OSError:
        guard.close()
        return None
    return guard


def _let_go(held: list[tuple[int, socket.socket]]) -> None:
    for _, guard in held:
        guard.close()
    held.clear()
