"""Digits both ways: all sixteen, in bursts of twenty, as RFC 4733 and as SIP INFO."""

from __future__ import annotations

import pytest
import pytest_twisted

from tests.e2e.residue import nothing_left
from tests.e2e.test_calls import app_calls_phone, phone_calls_app
from tests.peers.app_client import AppClient, RpcError
from tests.peers.fixtures import Cast
from tests.peers.gateway import Gateway
from tests.peers.waiting import pause, until

ALL = "0123456789*#ABCD"
BURST = "11223344556677889900"


async def _told(client: AppClient, call: str, digits: str) -> None:
    """Exactly these digits were told: none lost, none twice, also a little later."""
    await until(lambda: len(client.digits(call)) >= len(digits), f"digits {digits}", 10)
    await pause(0.4)
    assert client.digits(call) == digits


@pytest_twisted.ensureDeferred
async def test_the_app_presses(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call, _, sip = await app_calls_phone(alice, phone)
        assert sip.stream is not None
        await alice.request("call.dtmf", call=call, digits=ALL, duration_ms=80, timeout_s=15)
        await alice.request("call.dtmf", call=call, digits=BURST, duration_ms=60, timeout_s=15)
        presses = sip.stream.presses
        await until(lambda: len(presses.seen) >= 36, "36 events", 3)
        await pause(0.3)
        assert sip.stream.digits() == ALL + BURST
        assert all(p.ended for p in presses.seen)
        lengths = [p.duration / 8 for p in presses.seen]
        assert all(60 <= ms <= 120 for ms in lengths[:16]), lengths
        assert all(40 <= ms <= 100 for ms in lengths[16:]), lengths
        for digits in ("", "12x", "1" * 33):
            with pytest.raises(RpcError, match="-32602"):
                await alice.request("call.dtmf", call=call, digits=digits)
        await alice.hangup(call)
        await sip.got("BYE")


@pytest_twisted.ensureDeferred
async def test_a_comma_is_half_a_second(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call, _, sip = await app_calls_phone(alice, phone)
        assert sip.stream is not None
        await alice.request("call.dtmf", call=call, digits="1,2", duration_ms=100)
        one, two = sip.stream.presses.seen
        between = (two.timestamp - one.timestamp) / 8
        assert 550 <= between <= 900, between
        await alice.hangup(call)
        await sip.got("BYE")


@pytest_twisted.ensureDeferred
async def test_the_phone_presses(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call, _, sip = await phone_calls_app(phone, alice)
        assert sip.stream is not None
        await sip.stream.press(ALL, duration_ms=80, gap_ms=40)
        await sip.stream.press(BURST, duration_ms=60, gap_ms=40)
        await _told(alice, call, ALL + BURST)
        durations = [d["duration_ms"] for d in alice.told("call.dtmf", call)]
        assert all(60 <= ms <= 120 for ms in durations[:16]), durations
        assert (await sip.bye()).code == 200
        await alice.ended(call)


@pytest.mark.parametrize("form", ["application/dtmf-relay", "application/dtmf"])
@pytest_twisted.ensureDeferred
async def test_the_phone_presses_by_info(gateway: Gateway, cast: Cast, form: str) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call, _, sip = await phone_calls_app(phone, alice)
        for digit in ALL:
            body = f"Signal={digit}\r\nDuration=160\r\n" if "relay" in form else digit
            response = await sip.in_dialog("INFO", body, ("content-type", form))
            assert response.code == 200
        await _told(alice, call, ALL)
        assert (await sip.bye()).code == 200
        await alice.ended(call)


@pytest_twisted.ensureDeferred
async def test_two_app_clients_press(gateway: Gateway, cast: Cast) -> None:
    alice, bob = await cast.client(gateway), await cast.client(gateway, "bob")
    async with nothing_left(gateway):
        call = await alice.invite("user:bob")
        await bob.incoming()
        stream = await bob.accept(call)
        await alice.connected(call)
        await alice.request("call.dtmf", call=call, digits=BURST, duration_ms=60, timeout_s=15)
        await _told(bob, call, BURST)
        await stream.press("*#")
        await _told(alice, call, "*#")
        await alice.hangup(call)
        await bob.ended(call)
