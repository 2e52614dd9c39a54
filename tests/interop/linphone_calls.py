"""linphone as a softphone: digest, calls both ways, tones, digits, hold (make interop)."""

from __future__ import annotations

import pytest_twisted

from tests.e2e.residue import nothing_left
from tests.e2e.talk import assert_tone
from tests.e2e.test_calls import hears
from tests.peers.fixtures import SHARED, Cast
from tests.peers.gateway import Gateway
from tests.peers.linphone import Linphone
from tests.peers.waiting import pause, until


async def linphone(cast: Cast, gateway: Gateway) -> Linphone:
    place, domain = cast.place("linphone"), gateway.settings.sip.domain
    phone = Linphone(place, str(gateway.sip), "1001", "secret1001", domain, 440)
    cast.ends_with(phone.stop)
    await phone.registered()
    return phone


@pytest_twisted.ensureDeferred
async def test_it_is_called(cast: Cast) -> None:
    gateway = await cast.gateway(*SHARED)
    phone = await linphone(cast, gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call = await alice.invite("sip:1001@dm.localhost", mine := alice.stream(hz=1000))
        await phone.incoming()
        await phone.accept()
        await alice.connected(call)
        await hears(mine, 440, 2, "alice")
        await phone.press("59#")
        await until(lambda: alice.digits(call) == "59#", "the digits", 8)
        await alice.request("call.hold", call=call, held=True)
        await pause(0.5)
        await alice.request("call.hold", call=call, held=False)
        await hears(mine, 440, 1.5, "alice, after a hold")
        await alice.hangup(call)
        await phone.closed()
        heard, rate = phone.heard()
        assert_tone(heard[-int(1.2 * rate) :], rate, 1000, 0.8, "linphone")


@pytest_twisted.ensureDeferred
async def test_it_calls_holds_and_hangs_up(cast: Cast) -> None:
    gateway = await cast.gateway(*SHARED)
    phone = await linphone(cast, gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        await phone.dial("sip:alice@dm.localhost")
        call = (await alice.incoming())["call"]
        mine = await alice.accept(call, alice.stream(hz=1000))
        await alice.connected(call)
        await phone.established()
        await hears(mine, 440, 1.5, "alice")
        phone.say("pause")
        assert (await alice.event("call.held", call=call))["held"] is True
        seen = alice.events.mark()
        phone.say("resume")
        assert (await alice.event("call.held", call=call, since=seen))["held"] is False
        await hears(mine, 440, 1.5, "alice, taken back")
        await phone.hangup()
        assert (await alice.ended(call))["reason"] == "completed"
