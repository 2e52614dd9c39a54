"""Limits as callers meet them: with a trunk to a carrier, and over a restart."""

from __future__ import annotations

import json
import signal

import pytest
import pytest_twisted

from tests.e2e.residue import nothing_left
from tests.e2e.test_trunks import answered, office, routing
from tests.peers.app_client import AppClient, RpcError
from tests.peers.fixtures import Cast
from tests.peers.sip_phone import SipPhone

BERLIN, PARIS = "+4930901820", "+33142685300"


async def talks(alice: AppClient, carrier: SipPhone, number: str) -> str:
    """Calls, is answered, and stays connected; the call."""
    seen = carrier.messages.mark()
    call = await alice.invite(f"tel:{number}", alice.stream(hz=1000))
    await answered(carrier, since=seen)
    await alice.connected(call)
    return call


async def refused(alice: AppClient, to: str) -> RpcError:
    with pytest.raises(RpcError) as told:
        await alice.request("call.invite", to=to)
    return told.value


@pytest_twisted.ensureDeferred
async def test_what_looks_like_fraud_stops_telephone_calls(cast: Cast) -> None:
    limits = {
        "notice_s": 58,
        "telephone": {
            "new_countries_per_day": 1,
            "spend_per_day": 2,
            "tariffs": [{"prefix": "+", "per_minute": 1}],
        },
    }
    here = await office(cast, [{"name": "main"}], routing("main"), f"limits={json.dumps(limits)}")
    alice, bob = await cast.client(here.gateway), await cast.client(here.gateway, "bob")
    carrier = here.carriers["main"]
    async with nothing_left(here.gateway):
        call = await talks(alice, carrier, BERLIN)
        await alice.hangup(call)
        # one of the two that are left is begun already: the last minute bounds the call
        last = await talks(alice, carrier, BERLIN)
        notice = await alice.event("call.notice", call=last)
        assert notice["code"] == "limit"
        await alice.hangup(last)
        spent = await refused(alice, f"tel:{BERLIN}")
        assert spent.code == 4429
        assert spent.data["retry_after_s"] > 0
        held = await refused(alice, f"tel:{BERLIN}")
        assert held.code == 4403
        assert "telephone calls are stopped" in str(held)
        call = await alice.invite("user:bob")  # calls within the app go on
        await bob.incoming()
        await alice.hangup(call)
        call = await talks(bob, carrier, BERLIN)  # and other people's
        await bob.hangup(call)
    rule = {"rule": "spend_per_day"}
    assert await here.gateway.metric("dmgw_limit_breaches_total", **rule) == 1
    (told,) = [e for e in here.gateway.log.seen if e.get("event") == "telephone_calls_held"]
    assert (told["person"], told["rule"]) == ("user:alice", "spend_per_day")
    assert (await refused(bob, f"tel:{PARIS}")).code == 4429


@pytest_twisted.ensureDeferred
async def test_a_restart_forgives_nothing(cast: Cast) -> None:
    gateway = await cast.gateway("app.plain_rtp=true", "limits.calls_per_hour=2")
    alice = await cast.client(gateway)
    for _ in range(2):
        call = await alice.invite("service:echo")
        await alice.hangup(call)
        await alice.ended(call)
    assert (await refused(alice, "service:echo")).code == 4429
    gateway.signal(signal.SIGKILL)
    await gateway.exited()
    await gateway.up()
    again = await cast.client(gateway)
    assert (await refused(again, "service:echo")).code == 4429
