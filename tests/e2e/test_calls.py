"""Calls of every direction with plain RTP: audio, hold, mute, several clients, history."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from tests import audio
from tests.e2e.residue import nothing_left
from tests.e2e.talk import assert_tone
from tests.peers.app_client import AppClient, RpcError, plain_offer
from tests.peers.fixtures import Cast
from tests.peers.gateway import Gateway
from tests.peers.rtp import RtpStream
from tests.peers.sip_phone import SipCall, SipPhone
from tests.peers.waiting import pause, until


async def app_calls_phone(
    client: AppClient, phone: SipPhone, hz: tuple[float, float] = (1000, 440)
) -> tuple[str, RtpStream, SipCall]:
    """A connected call from an app client to a registered SIP phone; both speak."""
    mine = client.stream(hz=hz[0])
    seen = phone.messages.mark()
    call = await client.invite(f"sip:{phone.user}@dm.localhost", mine)
    incoming = await phone.incoming(since=seen)
    incoming.stream = phone.stream(hz=hz[1])
    incoming.answer(180)
    await client.event("call.ringing", call=call)
    incoming.answer(200)
    await incoming.got("ACK")
    await client.connected(call)
    return call, mine, incoming


async def phone_calls_app(
    phone: SipPhone, client: AppClient, hz: tuple[float, float] = (440, 1000)
) -> tuple[str, RtpStream, SipCall]:
    """A connected call from a registered SIP phone to an app client; both speak."""
    seen = client.events.mark()
    outgoing = phone.call(client.user, phone.stream(hz=hz[0]))
    await outgoing.admitted()
    call = (await client.incoming(since=seen))["call"]
    assert (await outgoing.ringing()).code == 180
    mine = await client.accept(call, client.stream(hz=hz[1]))
    await outgoing.answered()
    await client.connected(call)
    return call, mine, outgoing


async def hears(stream: RtpStream, hz: float, seconds: float = 2, who: str = "") -> None:
    """From now on the stream receives this tone."""
    await pause(0.4)
    mark = stream.mark()
    await pause(seconds + 0.3)
    assert_tone(stream.audio(mark), 8000, hz, seconds, who)


async def hears_silence(stream: RtpStream, *forbidden: float, seconds: float = 1) -> None:
    await pause(0.5)
    mark = stream.mark()
    await pause(seconds)
    heard = stream.audio(mark)
    for hz in forbidden:
        assert len(heard) == 0 or audio.power(heard, hz, 8000) < 1e-6, f"hears {hz} Hz"


@pytest_twisted.ensureDeferred
async def test_app_to_sip(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call, mine, sip = await app_calls_phone(alice, phone)
        assert sip.invite is not None and sip.stream is not None
        assert sip.invite.get("from").startswith('"Alice" <sip:alice@dm.localhost>')
        assert "X-DMGW" not in str(sip.invite).upper()
        assert sip.invite.get("contact").count(f":{gateway.sip.port}") == 1
        assert len(sip.invite.all("via")) == 1
        await hears(mine, 440, who="alice")
        await hears(sip.stream, 1000, who="the phone")
        told = [m for m, p in alice.events.seen if p.get("call") == call]
        order = ["call.media", "call.ringing", "call.accepted", "call.connected"]
        assert [m for m in told if m in order] == order
        await alice.hangup(call)
        await sip.got("BYE")
        ended = await alice.ended(call)
        assert (ended["reason"], ended["by"]) == ("completed", "caller")


@pytest_twisted.ensureDeferred
async def test_sip_to_app(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call, mine, sip = await phone_calls_app(phone, alice)
        assert sip.stream is not None
        await hears(mine, 440, who="alice")
        await hears(sip.stream, 1000, who="the phone")
        assert (await sip.bye()).code == 200
        ended = await alice.ended(call, 1)
        assert (ended["reason"], ended["by"]) == ("completed", "caller")


@pytest_twisted.ensureDeferred
async def test_app_to_app(gateway: Gateway, cast: Cast) -> None:
    alice, bob = await cast.client(gateway, "alice"), await cast.client(gateway, "bob")
    async with nothing_left(gateway):
        mine = alice.stream(hz=1000)
        call = await alice.invite("user:bob", mine, thread="t1")
        incoming = await bob.incoming()
        assert incoming["from"] == {"address": "user:alice", "name": "Alice"}
        assert incoming["thread"] == "t1" and incoming["call"] == call
        theirs = await bob.accept(call, bob.stream("PCMA", hz=700))
        await alice.event("call.accepted", call=call, by="user:bob")
        for client in (alice, bob):
            connected = await client.connected(call)
            assert {connected["codec"], connected["peer_codec"]} == {"PCMU", "PCMA"}
        await hears(mine, 700, who="alice")
        await hears(theirs, 1000, who="bob")
        await bob.hangup(call)
        for client in (alice, bob):
            ended = await client.ended(call, 1)
            assert (ended["reason"], ended["by"]) == ("completed", "callee")
            assert ended["duration_s"] > 4


@pytest_twisted.ensureDeferred
async def test_sip_to_sip(gateway: Gateway, cast: Cast) -> None:
    one, two = await cast.registered(gateway, "1001"), await cast.registered(gateway, "1002")
    async with nothing_left(gateway):
        outgoing = one.call("1002", one.stream("PCMU", 440))
        outgoing.send_invite()
        incoming = await two.incoming()
        incoming.stream = two.stream("PCMA", 700)
        incoming.answer(180)
        assert (await outgoing.ringing()).code == 180
        incoming.answer(200)
        await outgoing.answered()
        await incoming.got("ACK")
        assert outgoing.stream is not None
        await hears(outgoing.stream, 700, who="1001")
        await hears(incoming.stream, 440, who="1002")
        assert (await incoming.bye()).code == 200
        await outgoing.got("BYE", 1)


@pytest_twisted.ensureDeferred
async def test_echo_plays_back_to_both_kinds(gateway: Gateway, cast: Cast) -> None:
    alice = await cast.client(gateway)
    phone = await cast.registered(gateway)
    async with nothing_left(gateway):
        mine = alice.stream(hz=850)
        call = await alice.invite("service:echo", mine)
        await alice.connected(call)
        await hears(mine, 850, who="alice")
        await alice.hangup(call)
        await alice.ended(call)
        outgoing = phone.call("echo", phone.stream(hz=950))
        await outgoing.admitted()
        await outgoing.answered()
        assert outgoing.stream is not None
        await hears(outgoing.stream, 950, who="the phone")
        assert (await outgoing.bye()).code == 200


@pytest_twisted.ensureDeferred
async def test_all_clients_of_a_person_ring_and_the_first_has_the_call(
    gateway: Gateway, cast: Cast
) -> None:
    alice = await cast.client(gateway)
    bobs = [await cast.client(gateway, "bob") for _ in range(3)]
    async with nothing_left(gateway):
        call = await alice.invite("user:bob")
        for bob in bobs:
            assert (await bob.incoming())["call"] == call
        late = await cast.client(gateway, "bob")
        assert (await late.incoming())["call"] == call
        await bobs[1].accept(call)
        for other in (bobs[0], bobs[2], late):
            ended = await other.ended(call)
            assert (ended["reason"], ended["duration_s"]) == ("answered_elsewhere", 0)
            with pytest.raises(RpcError, match="4404"):
                await other.request("call.hangup", call=call)
        await alice.connected(call)
        await alice.hangup(call)
        await bobs[1].ended(call)
        assert not bobs[0].told("call.connected")
        await late.leave()


@pytest_twisted.ensureDeferred
async def test_all_contacts_of_an_account_ring_and_the_first_has_the_call(
    gateway: Gateway, cast: Cast
) -> None:
    phones = [await cast.registered(gateway) for _ in range(3)]
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call = await alice.invite("sip:1001@dm.localhost")
        legs = [await phone.incoming() for phone in phones]
        for leg, phone in zip(legs, phones, strict=True):
            leg.stream = phone.stream()
            leg.answer(180)
        legs[2].answer(200)
        await legs[2].got("ACK")
        await alice.connected(call)
        for leg in legs[:2]:
            cancel = await leg.got("CANCEL")
            assert "cause=200" in cancel.get("reason")
            leg.phone.send(SipPhone.refusal(cancel, 200))
            leg.answer(487, "Request Terminated")
            await leg.got("ACK")
        await alice.hangup(call)
        await legs[2].got("BYE")
    for phone in phones:
        await phone.register(expires=0)


@pytest_twisted.ensureDeferred
async def test_hold_and_mute_from_the_app(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call, mine, sip = await app_calls_phone(alice, phone)
        assert sip.stream is not None
        await hears(sip.stream, 1000, 1, "the phone")
        await alice.request("call.mute", call=call, muted=True)
        await hears_silence(sip.stream, 1000)
        await hears(mine, 440, 1, "alice, muted")
        await alice.request("call.mute", call=call, muted=False)
        await hears(sip.stream, 1000, 1, "the phone, unmuted")

        seen = phone.messages.mark()
        held = _in_background(alice.request("call.hold", call=call, held=True))
        await _answer_reinvite(phone, sip, seen, "sendonly", "recvonly")
        await held
        await hears_silence(sip.stream, 1000)
        mark = sip.stream.mark()
        await pause(1)
        assert not audio.is_silent(sip.stream.audio(mark)), "music on hold"
        await hears_silence(mine, 440)
        seen = phone.messages.mark()
        resumed = _in_background(alice.request("call.hold", call=call, held=False))
        await _answer_reinvite(phone, sip, seen, "sendrecv", "sendrecv")
        await resumed
        await hears(sip.stream, 1000, 1, "the phone, resumed")
        await hears(mine, 440, 1, "alice, resumed")
        await alice.hangup(call)
        await sip.got("BYE")


def _in_background(work: Any) -> Any:
    return Deferred.fromCoroutine(work)


async def _answer_reinvite(
    phone: SipPhone, sip: SipCall, since: int, offered: str, answered: str
) -> None:
    assert sip.stream is not None
    sip.invite = await sip.got("INVITE", since=since)
    assert f"a={offered}" in sip.invite.body or offered == "sendrecv", sip.invite.body
    sip.answer(200, "OK", plain_offer(sip.stream).replace("a=sendrecv", f"a={answered}"))
    await sip.got("ACK", since=since)


@pytest_twisted.ensureDeferred
async def test_hold_from_baresip_is_told(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.baresip(gateway, hz=440)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        mine = alice.stream()
        call = await alice.invite("sip:1001@dm.localhost", mine)
        await phone.incoming()
        await phone.accept()
        await alice.connected(call)
        await hears(mine, 440, 1, "alice")
        await phone.hold()
        await alice.event("call.held", call=call, held=True)
        await hears_silence(mine, 440)
        await phone.resume()
        await alice.event("call.held", call=call, held=False)
        await hears(mine, 440, 1, "alice, resumed")
        await alice.hangup(call)
        await phone.closed()


@pytest_twisted.ensureDeferred
async def test_a_client_that_comes_back_keeps_its_call(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call, mine, sip = await app_calls_phone(alice, phone)
        session = alice.session
        alice.drop()
        await alice.was_closed()
        await pause(0.5)
        opened = await alice.resume(gateway)
        assert opened["session"] == session
        await hears(mine, 440, 1, "alice, back again")
        assert (await sip.bye()).code == 200
        ended = await alice.ended(call)
        assert ended["reason"] == "completed"


@pytest_twisted.ensureDeferred
async def test_a_client_that_stays_away_loses_its_call(cast: Cast) -> None:
    gateway = await cast.gateway("app.plain_rtp=true", "app.reconnect_grace_s=1")
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        _, _, sip = await app_calls_phone(alice, phone)
        alice.drop()
        await sip.got("BYE", 4)
    history = await _history(await cast.client(gateway, "alice"))
    assert history[0]["reason"] == "network_lost"


async def _history(client: AppClient, **params: Any) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = (await client.request("history.list", **params))["calls"]
    return calls


@pytest_twisted.ensureDeferred
async def test_history_is_each_persons_own_and_newest_first(cast: Cast) -> None:
    gateway = await cast.gateway("app.plain_rtp=true")
    alice, bob = await cast.client(gateway, "alice"), await cast.client(gateway, "bob")
    eve = await cast.client(gateway, "eve")
    calls = []
    for reason in ("declined", "completed"):
        call = await alice.invite("user:bob")
        await bob.event("call.incoming", call=call)
        if reason == "declined":
            await bob.request("call.decline", call=call)
        else:
            await bob.accept(call)
            await alice.connected(call)
            await alice.hangup(call)
        assert (await alice.ended(call))["reason"] == reason
        await bob.ended(call)
        calls.append(call)

    async def both_finished() -> bool:
        listed = await _history(alice)
        return [c.get("reason") for c in listed] == ["completed", "declined"]

    await until(both_finished, "both calls in alice's history", 3)
    listed = await _history(alice)
    assert [c["call"] for c in listed] == calls[::-1]
    assert [c["call"] for c in await _history(bob)] == calls[::-1]
    assert await _history(eve) == []
    first = await alice.request("history.list", limit=1)
    assert [c["call"] for c in first["calls"]] == calls[1:]
    rest = await alice.request("history.list", limit=1, before=first["next"])
    assert [c["call"] for c in rest["calls"]] == calls[:1]

    rows = _rows(gateway)
    assert {r["call"] for r in rows} == set(calls)
    completed = next(r for r in rows if r["call"] == calls[1])
    assert completed["reason"] == "completed"
    assert completed["created_at"] <= completed["connected_at"] <= completed["ended_at"]


def _rows(gateway: Gateway) -> list[dict[str, Any]]:
    """The call records as another program sees them in the file."""
    with sqlite3.connect(f"file:{gateway.database}?mode=ro", uri=True) as db:
        db.row_factory = sqlite3.Row
        names = [r[0] for r in db.execute("select name from sqlite_master where type='table'")]
        table = next(n for n in names if "call" in n)
        return [dict(r) for r in db.execute(f"select * from {table}")]


@pytest.mark.parametrize("inwards", [True, False])
@pytest_twisted.ensureDeferred
async def test_a_phone_behind_nat(gateway: Gateway, cast: Cast, inwards: bool) -> None:
    """Its SDP names an address that only its own network knows."""
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        theirs = phone.stream(hz=440)
        private = plain_offer(theirs).replace("127.0.0.1", "10.255.0.9")
        if inwards:
            sip = phone.call("alice", theirs)
            await sip.admitted(private)
            call = (await alice.incoming())["call"]
            mine = await alice.accept(call, alice.stream(hz=1000))
            await sip.answered()
        else:
            mine = alice.stream(hz=1000)
            call = await alice.invite("sip:1001@dm.localhost", mine)
            sip = await phone.incoming()
            assert sip.invite is not None
            sip.stream = theirs
            sip.answer(200, "OK", private)
            sip.listen_to(sip.invite.body)
            await sip.got("ACK")
        await alice.connected(call)
        await hears(mine, 440, 1, "alice")
        await hears(theirs, 1000, 1, "the phone")
        assert (await sip.bye()).code == 200
        await alice.ended(call)
