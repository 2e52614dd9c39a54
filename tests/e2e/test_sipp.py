"""sipp: registration with each digest over each transport, and fifty calls."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_twisted

from tests import audio
from tests.e2e.residue import nothing_left
from tests.peers.fixtures import SHARED, Cast
from tests.peers.gateway import Gateway
from tests.peers.waiting import until


@pytest_twisted.async_yield_fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    directory = tmp_path_factory.mktemp("gateway")
    made = Gateway(directory, *SHARED, "sip.digest_algorithms=[MD5]")
    try:
        await made.up()
        yield made
    finally:
        await made.end()


@pytest.mark.parametrize("transport", ["u1", "t1"])
@pytest_twisted.ensureDeferred
async def test_sipp_registers_with_md5(gateway: Gateway, cast: Cast, transport: str) -> None:
    async with nothing_left(gateway):
        sipp = cast.sipp("register", gateway, transport=transport, final=200)
        (await sipp.run()).assert_all(1)
        assert "algorithm=MD5" in sipp.messages().replace('"', "")
        if transport == "u1":  # over TCP the binding goes with its connection (RFC 5626 §4.4)
            assert await gateway.metric("dmgw_registrations") == 1
        phone = cast.phone(gateway)
        everything = await phone.register(expires=0, contact="*")
        assert everything.code == 200
        assert await gateway.metric("dmgw_registrations") == 0


@pytest_twisted.ensureDeferred
async def test_a_phone_registers_with_sha256(cast: Cast) -> None:
    """With both offered, the stronger one is offered first (RFC 8760 §2.4)."""
    gateway = await cast.gateway("sip.digest_algorithms=[SHA-256, MD5]")
    for algorithm in ("SHA-256", "MD5", None):
        phone = cast.phone(gateway, algorithm=algorithm)
        response = await phone.register()
        assert response.code == 200
        assert f"127.0.0.1:{phone.port}" in response.get("contact")
        used = phone.sent[-1][1].get("authorization")
        assert f"algorithm={algorithm or 'SHA-256'}" in used
        wrong = cast.phone(gateway, algorithm=algorithm, password="secret1002")
        assert (await wrong.register()).code in (401, 403)
    assert await gateway.metric("dmgw_registrations") >= 1


@pytest_twisted.ensureDeferred
async def test_fifty_calls_at_five_a_second(gateway: Gateway, cast: Cast) -> None:
    """The test client speaks a tone in each; sipp sends back what it hears: so both ways work."""
    shop = await cast.server(gateway)
    async with nothing_left(gateway):
        sipp = cast.sipp("call", gateway, service="shop", calls=50, rate=5, hold_ms=3000, echo=True)
        (await sipp.run()).assert_all(50)
        await until(lambda: len(shop.told("call.ended")) == 50, "fifty ends", 5)
        assert not shop.failures
        assert len(shop.told("call.connected")) == 50
        reasons = {(e["reason"], e["by"]) for e in shop.told("call.ended")}
        assert reasons == {("completed", "caller")}
        deaf = [
            call
            for call, stream in shop.media.items()
            if audio.seconds_of(stream.audio(), 1000, 8000) < 1.5
        ]
        assert not deaf, f"{len(deaf)} of 50 calls had no audio"


@pytest_twisted.ensureDeferred
async def test_baresip_registers_and_calls_over_tcp(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.baresip(gateway, transport="tcp")
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        await phone.dial("alice")
        call = (await alice.incoming())["call"]
        await alice.accept(call)
        await phone.established()
        await phone.hangup()
        await alice.ended(call)
        seen = phone.events.mark()
        call = await alice.invite("sip:1001@dm.localhost")
        await phone.incoming(since=seen)
        await phone.accept()
        await alice.connected(call)
        await alice.hangup(call)
        await phone.closed(since=seen)
