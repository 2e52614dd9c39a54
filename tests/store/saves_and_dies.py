"""Saves a record in the file that is named, says so, and is killed in the same moment."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from twisted.internet import asyncioreactor

asyncioreactor.install(asyncio.new_event_loop())  # type: ignore[no-untyped-call]  # Twisted's

from twisted.internet.defer import Deferred  # noqa: E402

from gateway.store.calls import CallStore  # noqa: E402
from tests.peers.waiting import reactor  # noqa: E402
from tests.store.scene import opened, record  # noqa: E402


async def main() -> None:
    database = opened(Path(sys.argv[1]))
    await database.start()
    await CallStore(database).save(record("c1", 100.0, ringing_at=101.0))
    os.write(1, b"saved\n")
    os.kill(os.getpid(), signal.SIGKILL)


def begin() -> None:
    Deferred.fromCoroutine(main())


reactor.callWhenRunning(begin)
reactor.run()
