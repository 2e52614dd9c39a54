"""Free ports below the kernel's ephemeral range, so that no other bind(0) takes them meanwhile."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack, suppress

_LOW, _HIGH = 11_000, 29_000
_given: set[int] = set()


def free_ports(count: int = 1, step: int = 1, host: str = "127.0.0.1") -> int:
    """The first of ``count`` ports, ``step`` apart, free for UDP and TCP; none is given twice."""
    for _ in range(500):
        first = random.randrange(_LOW, _HIGH, 2)
        ports = range(first, first + count * step, step)
        if _given.intersection(ports):
            continue
        with ExitStack() as sockets, suppress(OSError):
            for port in ports:
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    s = sockets.enter_context(socket.socket(socket.AF_INET, kind))
                    s.bind((host, port))
            _given.update(ports)
            return first
    raise RuntimeError(f"no {count} free ports between {_LOW} and {_HIGH}")
