"""``make soak``: calls over a trunk for a long time, refreshed by session timers, some ending and
others beginning each minute; then nothing may be left that was not there before.

``make soak ARGS="60"`` runs for an hour; without it for five minutes.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from twisted.internet import asyncioreactor

asyncioreactor.install()

from twisted.internet import task  # noqa: E402  the reactor has to be there first
from twisted.internet.defer import Deferred  # noqa: E402

from tests.e2e.test_trunks import NUMBER, routing  # noqa: E402
from tests.peers.app_client import AppClient  # noqa: E402
from tests.peers.fixtures import SHARED, Cast  # noqa: E402
from tests.peers.gateway import Gateway  # noqa: E402
from tests.peers.sip_message import SipMessage  # noqa: E402
from tests.peers.sip_phone import SipCall, SipPhone, reply  # noqa: E402
from tests.peers.waiting import pause  # noqa: E402

CALLS = 20
CHURN = 4
SESSION_S = 90
MOST_GROWTH = 1.25
"""Of memory at rest: Python's allocator keeps some of what was used once."""


class Refreshed(SipPhone):
    """Answers the requests that refresh a session (RFC 4028), and counts them."""

    refreshes = 0

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        super().datagramReceived(datagram, addr)
        message = SipMessage.parse(datagram)
        if not message.code and message.method == "UPDATE":
            self.refreshes += 1
            expires = ("session-expires", f"{SESSION_S};refresher=uac")
            contact = ("contact", self.contact)
            self.send(reply(message, 200, "OK", "", contact, expires))


class Soak:
    def __init__(self, cast: Cast, gateway: Gateway, phone: Refreshed, alice: AppClient) -> None:
        self.cast = cast
        self.gateway = gateway
        self.phone = phone
        self.alice = alice
        self.calls: list[tuple[str, SipCall]] = []
        self.made = 0

    async def begin(self) -> None:
        seen = self.phone.messages.mark()
        call = await self.alice.invite(f"tel:{NUMBER}", self.alice.stream(hz=1000))
        leg = await self.phone.incoming(since=seen)
        leg.stream = self.phone.stream(hz=440)
        timer = (
            ("supported", "timer"),
            ("require", "timer"),
            ("session-expires", f"{SESSION_S};refresher=uac"),
            ("allow", "INVITE, ACK, BYE, CANCEL, UPDATE"),
        )
        leg.answer(200, "OK", "", *timer)
        await self.alice.connected(call)
        self.calls.append((call, leg))
        self.made += 1

    async def end(self) -> None:
        call, leg = self.calls.pop(0)
        await self.alice.hangup(call)
        await leg.got("BYE")
        await self.alice.ended(call)

    def held(self) -> dict[str, int]:
        return {**self.gateway.descriptors(), "pss": self.gateway.memory()["pss"]}


async def soak(cast: Cast, minutes: float) -> bool:
    phone = Refreshed("127.0.0.1:9", "carrier")
    cast.ends_with(phone.close)
    trunk = {
        "name": "main",
        "address": f"127.0.0.1:{phone.port}",
        "session_expires_s": SESSION_S,
        "options_s": 0,
        "calls_per_s": 1000,
    }
    gateway = await cast.gateway(
        *SHARED,
        f"trunks={json.dumps([trunk])}",
        f"routing={json.dumps(routing('main'))}",
        "calls.calls_per_user=1000",
        "daemon.log_level=warning",
    )
    phone.server = (gateway.sip.host, gateway.sip.port)
    lasts = int(time.time() + 60 * minutes) + 3600
    run = Soak(cast, gateway, phone, await cast.client(gateway, exp=lasts))
    for _ in range(CALLS):  # every part has been used once before the count begins
        await run.begin()
    while run.calls:
        await run.end()
    await gateway.at_rest(60)
    await pause(65)  # spare workers leave after a minute
    before = run.held()
    _say(f"at rest before: {before}")
    until = time.monotonic() + 60 * minutes
    for _ in range(CALLS):
        await run.begin()
    while time.monotonic() < until:
        await pause(min(60.0, max(0.1, until - time.monotonic())))
        for _ in range(CHURN):
            await run.end()
            await run.begin()
        legs = await gateway.metric("dmgw_legs_active")
        _say(f"{run.made} calls made, {legs:g} legs, {phone.refreshes} refreshes, {run.held()}")
        if legs != 2 * CALLS:
            _say(f"calls were lost: {legs:g} legs instead of {2 * CALLS}")
            return False
    while run.calls:
        await run.end()
    await gateway.at_rest(60)
    await pause(65)
    after = run.held()
    _say(f"at rest after: {after}")
    return _judged(before, after, phone.refreshes, minutes)


def _judged(before: dict[str, int], after: dict[str, int], refreshes: int, minutes: float) -> bool:
    wrong = [
        f"{kind}: {before[kind]} before, {after[kind]} after"
        for kind in before
        if after.get(kind, 0) > before[kind] * (MOST_GROWTH if kind == "pss" else 1)
    ]
    if minutes >= 2 and refreshes < CALLS:
        wrong.append(f"only {refreshes} refreshes")
    for fault in wrong:
        _say(fault)
    return not wrong


def _say(text: str) -> None:
    print(text, flush=True)  # a command's answer


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0

    async def run() -> bool:
        with tempfile.TemporaryDirectory(prefix="dmgw-soak-") as directory:
            cast = Cast(Path(directory))
            try:
                return await soak(cast, minutes)
            finally:
                await cast.end()

    def begin(_reactor: Any) -> Deferred[bool]:
        return Deferred.fromCoroutine(run()).addCallback(finish)

    def finish(good: bool) -> bool:
        _say("nothing is left" if good else "something is left")
        outcome.append(good)
        return good

    outcome: list[bool] = []
    try:
        task.react(begin)
    except SystemExit as e:
        sys.exit(e.code or (0 if outcome == [True] else 1))


if __name__ == "__main__":
    main()
