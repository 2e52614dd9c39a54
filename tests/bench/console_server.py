"""A console over calls that are not there: 500 of them, of which 100 a second change.

The doors, the desk, the board and the pages are the gateway's own; its first line is its port.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from twisted.internet import asyncioreactor

loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
asyncioreactor.install(loop)

from klein import Klein  # noqa: E402  the reactor has to be there first
from twisted.internet import reactor  # noqa: E402
from twisted.internet.defer import Deferred  # noqa: E402
from twisted.internet.task import LoopingCall  # noqa: E402
from twisted.internet.threads import deferToThread  # noqa: E402
from twisted.web.server import Site  # noqa: E402

from gateway.app.http import BoundedRequest  # noqa: E402
from gateway.calls.console_ports import CallView, LegView, Sample, WorkerView  # noqa: E402
from gateway.calls.record import CallRecord  # noqa: E402
from gateway.console.desk import Desk, Ports  # noqa: E402
from gateway.console.doors import Doors, hashed  # noqa: E402
from gateway.console.http import ConsoleApi  # noqa: E402
from gateway.settings import ConsoleSection  # noqa: E402
from gateway.values import (  # noqa: E402
    CallId,
    Direction,
    LegId,
    LegKind,
    SipAddress,
    UserAddress,
    WorkerId,
)
from gateway.web.console_pages import ConsolePages  # noqa: E402

CALLS = 500
CHANGES_A_SECOND = 100
now: Callable[[], float] = reactor.seconds


def _record(n: int) -> CallRecord:
    return CallRecord(
        call=CallId(f"c{n:016x}"),
        direction=Direction.APP_TO_SIP,
        caller=UserAddress(f"person{n}"),
        caller_name=f"Person {n}",
        callee=SipAddress(f"1{n:03}", "dm.example.org"),
        created_at=now(),
        connected_at=now() + 2,
        verdict="allowed",
    )


class Calls:
    """As the registry has them: every view is made anew, as there."""

    def __init__(self) -> None:
        self._records = [_record(n) for n in range(CALLS)]
        self._samples = [_sample() for _ in range(2 * CALLS)]
        self._next = CALLS

    def change(self) -> None:
        """Mostly figures; every tenth change is a call that ends and another that begins."""
        for k in range(CHANGES_A_SECOND // 10):
            at = random.randrange(CALLS)
            if k:
                self._samples[2 * at] = self._samples[2 * at + 1] = _sample()
                continue
            self._next += 1
            self._records[at] = _record(self._next)

    def views(self) -> Sequence[CallView]:
        return [
            CallView(
                record=record,
                state="connected",
                worker=WorkerId(n // 2),
                trunk_in=None,
                trunk_out="main",
                legs=(
                    LegView(
                        LegId(f"{record.call}.1"),
                        LegKind.APP,
                        "caller",
                        "PCMU",
                        True,
                        sample=self._samples[2 * n],
                    ),
                    LegView(
                        LegId(f"{record.call}.2"),
                        LegKind.SIP,
                        "callee",
                        "G722",
                        sample=self._samples[2 * n + 1],
                    ),
                ),
            )
            for n, record in enumerate(self._records)
        ]

    def room(self) -> tuple[int, int]:
        return CALLS, 1000


def _sample() -> Sample:
    x = random.random()
    return Sample(now(), "PCMU", x / 50, x / 60, 9 * x, 8 * x, 40 * x, 4.4 - x, 4.3 - x)


class Workers:
    def views(self) -> Sequence[WorkerView]:
        used = now() / 1000
        return [
            WorkerView(WorkerId(n), 1000 + n, "busy", 4, 4, 60.0, used, 43 * 2**20)
            for n in range(CALLS // 2)
        ]

    def room(self) -> tuple[int, int]:
        return 2 * CALLS, 4 * CALLS


class Audit:
    async def asked(self, *_said: Any) -> int:
        return 1

    async def came_of(self, _action: int, _outcome: str) -> None: ...


def main() -> None:
    calls = Calls()
    empty: Any = SimpleNamespace(views=tuple, bindings=lambda _most: ())
    valve: Any = SimpleNamespace(draining=False, not_ready=tuple)
    unused: Any = None
    ports = Ports(
        calls=calls,  # type: ignore[arg-type]  # only looked at
        records=unused,
        traces=unused,
        workers=Workers(),
        trunks=empty,
        registrations=empty,
        valve=valve,
        product=unused,
        safety=unused,
        reports=unused,
        bans=unused,
        holds=unused,
        audit=Audit(),  # type: ignore[arg-type]
        now=now,
    )
    account = {"name": "ana", "role": "operator", "password_hash": hashed(sys.argv[1])}
    section = ConsoleSection.model_validate({"accounts": [account], "logins_per_minute": 1000})

    def in_thread(work: Callable[[], bool]) -> Deferred[bool]:
        return deferToThread(work)

    doors = Doors(section, now, in_thread, lambda _result: None)
    app = Klein()
    ConsolePages(ConsoleApi(doors, Desk(ports))).mount(app)
    listening: Any = reactor.listenTCP(  # type: ignore[attr-defined]
        0, Site(app.resource(), requestFactory=BoundedRequest), interface="127.0.0.1"
    )
    changing = LoopingCall(calls.change)
    changing.start(0.1)
    sys.stdout.write(f"{listening.getHost().port}\n")
    sys.stdout.flush()
    reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
