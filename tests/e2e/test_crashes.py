"""What is killed: a worker, the daemon; and what ends in order: draining."""

from __future__ import annotations

import signal
import sqlite3
from typing import Any

import pytest
import pytest_twisted

from tests.e2e.residue import nothing_left
from tests.e2e.test_calls import app_calls_phone, hears, phone_calls_app
from tests.peers.app_client import RpcError
from tests.peers.fixtures import SHARED, Cast
from tests.peers.gateway import Gateway, alive
from tests.peers.waiting import pause, reactor, until


@pytest_twisted.ensureDeferred
async def test_a_worker_is_killed_in_a_call(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call, mine, sip = await app_calls_phone(alice, phone)
        assert mine.remote is not None
        worker = gateway.worker_of_rtp(mine.remote[1])
        began = reactor.seconds()
        worker.kill()
        ended = await alice.ended(call, 3)
        bye = await sip.got("BYE", 3)
        assert reactor.seconds() - began < 3
        assert (ended["reason"], ended["by"]) == ("gateway_error", "gateway")
        assert bye.cseq[0] > 0 and bye.to_tag
        await until(lambda: _record(gateway, call)["ended_at"], "the record is finished", 3)
        assert _record(gateway, call)["reason"] == "gateway_error"

        call, mine, sip = await phone_calls_app(phone, alice)
        await hears(mine, 440, 1, "alice, next call")
        assert mine.remote is not None
        gateway.worker_of_rtp(mine.remote[1]).kill()
        await sip.got("BYE", 3)
        assert (await alice.ended(call, 3))["reason"] == "gateway_error"

        call, mine, sip = await app_calls_phone(alice, phone)
        await hears(mine, 440, 1, "alice, third call")
        await alice.hangup(call)
        await sip.got("BYE")
        gateway.log.seen.clear()  # the death of a worker is rightly an error there


@pytest_twisted.ensureDeferred
async def test_a_worker_is_killed_while_it_rings(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    call = await alice.invite("sip:1001@dm.localhost")
    stream = alice.media[call]
    leg = await phone.incoming()
    leg.answer(180)
    await alice.event("call.ringing", call=call)
    assert stream.remote is not None
    gateway.worker_of_rtp(stream.remote[1]).kill()
    cancel = await leg.got("CANCEL", 3)
    phone.send(phone.refusal(cancel, 200))
    leg.answer(487, "Request Terminated")
    await leg.got("ACK", 3)
    assert (await alice.ended(call, 3))["reason"] == "gateway_error"
    await gateway.at_rest()


@pytest_twisted.ensureDeferred
async def test_a_worker_that_hangs_is_killed(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    call, mine, sip = await app_calls_phone(alice, phone)
    assert mine.remote is not None
    worker = gateway.worker_of_rtp(mine.remote[1])
    worker.suspend()
    try:
        ended = await alice.ended(call, 8)
        await sip.got("BYE", 8)
        assert ended["reason"] == "gateway_error"
        await until(lambda: not alive([worker]), "the hung worker is gone", 3)
    finally:
        if alive([worker]):
            worker.resume()
    await gateway.at_rest()


@pytest_twisted.ensureDeferred
async def test_the_daemon_is_killed(cast: Cast) -> None:
    gateway = await cast.gateway(*SHARED)
    phone, other = await cast.registered(gateway), await cast.registered(gateway, "1002")
    alice, bob = await cast.client(gateway), await cast.client(gateway, "bob")
    call, _, out = await app_calls_phone(alice, phone)
    second, _, into = await phone_calls_app(other, bob)
    seen = phone.messages.mark()
    third = await bob.invite("sip:1001@dm.localhost")
    ringing = await phone.incoming(since=seen)
    ringing.answer(180)
    await bob.event("call.ringing", call=third)
    family = gateway.processes()
    assert len(family) >= 4
    began = reactor.seconds()
    gateway.signal(signal.SIGKILL)
    for leg in (out, into):
        await leg.got("BYE", 5)
    await ringing.got("CANCEL", 5)
    await until(lambda: not alive(family), "workers and rtpengine are gone", 5)
    assert reactor.seconds() - began < 5
    for ended in (call, second, third):
        assert _record(gateway, ended)["ended_at"] is None

    for client in (alice, bob):  # they see that their socket is gone
        for stream in client.media.values():
            stream.quiet()
    await gateway.up()
    for ended in (call, second, third):
        record = _record(gateway, ended)
        assert record["reason"] == "gateway_error"
        assert record["ended_at"] >= record["created_at"]
    await phone.register()
    again = await cast.client(gateway)
    listed = await again.request("history.list")
    assert [(c["call"], c["reason"]) for c in listed["calls"]] == [(call, "gateway_error")]
    call, mine, sip = await app_calls_phone(again, phone)
    await hears(mine, 440, 1, "alice, after the restart")
    await again.hangup(call)
    await sip.got("BYE")


@pytest_twisted.ensureDeferred
async def test_draining(cast: Cast) -> None:
    """SIGTERM: no new calls, the present one goes on until it ends, then the daemon leaves."""
    gateway = await cast.gateway(*SHARED, "daemon.drain_s=30")
    phone, other = await cast.registered(gateway), await cast.registered(gateway, "1002")
    alice, bob = await cast.client(gateway), await cast.client(gateway, "bob")
    call, mine, sip = await app_calls_phone(alice, phone)
    family = gateway.processes()
    gateway.signal(signal.SIGTERM)

    async def not_ready() -> bool:
        return not await gateway.ready()

    await until(not_ready, "/readyz says no", 3)
    refused = other.call("bob", other.stream())
    refused.send_invite()
    final = await refused.final()
    refused.ack(final)
    assert (final.code, final.retry_after() is not None) == (503, True)
    with pytest.raises(RpcError, match="4503"):
        await bob.invite("user:alice")
    await hears(mine, 440, 2, "alice, while it drains")
    await alice.hangup(call)
    await sip.got("BYE")
    assert (await alice.ended(call))["reason"] == "completed"
    assert await gateway.exited(8) == 0
    await until(lambda: not alive(family), "nothing stays", 3)
    assert not gateway.complaints()


@pytest_twisted.ensureDeferred
async def test_draining_has_an_end(cast: Cast) -> None:
    gateway = await cast.gateway(*SHARED, "daemon.drain_s=1")
    phone, alice = await cast.registered(gateway), await cast.client(gateway)
    call, _, sip = await app_calls_phone(alice, phone)
    gateway.signal(signal.SIGTERM)
    await pause(0.5)
    assert not phone.messages.find(lambda m: m.method == "BYE" and not m.code)
    await sip.got("BYE", 4)
    assert (await alice.ended(call, 4))["reason"] == "gateway_error"
    assert await gateway.exited(8) == 0
    assert _record(gateway, call)["reason"] == "gateway_error"


@pytest_twisted.ensureDeferred
async def test_a_second_sigterm_ends_it_at_once(cast: Cast) -> None:
    gateway = await cast.gateway(*SHARED, "daemon.drain_s=60")
    phone, alice = await cast.registered(gateway), await cast.client(gateway)
    call, _, sip = await app_calls_phone(alice, phone)
    family = gateway.processes()
    gateway.signal(signal.SIGTERM)
    await pause(0.5)
    gateway.signal(signal.SIGTERM)
    await sip.got("BYE", 4)
    await gateway.exited(5)
    await until(lambda: not alive(family), "nothing stays", 3)
    assert _record(gateway, call)["reason"] == "gateway_error"


def _record(gateway: Gateway, call: str) -> dict[str, Any]:
    """A call's row as another program sees it in the file."""
    with sqlite3.connect(f"file:{gateway.database}?mode=ro", uri=True) as db:
        db.row_factory = sqlite3.Row
        for (table,) in db.execute("select name from sqlite_master where type='table'").fetchall():
            columns = [r[1] for r in db.execute(f"pragma table_info({table})")]
            if "call" in columns and "reason" in columns:
                row = db.execute(f"select * from {table} where call = ?", (call,)).fetchone()
                return dict(row) if row else {}
    raise AssertionError("no table of call records")
