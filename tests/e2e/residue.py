"""What a call may leave behind: measured before, compared after."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.peers.gateway import Gateway
from tests.peers.waiting import NotSeen, until

PER_WORKER = 8
"""Descriptors that the daemon holds for a worker: its channel and standard streams (pipes), and
the sockets that claim its RTP ports (one for 32).  The pool grows under load, and may stay so."""


def held(gateway: Gateway) -> dict[str, int]:
    """Sockets, pipes and files of the daemon, of rtpengine and of its busiest worker."""
    most = max((_descriptors(p.pid) for p in gateway.workers()), default=0)
    return {
        "daemon": _daemon_descriptors(gateway) - PER_WORKER * len(gateway.workers()),
        "rtpengine": sum(_descriptors(p.pid) for p in gateway.rtpengine()),
        "worker": most,
        "rtpengine sessions": gateway.rtpengine_sessions(),
    }


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _daemon_descriptors(gateway: Gateway) -> int:
    """Without the database's files, which a pool opens and closes as it likes."""
    kinds: Counter[bool] = Counter()
    for fd in Path(f"/proc/{gateway.pid}/fd").iterdir():
        try:
            kinds[str(gateway.database) in str(fd.readlink())] += 1
        except OSError:
            continue
    return kinds[False]


@asynccontextmanager
async def nothing_left(gateway: Gateway) -> AsyncIterator[None]:
    """After the block no leg, busy worker, rtpengine session or descriptor more than before.

    Peers that are there before the block have to stay until after it.
    """
    await gateway.at_rest()
    before = held(gateway)
    complaints = gateway.log.mark()
    yield
    await gateway.at_rest()
    try:
        await until(lambda: _within(held(gateway), before), "as few descriptors as before", 10)
    except NotSeen as e:
        raise AssertionError(f"left behind: {before} before, {held(gateway)} now") from e
    assert not gateway.complaints(complaints)


def _within(now: dict[str, int], before: dict[str, int]) -> bool:
    return all(now[k] <= before[k] for k in before)
