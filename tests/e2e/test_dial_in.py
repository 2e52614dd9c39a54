"""Dial-in with a real daemon: a softphone stands for the telephone."""

from __future__ import annotations

import pytest
import pytest_twisted

from tests import audio
from tests.e2e.residue import nothing_left
from tests.e2e.test_calls import hears
from tests.peers.app_client import RpcError
from tests.peers.fixtures import Cast
from tests.peers.gateway import Gateway
from tests.peers.sip_phone import SipCall, SipPhone
from tests.peers.waiting import pause, until


async def dials_in(phone: SipPhone) -> SipCall:
    leg = phone.call("dial-in", phone.stream(hz=None))
    await leg.admitted()
    await leg.answered()
    assert leg.stream is not None
    heard = leg.stream
    await until(lambda: not audio.is_silent(heard.audio()), "the prompt", 5)
    return leg


async def enter(leg: SipCall, digits: str) -> None:
    assert leg.stream is not None
    await leg.stream.press(f"{digits}#")


@pytest_twisted.ensureDeferred
async def test_a_telephone_reaches_a_person(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    made = await alice.request("pin.create", kind="once", label="gran")
    async with nothing_left(gateway):
        leg = await dials_in(phone)
        await enter(leg, made["pin"])
        incoming = await alice.incoming()
        assert incoming["from"]["address"] == "sip:1001@dm.localhost"
        assert leg.stream is not None
        stream = leg.stream
        mark = stream.mark()
        await pause(1.2)
        assert audio.power(stream.audio(mark), 425, 8000) > 1e-4, "ringback"
        mine = await alice.accept(incoming["call"], alice.stream(hz=1000))
        await alice.connected(incoming["call"])
        await hears(stream, 1000, 2, "the telephone")
        stream.hz = 440
        await pause(0.1)
        await leg.bye()
        assert (await alice.ended(incoming["call"]))["reason"] == "completed"
        del mine
        # it was for one call alone
        leg = await dials_in(phone)
        await enter(leg, made["pin"])
        await pause(1)
        assert len(alice.told("call.incoming")) == 1
        await leg.bye()
    assert (await alice.request("pin.list"))["pins"] == []


@pytest_twisted.ensureDeferred
async def test_a_person_who_declines(gateway: Gateway, cast: Cast) -> None:
    """The telephone hears that nobody is to be reached; its PIN may be used again."""
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    made = await alice.request("pin.create", kind="once")
    async with nothing_left(gateway):
        leg = await dials_in(phone)
        await enter(leg, made["pin"])
        incoming = await alice.incoming()
        await alice.request("call.decline", call=incoming["call"])
        await leg.got("BYE", 12)
        seen = alice.events.mark()
        leg = await dials_in(phone)
        await enter(leg, made["pin"])
        again = await alice.incoming(since=seen)
        await leg.bye()
        assert (await alice.ended(again["call"]))["reason"] in ("cancelled", "completed")
    [listed] = (await alice.request("pin.list"))["pins"]
    await alice.request("pin.revoke", id=listed["id"])
    with pytest.raises(RpcError, match="no such PIN"):
        await alice.request("pin.revoke", id=listed["id"])


@pytest_twisted.ensureDeferred
async def test_three_wrong_pins(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway, "1002")
    async with nothing_left(gateway):
        leg = await dials_in(phone)
        for _ in range(3):
            await enter(leg, "00000000")
            await pause(0.5)
        bye = await leg.got("BYE", 15)
        assert bye.method == "BYE"
    assert await gateway.metric("dmgw_calls_total", direction="sip_to_service") >= 1


@pytest_twisted.ensureDeferred
async def test_a_caller_who_gives_up(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    async with nothing_left(gateway):
        leg = await dials_in(phone)
        await leg.bye()
