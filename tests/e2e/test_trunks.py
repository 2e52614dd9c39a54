"""Telephone numbers over trunks: audio, failover, capacity, who may come in, and as whom."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from tests import audio
from tests.e2e.residue import nothing_left
from tests.e2e.test_calls import hears, hears_silence
from tests.peers.app_client import plain_offer
from tests.peers.fixtures import SHARED, Cast
from tests.peers.gateway import Gateway
from tests.peers.sip_phone import SipCall, SipPhone
from tests.peers.waiting import pause

NUMBER = "+14155552671"
OURS = "+14155550100"


class Office:
    """A gateway with trunks to carriers that the test speaks for."""

    def __init__(self, gateway: Gateway, carriers: dict[str, SipPhone]) -> None:
        self.gateway = gateway
        self.carriers = carriers


def routing(*trunks: Any, **more: Any) -> dict[str, Any]:
    return {
        "routes": [{"name": "world", "prefix": "+", "trunks": list(trunks), **more}],
        "numbers": [
            {"number": OURS, "to": "user:alice"},
            {"number": "+14155550101", "to": ["user:alice", "user:bob"]},
            {"number": "+14155550102", "to": ["user:bob", "user:alice"], "order": "in_turn"},
        ],
        "caller_id": {"pool": [OURS]},
        "home_country": "US",
    }


async def office(
    cast: Cast, trunks: list[dict[str, Any]], plan: dict[str, Any], *sets: str
) -> Office:
    """Carriers by trunk name; an ``address`` that is set already is nobody of ours."""
    carriers: dict[str, SipPhone] = {}
    for trunk in trunks:
        if "address" not in trunk:
            phone = cast.sip_phone("127.0.0.1:9", "carrier")
            trunk["address"] = f"127.0.0.1:{phone.port}"
            carriers[trunk["name"]] = phone
        trunk.setdefault("options_s", 0)
    gateway = await cast.gateway(
        *SHARED, f"trunks={json.dumps(trunks)}", f"routing={json.dumps(plan)}", *sets
    )
    for phone in carriers.values():
        phone.server = (gateway.sip.host, gateway.sip.port)
    return Office(gateway, carriers)


@pytest_twisted.async_yield_fixture
async def one(cast: Cast) -> AsyncIterator[Office]:
    """One trunk, whose calls come from this machine."""
    trunk = {
        "name": "main",
        "sources": ["127.0.0.0/8"],
        "max_calls": 3,
        "calls_per_s": 50,
        "headers": {"add": {"X-Customer": "4711"}, "remove": ["User-Agent"]},
    }
    yield await office(cast, [trunk], routing("main"))


async def answered(phone: SipPhone, hz: float = 440, since: int = 0) -> SipCall:
    call = await phone.incoming(since=since)
    call.stream = phone.stream(hz=hz)
    call.answer(180)
    call.answer(200)
    await call.got("ACK")
    return call


@pytest_twisted.ensureDeferred
async def test_a_call_out(one: Office, cast: Cast) -> None:
    alice = await cast.client(one.gateway)
    carrier = one.carriers["main"]
    async with nothing_left(one.gateway):
        mine = alice.stream(hz=1000)
        call = await alice.invite(f"tel:{NUMBER}", mine)
        leg = await answered(carrier)
        invite = leg.invite
        assert invite is not None
        assert invite.first == f"INVITE sip:{NUMBER}@127.0.0.1;user=phone SIP/2.0"
        assert f"<sip:{OURS}@127.0.0.1;user=phone>" in invite.get("from")
        assert "alice@" not in str(invite)
        assert "X-DMGW" not in str(invite).upper()
        assert invite.get("x-customer") == "4711"
        assert not invite.all("user-agent")
        await alice.connected(call)
        await hears(mine, 440, 2, "alice")
        assert leg.stream is not None
        await hears(leg.stream, 1000, 2, "the telephone")
        assert await one.gateway.metric("dmgw_trunk_calls_active", trunk="main") == 1
        await alice.hangup(call)
        await leg.got("BYE")
        assert await one.gateway.metric("dmgw_calls_total", direction="app_to_phone") == 1
    assert await one.gateway.metric("dmgw_trunk_calls_active", trunk="main") == 0


@pytest_twisted.ensureDeferred
async def test_a_call_in(one: Office, cast: Cast) -> None:
    alice, bob = await cast.client(one.gateway), await cast.client(one.gateway, "bob")
    carrier = one.carriers["main"]
    async with nothing_left(one.gateway):
        carrier.user = NUMBER
        leg = carrier.call(f"sip:{OURS}@dm.localhost", carrier.stream(hz=440))
        assert (await leg.admitted()).code in (100, 180)
        incoming = await alice.incoming()
        assert incoming["from"]["address"] == f"tel:{NUMBER}"
        mine = await alice.accept(incoming["call"], alice.stream(hz=1000))
        await leg.answered()
        await alice.connected(incoming["call"])
        await hears(mine, 440, 2, "alice")
        await leg.bye()
        await alice.ended(incoming["call"])
        for number, code in (("+14155559999", 404), ("+4930901820", 404)):
            # neither a number of ours: a trunk's call never leaves by a trunk
            stranger = carrier.call(f"sip:{number}@dm.localhost", carrier.stream())
            await stranger.admitted()
            assert (await stranger.final()).code == code
        together = carrier.call("sip:+14155550101@dm.localhost", carrier.stream())
        await together.admitted()
        call = (await bob.incoming())["call"]
        await alice.event("call.incoming", call=call)
        await bob.accept(call, bob.stream())
        await together.answered()
        assert (await alice.ended(call))["reason"] == "answered_elsewhere"
        await together.bye()
        await bob.ended(call)


@pytest_twisted.ensureDeferred
async def test_one_after_the_other(cast: Cast) -> None:
    trunk = {"name": "main", "sources": ["127.0.0.0/8"]}
    here = await office(cast, [trunk], routing("main"), "calls.ring_s=12")
    alice, bob = await cast.client(here.gateway), await cast.client(here.gateway, "bob")
    carrier = here.carriers["main"]
    async with nothing_left(here.gateway):
        leg = carrier.call("sip:+14155550102@dm.localhost", carrier.stream())
        await leg.admitted()
        call = (await bob.incoming())["call"]
        assert not alice.told("call.incoming")
        await bob.request("call.decline", call=call)
        await alice.event("call.incoming", call=call)
        await alice.accept(call, alice.stream())
        await leg.answered()
        await leg.bye()
        await alice.ended(call)


@pytest_twisted.ensureDeferred
async def test_no_more_than_a_trunk_takes(one: Office, cast: Cast) -> None:
    alice = await cast.client(one.gateway)
    carrier = one.carriers["main"]
    async with nothing_left(one.gateway):
        carrier.user = NUMBER
        legs = []
        for _ in range(3):
            leg = carrier.call(f"sip:{OURS}@dm.localhost", carrier.stream())
            await leg.admitted()
            legs.append(leg)
        late = carrier.call(f"sip:{OURS}@dm.localhost", carrier.stream())
        await late.admitted()
        refused = await late.final()
        assert refused.code == 503
        assert int(refused.get("retry-after")) > 0
        call = await alice.invite(f"tel:{NUMBER}")
        assert (await alice.ended(call))["reason"] in ("unreachable", "busy")
        for leg in legs:
            leg.cancel()
            assert (await leg.final()).code == 487


def nobody() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.parametrize(("dies", "within_s"), [("refuses", 1.0), ("silent", 5.0), ("503", 1.0)])
@pytest_twisted.ensureDeferred
async def test_failover(cast: Cast, dies: str, within_s: float) -> None:
    """The first call finds out; those after it go straight to the other trunk."""
    deaf = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    deaf.bind(("127.0.0.1", 0))
    first: dict[str, Any] = {"name": "first"}
    if dies == "refuses":
        first["address"] = nobody()
    elif dies == "silent":
        first["address"] = f"127.0.0.1:{deaf.getsockname()[1]}"
    uses = [{"name": "first", "priority": 1}, {"name": "second", "priority": 2}]
    here = await office(cast, [first, {"name": "second"}], routing(*uses))
    alice = await cast.client(here.gateway)
    carrier = here.carriers["second"]
    try:
        async with nothing_left(here.gateway):
            for attempt in range(2):
                began, seen = time.monotonic(), carrier.messages.mark()
                call = await alice.invite(f"tel:{NUMBER}")
                if dies == "503" and attempt == 0:
                    refusing = await here.carriers["first"].incoming()
                    refusing.answer(503, "Service Unavailable")
                leg = await carrier.incoming(timeout_s=8, since=seen)
                took = time.monotonic() - began
                assert took < (within_s if attempt == 0 else 0.5), (attempt, took)
                leg.answer(486, "Busy Here")
                assert (await alice.ended(call))["reason"] == "busy"
                await leg.got("ACK")
    finally:
        deaf.close()


@pytest_twisted.ensureDeferred
async def test_every_trunk_is_dead(cast: Cast) -> None:
    trunks = [{"name": n, "address": nobody()} for n in ("first", "second")]
    here = await office(cast, trunks, routing("first", "second"))
    alice = await cast.client(here.gateway)
    async with nothing_left(here.gateway):
        for _ in range(2):
            call = await alice.invite(f"tel:{NUMBER}")
            assert (await alice.ended(call))["reason"] == "unreachable"


@pytest_twisted.ensureDeferred
async def test_options_find_out_who_is_dead(cast: Cast) -> None:
    trunk = {"name": "main", "address": nobody(), "options_s": 0.2}
    here = await office(cast, [trunk], routing("main"))
    await here.gateway.log.expect(
        lambda e: e["event"] == "trunk_target_down" and e["trunk"] == "main", "down", 5
    )
    assert await here.gateway.metric("dmgw_trunk_targets", state="down") == 1


@pytest_twisted.ensureDeferred
async def test_announcements_before_the_answer(cast: Cast) -> None:
    """The caller hears the carrier; the carrier hears nothing before the answer."""
    here = await office(cast, [{"name": "main", "early_media": "pass"}], routing("main"))
    alice = await cast.client(here.gateway)
    carrier = here.carriers["main"]
    async with nothing_left(here.gateway):
        mine = alice.stream(hz=1000)
        call = await alice.invite(f"tel:{NUMBER}", mine)
        leg = await carrier.incoming()
        leg.stream = carrier.stream(hz=620)
        assert leg.invite is not None
        leg.listen_to(leg.invite.body)
        leg.answer(183, "Session Progress", plain_offer(leg.stream))
        await alice.event("call.ringing", call=call)
        await hears(mine, 620, 1.5, "alice, before the answer")
        await hears_silence(leg.stream, 1000)
        leg.answer(200)
        await leg.got("ACK")
        await alice.connected(call)
        await hears(leg.stream, 1000, 1.5, "the telephone")
        await hears(mine, 620, 1.5, "alice")
        await alice.hangup(call)
        await leg.got("BYE")


@pytest_twisted.ensureDeferred
async def test_whoever_answers_has_to_press_1(cast: Cast) -> None:
    here = await office(cast, [{"name": "main"}], routing("main", confirm="press-1"))
    alice = await cast.client(here.gateway)
    carrier = here.carriers["main"]
    async with nothing_left(here.gateway):
        mine = alice.stream(hz=1000)
        call = await alice.invite(f"tel:{NUMBER}", mine)
        leg = await answered(carrier, hz=440)
        assert leg.stream is not None
        await pause(2)
        heard = leg.stream.audio()
        assert not audio.is_silent(heard), "the prompt"
        assert audio.over_neighbours_db(heard, 1000, 8000) < 10, "alice is heard too early"
        assert not alice.told("call.accepted", call)
        await leg.stream.press("5")
        await pause(0.3)
        assert not alice.told("call.accepted", call)
        await leg.stream.press("1")
        await alice.connected(call)
        await hears(mine, 440, 1, "alice")
        await leg.bye()
        await alice.ended(call)
        # a voicemail box presses nothing
        seen = carrier.messages.mark()
        call = await alice.invite(f"tel:{NUMBER}")
        leg = await answered(carrier, since=seen)
        await leg.bye()
        assert (await alice.ended(call))["reason"] == "no_answer"


@pytest_twisted.ensureDeferred
async def test_emergency_numbers_and_what_no_route_takes(one: Office, cast: Cast) -> None:
    alice = await cast.client(one.gateway, region="US")
    phone = await cast.registered(one.gateway, "1002")
    async with nothing_left(one.gateway):
        call = await alice.invite("tel:+1911")
        assert (await alice.ended(call))["reason"] == "not_allowed"
        leg = phone.call("sip:911@dm.localhost", phone.stream())
        await leg.admitted()
        assert (await leg.final()).code == 403
        assert not one.carriers["main"].messages.seen


@pytest.mark.parametrize("redirects", [False, True])
@pytest_twisted.ensureDeferred
async def test_a_trunk_that_redirects(cast: Cast, redirects: bool) -> None:
    """To another number, which is asked of the same trunk, wherever the 3xx would send it."""
    here = await office(cast, [{"name": "main", "redirects": redirects}], routing("main"))
    alice = await cast.client(here.gateway)
    carrier = here.carriers["main"]
    async with nothing_left(here.gateway):
        call = await alice.invite(f"tel:{NUMBER}")
        leg = await carrier.incoming()
        seen = carrier.messages.mark()
        moved = ("contact", "<sip:+14155559999@203.0.113.9>;q=1")
        assert leg.invite is not None
        carrier.send(carrier.refusal(leg.invite, 302, moved))
        if not redirects:
            assert (await alice.ended(call))["reason"] == "unreachable"
            return
        second = await carrier.incoming(since=seen)
        assert second.invite is not None
        assert second.invite.first.startswith("INVITE sip:+14155559999@127.0.0.1")
        second.answer(486)
        assert (await alice.ended(call))["reason"] == "busy"


@pytest_twisted.ensureDeferred
async def test_a_trunk_that_has_had_enough(one: Office, cast: Cast) -> None:
    alice = await cast.client(one.gateway)
    async with nothing_left(one.gateway):
        call = await alice.invite(f"tel:{NUMBER}")
        leg = await one.carriers["main"].incoming()
        assert leg.invite is not None
        later = ("retry-after", "30")
        one.carriers["main"].send(SipPhone.refusal(leg.invite, 503, later))
        assert (await alice.ended(call))["reason"] == "rate_limited"


@pytest_twisted.ensureDeferred
async def test_a_trunk_may_not_transfer_unless_it_is_set(one: Office, cast: Cast) -> None:
    alice = await cast.client(one.gateway)
    async with nothing_left(one.gateway):
        call = await alice.invite(f"tel:{NUMBER}")
        leg = await answered(one.carriers["main"])
        await alice.connected(call)
        refused = await leg.in_dialog("REFER", "", ("refer-to", f"<sip:{OURS}@dm.localhost>"))
        assert refused.code == 403
        await alice.hangup(call)
        await leg.got("BYE")


@pytest_twisted.ensureDeferred
async def test_what_a_carrier_says_reaches_a_sip_caller(cast: Cast) -> None:
    here = await office(cast, [{"name": "main"}], routing("main"))
    phone = await cast.registered(here.gateway)
    carrier = here.carriers["main"]
    async with nothing_left(here.gateway):
        call = phone.call(f"sip:{NUMBER}@dm.localhost", phone.stream())
        admitted = Deferred.fromCoroutine(call.admitted())  # with the carrier's first word
        leg = await carrier.incoming()
        assert leg.invite is not None
        said = (("retry-after", "30"), ("reason", 'Q.850;cause=42;text="congestion"'))
        carrier.send(SipPhone.refusal(leg.invite, 503, *said))
        await admitted
        final = await call.final()
        assert (final.code, final.get("retry-after")) == (503, "30")
        assert final.get("reason") == 'Q.850;cause=42;text="congestion"'
        call.ack(final)
        seen = carrier.messages.mark()
        call = phone.call(f"sip:{NUMBER}@dm.localhost", phone.stream())
        admitted = Deferred.fromCoroutine(call.admitted())
        leg = await answered(carrier, since=seen)
        await admitted
        await call.answered()
        await leg.in_dialog("BYE", "", ("reason", "Q.850;cause=16"))
        ended = await call.got("BYE")
        assert ended.get("reason") == "Q.850;cause=16"
