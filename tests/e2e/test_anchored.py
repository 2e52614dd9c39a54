"""Softphones that PJSIP alone could not serve: DTLS-SRTP and Opus, through rtpengine."""

from __future__ import annotations

import re
from typing import Any

import pytest
import pytest_twisted

from tests import audio
from tests.e2e.residue import nothing_left
from tests.e2e.talk import assert_tone
from tests.e2e.test_calls import hears
from tests.e2e.test_trunks import NUMBER, office, routing
from tests.peers.fixtures import Cast
from tests.peers.gateway import Gateway
from tests.peers.rtp import RtpStream
from tests.peers.waiting import pause

PHONES = {
    "DTLS-SRTP": {"media": "dtls_srtp"},
    "DTLS-SRTP and Opus": {"media": "dtls_srtp", "codecs": ["opus"]},
    "Opus alone": {"codecs": ["opus"]},
}


@pytest.mark.parametrize("options", PHONES.values(), ids=PHONES.keys())
@pytest_twisted.ensureDeferred
async def test_such_a_phone_calls(gateway: Gateway, cast: Cast, options: dict[str, Any]) -> None:
    phone = await cast.baresip(gateway, hz=440, **options)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        await phone.dial("sip:alice@dm.localhost")
        call = (await alice.incoming())["call"]
        mine = await alice.accept(call, alice.stream(hz=1000))
        await alice.connected(call)
        await phone.established()
        await hears(mine, 440, 3, "alice")
        await pause(0.5)
        heard, rate = phone.heard()
        assert_tone(heard[-3 * rate :], rate, 1000, 2.5, "the phone")
        await phone.hangup()
        await alice.ended(call)


def strangers(cast: Cast) -> list[RtpStream]:
    """From another host, and from another port of the far end's own."""
    return [cast.stream(hz=1700, host="127.0.0.7"), cast.stream(hz=2300)]


@pytest.mark.parametrize("silent", [False, True], ids=["speaks", "silent at first"])
@pytest_twisted.ensureDeferred
async def test_a_stranger_is_neither_heard_nor_sent_anything(cast: Cast, silent: bool) -> None:
    """Who sprays the ports of an anchored leg, before the call and in it."""
    trunk = {"name": "main", "media": "rtpengine"}
    here = await office(cast, [trunk], routing("main"))
    carrier, alice = here.carriers["main"], await cast.client(here.gateway)
    early, late = strangers(cast), strangers(cast)
    async with nothing_left(here.gateway):
        mine = alice.stream(hz=1000)
        call = await alice.invite(f"tel:{NUMBER}", mine)
        leg = await carrier.incoming()
        assert leg.invite is not None
        port = re.search(r"^m=audio (\d+)", leg.invite.body, re.M)
        assert port is not None
        for stranger in early:
            stranger.send_to("127.0.0.1", int(port[1]))
        await pause(0.3)
        leg.stream = carrier.stream(hz=440)
        if silent:
            leg.stream.say(440)
        leg.answer(200)
        await leg.got("ACK")
        if silent:
            leg.stream.quiet()
        await alice.connected(call)
        await pause(0.5)
        for stranger in late:
            stranger.send_to("127.0.0.1", int(port[1]))
        mark = mine.mark()
        if not silent:
            await hears(mine, 440, 1.5, "alice")
        else:
            await pause(4.5)  # rtpengine learns where a peer is for three seconds
        heard = mine.audio(mark)
        for hz in (1700.0, 2300.0):
            assert not len(heard) or audio.power(heard, hz, 8000) < 1e-5, f"a stranger at {hz} Hz"
        await hears(leg.stream, 1000, 1.5, "the telephone")
        for stranger in (*early, *late):
            assert not len(stranger.audio()), "a stranger is sent what the call says"
            stranger.quiet()
        await alice.hangup(call)
        await leg.got("BYE")
