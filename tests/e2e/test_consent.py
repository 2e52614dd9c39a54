"""Before both have accepted neither hears the other: silence, or the gateway's ringback."""

from __future__ import annotations

import pytest_twisted

from tests import audio
from tests.e2e.residue import nothing_left
from tests.e2e.talk import assert_no_tone
from tests.e2e.test_calls import app_calls_phone
from tests.peers.app_client import media_address, plain_offer, take_answer
from tests.peers.fixtures import Cast
from tests.peers.gateway import Gateway
from tests.peers.waiting import pause, until

APP_HZ, PHONE_HZ = 1000.0, 700.0


@pytest_twisted.ensureDeferred
async def test_early_media_of_a_phone_is_not_heard(gateway: Gateway, cast: Cast) -> None:
    """The phone sends 183 with SDP and speaks through the ringing; the app client speaks too."""
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        mine = alice.stream(hz=APP_HZ)
        call = await alice.invite("sip:1001@dm.localhost", mine)
        leg = await phone.incoming()
        leg.stream = phone.stream(hz=PHONE_HZ)
        leg.answer(183, "Session Progress", plain_offer(leg.stream))
        if leg.invite is not None and leg.invite.body:
            leg.listen_to(leg.invite.body)
        await alice.event("call.ringing", call=call)
        await pause(3)
        assert_no_tone(mine.audio(), 8000, [PHONE_HZ], "the app client")
        assert_no_tone(leg.stream.audio(), 8000, [APP_HZ], "the phone")
        ringback = mine.audio()
        assert audio.power(ringback, 425, 8000) > 1e-6, "no ringback"
        at_phone, at_client = leg.stream.mark(), mine.mark()
        leg.answer(200)
        await leg.got("ACK")
        await alice.connected(call)
        await pause(1.5)
        assert audio.seconds_of(mine.audio(at_client), PHONE_HZ, 8000) > 1
        assert audio.seconds_of(leg.stream.audio(at_phone), APP_HZ, 8000) > 1
        await alice.hangup(call)
        await leg.got("BYE")


@pytest_twisted.ensureDeferred
async def test_a_phones_caller_hears_nobody_while_it_rings(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call = phone.call("alice", phone.stream(hz=PHONE_HZ))
        await call.admitted()
        number = (await alice.incoming())["call"]
        ringing = await call.ringing()
        assert call.stream is not None
        if ringing.body:
            call.stream.send_to(*media_address(ringing.body))
        await pause(2)
        assert_no_tone(call.stream.audio(), 8000, [APP_HZ], "the phone")
        cancel = call.cancel()
        assert (await phone.final(cancel)).code == 200
        final = await call.final()
        assert final.code == 487
        call.ack(final)
        await alice.ended(number)


@pytest_twisted.ensureDeferred
async def test_two_app_clients_hear_nothing_before_the_accept(gateway: Gateway, cast: Cast) -> None:
    alice, bob = await cast.client(gateway, "alice"), await cast.client(gateway, "bob")
    async with nothing_left(gateway):
        mine = alice.stream(hz=APP_HZ)
        call = await alice.invite("user:bob", mine)
        await bob.incoming()
        await pause(2)
        assert_no_tone(mine.audio(), 8000, [PHONE_HZ], "alice")
        theirs = await bob.accept(call, bob.stream(hz=PHONE_HZ))
        await alice.connected(call)
        await bob.connected(call)
        connected = alice.when("call.connected", call)
        accepted = alice.when("call.accepted", call)
        assert accepted <= connected
        await until(lambda: theirs.heard.packets, "sound for bob", 5)
        await alice.hangup(call)
        await bob.ended(call)


@pytest_twisted.ensureDeferred
async def test_an_accept_without_media_does_not_connect(gateway: Gateway, cast: Cast) -> None:
    alice, bob = await cast.client(gateway, "alice"), await cast.client(gateway, "bob")
    async with nothing_left(gateway):
        mine = alice.stream(hz=APP_HZ)
        call = await alice.invite("user:bob", mine)
        await bob.incoming()
        await bob.request("call.accept", call=call)
        await alice.event("call.accepted", call=call)
        await pause(1)
        assert not alice.told("call.connected")
        theirs = bob.stream(hz=PHONE_HZ)
        answer = await bob.request("call.media", call=call, sdp=plain_offer(theirs))
        take_answer(theirs, answer["sdp"])
        await alice.connected(call)
        await bob.hangup(call)
        await alice.ended(call)


@pytest_twisted.ensureDeferred
async def test_a_former_party_that_speaks_on_is_not_heard(gateway: Gateway, cast: Cast) -> None:
    """Peers that go on sending after the end must not reach, or hear, the calls that follow."""
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        strays = []
        for _ in range(8):
            call, mine, sip = await app_calls_phone(alice, phone, (APP_HZ, PHONE_HZ))
            assert mine.remote is not None and sip.stream is not None
            ports = (mine.remote, sip.stream.remote)
            await alice.hangup(call)
            await alice.ended(call)
            await sip.got("BYE")
            for remote in ports:
                assert remote is not None
                strays.append(cast.stream("PCMU", 1900))
                strays[-1].send_to(*remote)
        for _ in range(4):
            call, mine, sip = await app_calls_phone(alice, phone, (APP_HZ, PHONE_HZ))
            assert sip.stream is not None
            await pause(1.5)
            for heard, hz, who in (
                (mine.audio(), PHONE_HZ, "the app client"),
                (sip.stream.audio(), APP_HZ, "the phone"),
            ):
                assert audio.seconds_of(heard, hz, 8000) > 0.8, f"{who} does not hear its peer"
                assert audio.power(heard, 1900, 8000) < 1e-6, f"{who} hears a stranger"
            await alice.hangup(call)
            await alice.ended(call)
        assert not any(s.heard.packets for s in strays), "a stranger hears a call"
