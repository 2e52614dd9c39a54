"""Free ports below the kernel's ephemeral range, so that no other bind(0) takes them meanwhile."""

from __future__ import annotations

import os
import random
import socket
from contextlib import ExitStack


def _range() -> tuple[int, int]:
    """A part of its own for each process of a run with several (``pytest -n``)."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    of = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    low, high = 11_000, 29_000
    part = (high - low) // of // 2 * 2
    return low + number * part, low + (number + 1) * part


_LOW, _HIGH = _range()
_next = random.randrange(_LOW, _HIGH, 2)  # other test runs of this machine begin elsewhere


def free_ports(count: int = 1, step: int = 1, host: str = "127.0.0.1") -> int:
    """The first of ``count`` ports, ``step`` apart, free for UDP and TCP.

    They are given in turn, so that one is given again only when all others have been.
    """
    global _next  # noqa: PLW0603  # one turn for the whole process
    width = count * step + count * step % 2
    for _ in range(2 * (_HIGH - _LOW) // width):
        if _next + width > _HIGH:
            _next = _LOW
        first, _next = _next, _next + width
        if all(_free(host, port) for port in range(first, first + count * step, step)):
            return first
    raise RuntimeError(f"no {count} free ports between {_LOW} and {_HIGH}")


def _free(host: str, port: int) -> bool:
    with ExitStack() as sockets:
        try:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                s = sockets.enter_context(socket.socket(socket.AF_INET, kind))
                s.bind((host, port))
        except OSError:
            return False
    return True
