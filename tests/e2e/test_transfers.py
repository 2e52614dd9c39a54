"""Transfers by REFER and by call.transfer: who hears whom afterwards, and who is told what."""

from __future__ import annotations

import re

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from tests.e2e.residue import nothing_left
from tests.e2e.test_calls import app_calls_phone, hears, phone_calls_app
from tests.peers.app_client import RpcError
from tests.peers.fixtures import Cast
from tests.peers.gateway import Gateway
from tests.peers.sip_message import SipMessage
from tests.peers.sip_phone import SipCall, reply
from tests.peers.waiting import until


async def notified(leg: SipCall, code: int) -> SipMessage:
    """The next NOTIFY that says so, answered."""
    since = leg.began
    while True:
        request = await leg.got("NOTIFY", 8, since)
        since = leg.phone.messages.seen.index(request) + 1
        leg.phone.send(reply(request, 200, "OK"))
        if f"SIP/2.0 {code} " in request.body:
            return request


@pytest.mark.parametrize("leaves_first", [False, True])
@pytest_twisted.ensureDeferred
async def test_a_phone_transfers_an_app_user_to_another_phone(
    gateway: Gateway, cast: Cast, leaves_first: bool
) -> None:
    first, second = await cast.registered(gateway), await cast.registered(gateway, "1002")
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call, mine, leg = await app_calls_phone(alice, first, hz=(1000, 440))
        refer = await leg.in_dialog(
            "REFER", "", ("refer-to", "<sip:1002@dm.localhost>"), ("referred-by", "<sip:1001@x>")
        )
        assert refer.code == 202
        other = await second.incoming()
        assert "alice" in (other.invite.get("from") if other.invite else "")
        if leaves_first:
            await leg.bye()
        other.stream = second.stream(hz=700)
        other.answer(180)
        if not leaves_first:
            await notified(leg, 180)
        other.answer(200)
        await other.got("ACK")
        if not leaves_first:
            done = await notified(leg, 200)
            assert done.get("event") == "refer"
            assert done.get("subscription-state").startswith("terminated")
            await leg.got("BYE")
        await hears(mine, 700, 2, "alice")
        assert other.stream is not None
        await hears(other.stream, 1000, 2, "the second phone")
        await alice.hangup(call)
        await other.got("BYE")


@pytest_twisted.ensureDeferred
async def test_an_app_user_transfers_a_phone_to_another_app_user(
    gateway: Gateway, cast: Cast
) -> None:
    phone = await cast.registered(gateway)
    alice, bob = await cast.client(gateway), await cast.client(gateway, "bob")
    async with nothing_left(gateway):
        call, _mine, leg = await phone_calls_app(phone, alice, hz=(440, 1000))
        asked = Deferred.fromCoroutine(alice.request("call.transfer", call=call, to="user:bob"))
        incoming = await bob.incoming()
        assert incoming["from"]["address"] == "sip:1001@dm.localhost"
        theirs = await bob.accept(incoming["call"], bob.stream(hz=700))
        await bob.connected(incoming["call"])
        assert await asked == {}
        ended = await alice.ended(call)
        assert (ended["reason"], ended["by"]) == ("completed", "callee")
        await hears(theirs, 440, 2, "bob")
        assert leg.stream is not None
        await hears(leg.stream, 700, 2, "the phone")
        await leg.bye()
        assert (await bob.ended(incoming["call"]))["reason"] == "completed"


