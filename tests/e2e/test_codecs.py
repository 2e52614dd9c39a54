"""Negotiation: offerless, changed in a call, odd payload types and packet times, in G.722."""

from __future__ import annotations

import re

import pytest
import pytest_twisted

from tests.e2e.residue import nothing_left
from tests.e2e.talk import assert_tone
from tests.e2e.test_calls import app_calls_phone, hears, phone_calls_app
from tests.peers.app_client import event_type, plain_offer
from tests.peers.fixtures import Cast
from tests.peers.gateway import Gateway
from tests.peers.waiting import pause


@pytest_twisted.ensureDeferred
async def test_a_reinvite_changes_the_codec(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call, mine, sip = await phone_calls_app(phone, alice)
        assert sip.stream is not None
        await hears(mine, 440, 1, "alice, PCMU")
        sip.stream.quiet()
        sip.stream.payload_type, sip.stream.codec = 8, "PCMA"
        sip.stream.say(440)
        sip.send_invite(plain_offer(sip.stream, ("PCMA",)))
        answer = await sip.answered()
        assert re.search(r"^m=audio \d+ RTP/AVP 8\b", answer.body, re.M), answer.body
        await hears(mine, 440, 1, "alice, PCMA")
        mark = sip.stream.mark()
        await hears(sip.stream, 1000, 1, "the phone, PCMA")
        assert {p[3] for p in sip.stream.heard.packets[mark + 10 :]} == {8}
        assert (await sip.bye()).code == 200
        await alice.ended(call)


@pytest_twisted.ensureDeferred
async def test_an_invite_without_offer(gateway: Gateway, cast: Cast) -> None:
    """The 2xx carries the offer, the ACK the answer (RFC 3261 §13.2.1)."""
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call = phone.call("alice", phone.stream(hz=440))
        await call.admitted("")
        number = (await alice.incoming())["call"]
        mine = await alice.accept(number)
        final = await call.final()
        assert final.code == 200
        offered = re.findall(r"^a=rtpmap:\d+ (\S+)", final.body, re.M)
        assert [o.split("/")[0] for o in offered[:3]] == ["G722", "PCMU", "PCMA"]
        assert call.stream is not None
        call.learn(final)
        call.ack(final, plain_offer(call.stream))
        call.listen_to(final.body.replace("RTP/AVP 9 0", "RTP/AVP 0"))
        await alice.connected(number)
        await hears(mine, 440, 1, "alice")
        assert (await call.bye()).code == 200
        await alice.ended(number)


@pytest_twisted.ensureDeferred
async def test_event_types_may_differ_each_way(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        stream = phone.stream(hz=440)
        stream.event_pt = 121
        call = phone.call("alice", stream)
        await call.admitted()
        number = (await alice.incoming())["call"]
        await alice.accept(number)
        answer = await call.answered()
        theirs = event_type(answer.body)
        assert theirs is not None
        await alice.connected(number)
        await alice.request("call.dtmf", call=number, digits="42")
        await pause(0.3)
        assert stream.digits() == "42"
        assert stream.send_event_pt == theirs
        await stream.press("7")
        await alice.event("call.dtmf", call=number, digit="7")
        assert (await call.bye()).code == 200
        await alice.ended(number)


@pytest.mark.parametrize("ptime", [10, 40, 60])
@pytest_twisted.ensureDeferred
async def test_packet_times(gateway: Gateway, cast: Cast, ptime: int) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        stream = phone.stream(hz=440)
        call = phone.call("alice", stream)
        await call.admitted(plain_offer(stream).replace("a=ptime:20", f"a=ptime:{ptime}"))
        number = (await alice.incoming())["call"]
        await alice.accept(number)
        await call.answered()
        await alice.connected(number)
        await pause(0.5)
        mark = stream.mark()
        await pause(1.5)
        sizes = {len(p[4]) for p in stream.heard.packets[mark:] if p[3] == 0}
        assert sizes == {8 * ptime}, sizes
        assert_tone(stream.audio(mark), 8000, 1000, 1.2, f"the phone, {ptime} ms")
        assert (await call.bye()).code == 200
        await alice.ended(number)


@pytest_twisted.ensureDeferred
async def test_g722_to_pcma(gateway: Gateway, cast: Cast) -> None:
    """baresip in G.722 alone, the app client in PCMA alone: PJSIP transcodes between."""
    phone = await cast.baresip(gateway, codecs=["G722"], hz=600)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        mine = alice.stream("PCMA", hz=1000)
        call = await alice.invite("sip:1001@dm.localhost", mine)
        await phone.incoming()
        await phone.accept()
        connected = await alice.connected(call)
        assert (connected["codec"], connected["peer_codec"]) == ("PCMA", "G722")
        await hears(mine, 600, 2, "alice")
        heard, rate = phone.heard()
        assert rate == 16_000
        assert_tone(heard[rate:], rate, 1000, 1, "baresip")
        await alice.hangup(call)
        await phone.closed()


@pytest_twisted.ensureDeferred
async def test_a_phone_without_a_common_codec(gateway: Gateway, cast: Cast) -> None:
    """The phone answers our offer with a codec that was not in it: the call ends."""
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call = await alice.invite("sip:1001@dm.localhost")
        leg = await phone.incoming()
        leg.stream = phone.stream()
        leg.answer(200, "OK", plain_offer(leg.stream, ("QCELP",)))
        ended = await alice.ended(call, 8)
        assert ended["reason"] == "media_failed"
        await leg.got("BYE", 8)


@pytest_twisted.ensureDeferred
async def test_an_answer_that_would_end_a_worker(gateway: Gateway, cast: Cast) -> None:
    """An address over 253 characters aborts PJSIP; the worker never sees it."""
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    workers = {p.pid for p in gateway.workers()}
    async with nothing_left(gateway):
        for line in ("c=IN IP4 127.0.0.1", "c=IN IP4 127.0.0.1\r\na=rtcp:9 IN IP4 127.0.0.1"):
            call = await alice.invite("sip:1001@dm.localhost")
            leg = await phone.incoming()
            leg.stream = phone.stream()
            sdp = plain_offer(leg.stream).replace("c=IN IP4 127.0.0.1", line)
            head, _, tail = sdp.rpartition("127.0.0.1")
            leg.answer(200, "OK", f"{head}{'a' * 300}{tail}")
            ended = await alice.ended(call, 8)
            assert ended["reason"] == "media_failed"
            await leg.got("BYE", 8)
            phone.messages.seen.clear()
    assert workers <= {p.pid for p in gateway.workers()}


@pytest_twisted.ensureDeferred
async def test_the_offer_to_a_phone_is_ours_in_order(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call, _, sip = await app_calls_phone(alice, phone)
        assert sip.invite is not None
        media = re.search(r"^m=audio \d+ RTP/AVP (.*)$", sip.invite.body, re.M)
        assert media is not None
        assert media[1].split()[:3] == ["9", "0", "8"]
        assert event_type(sip.invite.body) is not None
        assert "ssrc" not in sip.invite.body or "a=crypto" not in sip.invite.body
        await alice.hangup(call)
        await sip.got("BYE")
