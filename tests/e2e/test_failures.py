"""Calls that do not come about: the code and the reason each time, and nothing left behind."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from tests.e2e.residue import nothing_left
from tests.e2e.test_calls import app_calls_phone, phone_calls_app
from tests.peers.app_client import RpcError, plain_offer
from tests.peers.fixtures import SHARED, Cast
from tests.peers.gateway import Gateway
from tests.peers.sip_phone import SipCall, SipPhone
from tests.peers.waiting import pause

RING_S = 3


@pytest_twisted.async_yield_fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    directory = tmp_path_factory.mktemp("gateway")
    made = Gateway(directory, *SHARED, f"calls.ring_s={RING_S}", "sip.digest_algorithms=[MD5]")
    try:
        await made.up()
        yield made
    finally:
        await made.end()


# -- a SIP caller


@pytest_twisted.ensureDeferred
async def test_sipp_with_a_wrong_password_is_refused(gateway: Gateway, cast: Cast) -> None:
    await cast.client(gateway)
    async with nothing_left(gateway):
        sipp = cast.sipp("refused", gateway, password="wrong-one", final=403)
        (await sipp.run()).assert_all(1)
        register = cast.sipp("register", gateway, password="wrong-one", final=403)
        (await register.run()).assert_all(1)
        assert await gateway.metric("dmgw_registrations") == 0


@pytest_twisted.ensureDeferred
async def test_sipp_calls_somebody_unknown(gateway: Gateway, cast: Cast) -> None:
    async with nothing_left(gateway):
        sipp = cast.sipp("refused", gateway, service="nobody", final=404, calls=5)
        (await sipp.run()).assert_all(5)


@pytest_twisted.ensureDeferred
async def test_sipp_rings_in_vain(gateway: Gateway, cast: Cast) -> None:
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        sipp = cast.sipp("refused", gateway, final=480)
        call = (await alice.incoming())["call"]
        (await sipp.run()).assert_all(1)
        ended = await alice.ended(call)
        assert (ended["reason"], ended["by"]) == ("no_answer", "gateway")


@pytest.mark.parametrize(("reason", "code"), [("declined", 603), ("busy", 486)])
@pytest_twisted.ensureDeferred
async def test_sipp_is_turned_down(gateway: Gateway, cast: Cast, reason: str, code: int) -> None:
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        sipp = cast.sipp("refused", gateway, final=code)
        call = (await alice.incoming())["call"]
        await alice.request("call.decline", call=call, reason=reason)
        ended = await alice.ended(call)
        assert (ended["reason"], ended["by"]) == (reason, "callee")
        (await sipp.run()).assert_all(1)


@pytest_twisted.ensureDeferred
async def test_sipp_gives_up_while_it_rings(gateway: Gateway, cast: Cast) -> None:
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        sipp = cast.sipp("cancelled", gateway, hold_ms=300)
        call = (await alice.incoming())["call"]
        (await sipp.run()).assert_all(1)
        ended = await alice.ended(call)
        assert (ended["reason"], ended["by"]) == ("cancelled", "caller")


@pytest_twisted.ensureDeferred
async def test_cancel_right_behind_the_invite(gateway: Gateway, cast: Cast) -> None:
    """Both leave before any response came: the INVITE ends with 487, whatever it has reached."""
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        for delay in (0.0, 0.002, 0.01, 0.03):
            call = phone.call("alice", phone.stream())
            call.send_invite()
            if delay:
                await pause(delay)
            cancel = call.cancel()
            assert (await phone.final(cancel)).code == 200
            final = await call.final()
            assert final.code == 487
            call.ack(final)
        for told in alice.told("call.incoming"):
            assert (await alice.ended(told["call"]))["reason"] == "cancelled"


@pytest_twisted.ensureDeferred
async def test_cancel_crossing_the_answer(gateway: Gateway, cast: Cast) -> None:
    """The 200 is out already: the CANCEL changes nothing, the caller says ACK and BYE."""
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call = phone.call("alice", phone.stream())
        await call.admitted()
        number = (await alice.incoming())["call"]
        await alice.accept(number)
        final = await call.final()
        assert final.code == 200
        cancel = call.cancel()
        assert (await phone.final(cancel)).code in (200, 481)
        await call.answered()
        await alice.connected(number)
        assert (await call.bye()).code == 200
        assert (await alice.ended(number))["reason"] == "completed"


@pytest_twisted.ensureDeferred
async def test_foreign_domains_are_not_relayed(gateway: Gateway, cast: Cast) -> None:
    trap = cast.sip_phone("127.0.0.1:9", "victim")
    async with nothing_left(gateway):
        stranger = cast.phone(gateway, "mallory", password="guessed-it")
        for to in (f"sip:victim@127.0.0.1:{trap.port}", "sip:victim@example.org"):
            call = stranger.call(to, stranger.stream())
            response = await call.admitted()
            assert response.code in (403, 404, 407), str(response)
            call.ack(response)
        known = await cast.registered(gateway)
        call = known.call(f"sip:victim@127.0.0.1:{trap.port}", known.stream())
        call.send_invite()
        final = await call.final()
        assert final.code in (403, 404)
        call.ack(final)
        worker = next(iter(gateway.workers()))
        ports = [c.laddr.port for c in worker.net_connections("udp4")]
        for port in ports:
            call = known.call(f"sip:x@127.0.0.1:{port}", known.stream())
            call.send_invite()
            final = await call.final()
            assert final.code in (403, 404)
            call.ack(final)
        assert not trap.messages.seen


@pytest_twisted.ensureDeferred
async def test_no_common_codec_is_488(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        stream = phone.stream()
        call = phone.call("alice", stream)
        call.send_invite(plain_offer(stream, ("QCELP",)))
        final = await call.final()
        assert final.code == 488
        call.ack(final)
        for incoming in alice.told("call.incoming"):
            assert (await alice.ended(incoming["call"]))["reason"] == "media_failed"


# -- a SIP callee

FROM_SIP = {
    403: "declined",
    404: "unreachable",
    408: "no_answer",
    410: "unreachable",
    415: "media_failed",
    480: "no_answer",
    484: "unreachable",
    486: "busy",
    488: "media_failed",
    500: "gateway_error",
    502: "unreachable",
    503: "unreachable",
    504: "unreachable",
    600: "busy",
    603: "declined",
}
TO_SIP = {"declined": 603, "unreachable": 404, "no_answer": 480, "busy": 486, "media_failed": 488}


@pytest_twisted.ensureDeferred
async def test_every_refusal_of_a_phone_has_its_reason(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    caller = await cast.registered(gateway, "1002")
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        for code, reason in FROM_SIP.items():
            seen = phone.messages.mark()
            call = await alice.invite("sip:1001@dm.localhost")
            leg = await phone.incoming(since=seen)
            leg.answer(code)
            await leg.got("ACK")
            ended = await alice.ended(call)
            assert ended["reason"] == reason, f"{code}: {ended}"
            assert ended["by"] == "callee", f"{code}: {ended}"

            seen = phone.messages.mark()
            outgoing = caller.call("1001", caller.stream())
            outgoing.send_invite()
            leg = await phone.incoming(since=seen)
            leg.answer(code)
            final = await outgoing.final()
            outgoing.ack(final)
            assert final.code == TO_SIP.get(reason, 500), f"{code}: {final}"


@pytest_twisted.ensureDeferred
async def test_a_phone_that_rings_in_vain(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call = await alice.invite("sip:1001@dm.localhost")
        leg = await phone.incoming()
        leg.answer(180)
        await _be_cancelled(leg, RING_S + 2)
        ended = await alice.ended(call)
        assert (ended["reason"], ended["by"]) == ("no_answer", "gateway")


@pytest_twisted.ensureDeferred
async def test_the_app_gives_up_before_and_while_it_rings(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        for rings in (True, False):
            seen = phone.messages.mark()
            call = await alice.invite("sip:1001@dm.localhost")
            leg = await phone.incoming(since=seen)
            if rings:
                leg.answer(180)
                await alice.event("call.ringing", call=call)
            await alice.hangup(call)
            if not rings:
                leg.answer(180)  # a CANCEL may go only after a provisional response (§9.1)
            await _be_cancelled(leg)
            ended = await alice.ended(call)
            assert (ended["reason"], ended["by"]) == ("cancelled", "caller")


@pytest_twisted.ensureDeferred
async def test_the_app_gives_up_as_the_phone_answers(gateway: Gateway, cast: Cast) -> None:
    """CANCEL and 200 cross: the phone is told BYE (RFC 3261 §9.1, §15)."""
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call = await alice.invite("sip:1001@dm.localhost")
        leg = await phone.incoming()
        leg.stream = phone.stream()
        leg.answer(180)
        await alice.event("call.ringing", call=call)
        await alice.hangup(call)
        leg.answer(200)
        await leg.got("ACK")
        await leg.got("BYE")
        assert (await alice.ended(call))["reason"] in ("cancelled", "completed")


async def _be_cancelled(leg: SipCall, timeout_s: float = 5) -> None:
    cancel = await leg.got("CANCEL", timeout_s)
    leg.phone.send(SipPhone.refusal(cancel, 200))
    leg.answer(487, "Request Terminated")
    await leg.got("ACK")


@pytest_twisted.ensureDeferred
async def test_nobody_there(gateway: Gateway, cast: Cast) -> None:
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        for to in ("sip:1002@dm.localhost", "user:nobody", "tel:+4930123456", "sip:a@example.org"):
            call = await alice.invite(to)
            ended = await alice.ended(call)
            assert (ended["reason"], ended["duration_s"]) == ("unreachable", 0), to


@pytest_twisted.ensureDeferred
async def test_an_unusable_offer_is_4488(gateway: Gateway, cast: Cast) -> None:
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        stream = alice.stream()
        for sdp in (plain_offer(stream, ("QCELP",)), "v=0\r\n", "nonsense"):
            with pytest.raises(RpcError, match="4488"):
                await alice.invite("service:echo", stream, sdp)


# -- crossings in an established call


@pytest_twisted.ensureDeferred
async def test_bye_crosses_a_reinvite_of_ours(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call, _, sip = await app_calls_phone(alice, phone)
        seen = phone.messages.mark()
        holding = Deferred.fromCoroutine(alice.request("call.hold", call=call, held=True))
        holding.addErrback(lambda _: None)  # it may fail: the call ends under it
        sip.invite = await sip.got("INVITE", since=seen)
        assert (await sip.bye()).code == 200
        sip.answer(487, "Request Terminated")
        assert (await alice.ended(call, 2))["reason"] == "completed"
        await holding


@pytest_twisted.ensureDeferred
async def test_bye_right_behind_a_reinvite_of_the_phones(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call, _, sip = await phone_calls_app(phone, alice)
        sip.send_invite()
        bye = sip.request("BYE")
        phone.send(bye)
        assert (await phone.final(bye)).code == 200
        assert (await alice.ended(call, 2))["reason"] == "completed"
        final = await sip.final()
        sip.ack(final)


@pytest_twisted.ensureDeferred
async def test_both_hang_up_at_once(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call, _, sip = await app_calls_phone(alice, phone)
        bye = sip.request("BYE")
        phone.send(bye)
        try:
            await alice.request("call.hangup", call=call)
        except RpcError as e:  # the phone's was the first to arrive
            assert e.code == 4404
        assert (await phone.final(bye)).code in (200, 481)
        assert (await alice.ended(call))["reason"] == "completed"


@pytest_twisted.ensureDeferred
async def test_reinvites_of_both_sides_cross(gateway: Gateway, cast: Cast) -> None:
    """Glare: the phone says 491 and ours is tried again (RFC 3261 §14.1)."""
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call, _, sip = await app_calls_phone(alice, phone)
        seen = phone.messages.mark()
        holding = Deferred.fromCoroutine(alice.request("call.hold", call=call, held=True))
        holding.addErrback(lambda _: None)  # refusing it is as good as trying again
        theirs = await sip.got("INVITE", since=seen)
        sip.send_invite()
        ours = sip.invite
        final = await sip.final()
        assert final.code in (491, 500), str(final)
        sip.ack(final)
        sip.invite = theirs
        sip.answer(491, "Request Pending")
        sip.invite = ours
        assert (await sip.bye()).code == 200
        assert (await alice.ended(call))["reason"] == "completed"
        await holding


@pytest_twisted.ensureDeferred
async def test_a_retransmitted_invite_makes_one_call(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call = phone.call("alice", phone.stream())
        invite = call.send_invite()
        number = (await alice.incoming())["call"]
        for _ in range(5):
            seen = phone.messages.mark()
            sent = phone.send(invite)
            index = await phone.messages.expect_at(lambda m: m.code > 0, "a response", since=seen)
            assert phone.arrivals[index] - sent < 0.1
        assert len(alice.told("call.incoming")) == 1
        cancel = call.cancel()
        assert (await phone.final(cancel)).code == 200
        final = await call.final()
        assert final.code == 487
        call.ack(final)
        await alice.ended(number)


@pytest_twisted.ensureDeferred
async def test_a_dialog_that_is_not_there_is_481(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call, _, sip = await phone_calls_app(phone, alice)
        real = sip.remote
        sip.remote = real + "x"
        assert (await sip.bye()).code == 481
        sip.remote = real
        assert (await sip.bye()).code == 200
        assert (await sip.bye()).code == 481
        await alice.ended(call)