@pytest_twisted.ensureDeferred
async def test_a_transfer_that_is_declined_leaves_the_call_as_it_was(
    gateway: Gateway, cast: Cast
) -> None:
    phone = await cast.registered(gateway)
    alice, bob = await cast.client(gateway), await cast.client(gateway, "bob")
    async with nothing_left(gateway):
        call, mine, leg = await phone_calls_app(phone, alice, hz=(440, 1000))
        asked = Deferred.fromCoroutine(alice.request("call.transfer", call=call, to="user:bob"))
        incoming = await bob.incoming()
        await bob.request("call.decline", call=incoming["call"])
        with pytest.raises(RpcError, match="603"):
            await asked
        with pytest.raises(RpcError, match="unreachable"):
            await alice.request("call.transfer", call=call, to="user:nobody")
        await hears(mine, 440, 1, "alice")
        refer = await leg.in_dialog("REFER", "", ("refer-to", "<sip:nobody@dm.localhost>"))
        assert refer.code == 202
        await notified(leg, 488)
        await hears(mine, 440, 1, "alice")
        await alice.hangup(call)


@pytest_twisted.ensureDeferred
async def test_an_attended_transfer(gateway: Gateway, cast: Cast) -> None:
    """A phone is in two calls, and joins the two others."""
    phone = await cast.registered(gateway)
    alice, bob = await cast.client(gateway), await cast.client(gateway, "bob")
    async with nothing_left(gateway):
        one, mine, first = await app_calls_phone(alice, phone, hz=(1000, 440))
        two, theirs, second = await phone_calls_app(phone, bob, hz=(480, 700))
        local = re.search(r"tag=(\w+)", second.local)
        remote = re.search(r"tag=([^;>]+)", second.remote)
        assert local is not None and remote is not None
        value = f"{second.call_id}%3Bto-tag%3D{remote[1]}%3Bfrom-tag%3D{local[1]}"
        target = f"<sip:bob@dm.localhost?Replaces={value}>"
        wrong = target.replace(remote[1], "guessed")
        assert (await first.in_dialog("REFER", "", ("refer-to", wrong))).code == 481
        assert (await first.in_dialog("REFER", "", ("refer-to", target))).code == 202
        await notified(first, 200)
        await first.got("BYE")
        await second.got("BYE")
        await hears(mine, 700, 2, "alice")
        await hears(theirs, 1000, 2, "bob")
        await alice.hangup(one)
        assert (await bob.ended(two))["reason"] == "completed"


@pytest_twisted.ensureDeferred
async def test_referrals_that_are_refused(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call, mine, leg = await app_calls_phone(alice, phone)
        for refer_to, code in (
            ("<sip:1002@elsewhere.example>", 202),
            ("<http://example.org>", 400),
            ("<sip:1002@dm.localhost;method=SUBSCRIBE>", 400),
            ("<sip:1002@dm.localhost?Replaces=x>", 400),
            ("<sip:1002@dm.localhost?Replaces=x%3Bto-tag%3Da%3Bfrom-tag%3Db>", 481),
        ):
            answer = await leg.in_dialog("REFER", "", ("refer-to", refer_to))
            assert answer.code == code, refer_to
            if code == 202:  # a foreign domain: no relay, and the phone is told so
                await notified(leg, 488)
        assert (await leg.in_dialog("REFER", "")).code == 400
        await hears(mine, 440, 1, "alice")
        await alice.hangup(call)
        await until(lambda: phone.messages.seen, "messages", 1)


@pytest_twisted.ensureDeferred
async def test_baresip_transfers(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.baresip(gateway, hz=440)
    alice, bob = await cast.client(gateway), await cast.client(gateway, "bob")
    async with nothing_left(gateway):
        mine = alice.stream(hz=1000)
        call = await alice.invite("sip:1001@dm.localhost", mine)
        await phone.incoming()
        await phone.accept()
        await alice.connected(call)
        await phone.established()
        await phone.command("transfer", "sip:bob@dm.localhost")
        incoming = await bob.incoming()
        assert incoming["from"]["address"] == "user:alice"
        theirs = await bob.accept(incoming["call"], bob.stream(hz=700))
        await bob.connected(incoming["call"])
        await phone.closed()
        await hears(mine, 700, 2, "alice")
        await hears(theirs, 1000, 2, "bob")
        await bob.hangup(incoming["call"])
        assert (await alice.ended(call))["reason"] == "completed"
