"""Softphones behind a NAT: they register, call and are called, and both sides hear each other."""

from __future__ import annotations

import socket

import pytest
import pytest_twisted

from tests.e2e.talk import assert_tone
from tests.e2e.test_calls import hears
from tests.nat.conftest import CONTROL, NAT_OUTSIDE, PHONE, PUBLIC, Behind
from tests.peers.baresip import Baresip
from tests.peers.fixtures import SHARED, Cast
from tests.peers.gateway import Gateway

SETTINGS = (*SHARED, f"sip.host={PUBLIC}", f"media.host={PUBLIC}")


async def behind_nat(cast: Cast, gateway: Gateway, behind: Behind, transport: str) -> Baresip:
    return await cast.baresip(
        gateway,
        transport=transport,
        hz=440,
        interface=PHONE,
        namespace=behind.phone,
        control=behind.control,
    )


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_calls_both_ways(behind: Behind, cast: Cast, transport: str) -> None:
    gateway = await cast.gateway(*SETTINGS)
    with pytest.raises(OSError, match="unreachable"):  # but through the NAT there is no way
        socket.create_connection((PHONE, CONTROL), 1)
    phone = await behind_nat(cast, gateway, behind, transport)
    registered = [e for e in gateway.log.seen if e["event"] == "registered"][-1]
    assert registered["source"].startswith(f"{NAT_OUTSIDE}:")
    assert registered["transport"] == transport
    alice = await cast.client(gateway)

    await phone.dial("alice")
    call = (await alice.incoming())["call"]
    mine = await alice.accept(call, alice.stream(hz=1000))
    await phone.established()
    await hears(mine, 440, 2, "alice")
    heard, rate = phone.heard()
    assert_tone(heard[-2 * rate :], rate, 1000, 1, "the phone behind the NAT")
    await phone.hangup()
    await alice.ended(call)

    seen = phone.events.mark()
    mine = alice.stream(hz=600)
    call = await alice.invite("sip:1001@dm.localhost", mine)
    await phone.incoming(since=seen)
    await phone.accept()
    await alice.connected(call)
    await hears(mine, 440, 2, "alice, who called")
    heard, rate = phone.heard()
    assert_tone(heard[-2 * rate :], rate, 600, 1, "the phone behind the NAT, called")
    await alice.hangup(call)
    await phone.closed(since=seen)
    assert gateway.complaints() == []
