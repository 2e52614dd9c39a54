"""People who do not want a call, or may not have it: with the real daemon, over the wire."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted

from tests.e2e.residue import nothing_left
from tests.peers.app_client import AppClient, RpcError
from tests.peers.fixtures import SHARED, Cast
from tests.peers.gateway import Gateway

RING_S = 2
RINGS = 3
ACCOUNTS = (
    "sip.accounts=[{user: '1001', password: secret1001, owner: alice},"
    " {user: '1002', password: secret1002, owner: bob},"
    " {user: '1003', password: secret1003, owner: gus}]"
)


@pytest_twisted.async_yield_fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    sets = (*SHARED, f"calls.ring_s={RING_S}", ACCOUNTS, f"people.stranger_rings={RINGS}")
    made = Gateway(tmp_path_factory.mktemp("gateway"), *sets)
    try:
        await made.up()
        yield made
    finally:
        await made.end()


async def refused(client: AppClient, to: str) -> tuple[int, str]:
    with pytest.raises(RpcError) as caught:
        await client.invite(to)
    return caught.value.code, str(caught.value)


def shown(client: AppClient, call: str) -> list[tuple[str, dict[str, Any]]]:
    """All that the client was told of a call, without what is another in each."""
    varying = ("call", "at", "sdp")
    return [
        (method, {k: v for k, v in params.items() if k not in varying})
        for method, params in client.events.seen
        if params.get("call") == call
    ]


async def history(client: AppClient, **filters: Any) -> dict[str, Any]:
    listed = await client.request("history.list", **filters)
    return {item["call"]: item for item in listed["calls"]}


@pytest_twisted.ensureDeferred
async def test_who_is_blocked_cannot_tell_it_from_no_answer(gateway: Gateway, cast: Cast) -> None:
    alice, bob, carol = [await cast.client(gateway, who) for who in ("alice", "bob", "carol")]
    phone = await cast.registered(gateway, "1001")
    await bob.request("blocks.add", who="user:alice")
    async with nothing_left(gateway):
        blocked = await alice.invite("user:bob")
        plain = await alice.invite("user:carol")
        by_phone = phone.call(
            "sip:bob@dm.localhost", phone.stream()
        )  # her softphone's, to the same person
        await by_phone.admitted()
        await by_phone.ringing()
        await carol.incoming()
        for call in (blocked, plain):
            await alice.ended(call, RING_S + 2)
        assert shown(alice, blocked) == shown(alice, plain)
        lasted = [
            alice.when("call.ended", c) - alice.when("call.ringing", c) for c in (blocked, plain)
        ]
        assert lasted == pytest.approx([RING_S, RING_S], abs=0.15)
        final = await by_phone.final()
        assert final.code == 480
        by_phone.ack(final)
        assert not bob.events.seen
        mine, his = await history(alice), await history(bob)
        same = ("reason", "missed", "direction", "duration_s")
        assert [mine[blocked].get(k) for k in same] == [mine[plain].get(k) for k in same]
        assert mine[blocked]["reason"] == "no_answer"
        assert "rule" not in mine[blocked]
        assert (his[blocked]["reason"], his[blocked]["rule"]) == ("unavailable", "blocked")
        assert not await history(bob, missed=True)
    # he has blocked her: that is told to him alone
    code, text = await refused(bob, "sip:1001@dm.localhost")
    assert (code, "you have blocked" in text) == (4403, True)
    await bob.request("blocks.remove", who="user:alice")
    call = await alice.invite("user:bob")
    assert (await bob.incoming())["call"] == call
    await alice.hangup(call)
    judged = [e for e in gateway.log.seen if e.get("event") == "judged"]
    assert {"blocked", "own_block", "allowed"} <= {e["rule"] for e in judged}


@pytest_twisted.ensureDeferred
async def test_not_now_is_a_missed_call(gateway: Gateway, cast: Cast) -> None:
    dora, emil, fay = [await cast.client(gateway, who) for who in ("dora", "emil", "fay")]
    await emil.request("settings.set", do_not_disturb=True)
    always = [{"from": "00:00", "to": "24:00"}]
    await fay.request("settings.set", quiet_hours=always, timezone="Asia/Kathmandu")
    async with nothing_left(gateway):
        calls = {rule: await dora.invite(f"user:{who}") for rule, who in _RULES.items()}
        for call in calls.values():
            assert (await dora.ended(call, RING_S + 2))["reason"] == "no_answer"
        for rule, client in (("do_not_disturb", emil), ("quiet_hours", fay)):
            assert not client.events.seen
            item = (await history(client, missed=True))[calls[rule]]
            assert (item["reason"], item["rule"]) == ("unavailable", rule)
    # a favourite gets through, with whatever they call
    await fay.request("contacts.put", address="user:alice", name="Alice", favourite=True)
    phone = await cast.registered(gateway, "1001")
    call = phone.call("sip:fay@dm.localhost", phone.stream())
    await call.admitted()
    assert (await fay.incoming())["from"]["address"] == "sip:1001@dm.localhost"
    call.cancel()
    call.ack(await call.final())


_RULES = {"do_not_disturb": "emil", "quiet_hours": "fay"}


@pytest_twisted.ensureDeferred
async def test_an_age_is_answered_as_any_refusal(gateway: Gateway, cast: Cast) -> None:
    """Also of who is not signed in, and is rung by a softphone."""
    child = await cast.client(gateway, "gus", age="13-15", zoneinfo=_day())
    adult, shy = [await cast.client(gateway, who) for who in ("alice", "hal")]
    await shy.request("settings.set", allow_from="contacts")
    answers = {await refused(*pair) for pair in ((adult, "user:gus"), (adult, "user:hal"))}
    answers.add(await refused(child, "user:alice"))
    ((code, text),) = answers
    assert code == 4403
    assert "age" not in text
    await child.request("contacts.put", address="sip:1001@dm.localhost", name="Mum")
    call = await adult.invite("user:gus")
    assert (await child.incoming())["call"] == call
    await adult.hangup(call)
    await child.leave()
    # not signed in any more, and rung by a phone of theirs
    assert await refused(shy, "sip:1003@dm.localhost") == (code, text)
    call = await adult.invite("sip:1003@dm.localhost")
    assert (await adult.ended(call))["reason"] == "unreachable"  # it is not registered


@pytest_twisted.ensureDeferred
async def test_strangers_ring_so_often_and_no_more(cast: Cast, gateway: Gateway) -> None:
    ida, jo = [await cast.client(gateway, who) for who in ("ida", "jo")]
    for _ in range(RINGS):
        call = await ida.invite("user:jo")
        await ida.event("call.ringing", call=call)
        await ida.hangup(call)
        await ida.ended(call)
    assert (await refused(ida, "user:jo"))[0] == 4403
    await ida.leave()
    await jo.leave()
    await gateway.end()
    await gateway.up()
    ida, jo = [await cast.client(gateway, who) for who in ("ida", "jo")]
    assert (await refused(ida, "user:jo"))[0] == 4403
    await jo.request("contacts.put", address="user:ida")
    call = await ida.invite("user:jo")
    assert (await jo.incoming())["call"] == call
    await ida.hangup(call)


@pytest_twisted.ensureDeferred
async def test_whoever_is_taken_out_is_not_there(gateway: Gateway, cast: Cast) -> None:
    kim, lee = [await cast.client(gateway, who) for who in ("kim", "lee")]
    lasting = await lee.invite("user:kim")
    await kim.incoming()
    since = len(gateway.log.seen)
    value = json.dumps({"percent": 0, "allow": ["kim"]})
    _switch(gateway, value)
    await gateway.log.expect(lambda e: e.get("event") == "rollout", "switched", 8, since)
    for method, params in (("call.invite", {"to": "user:kim"}), ("settings.get", {})):
        with pytest.raises(RpcError) as caught:
            await lee.request(method, **params)
        assert caught.value.code == -32601
    assert (await lee.ended(lasting))["reason"] == "no_answer"
    call = await kim.invite("user:lee")
    assert (await kim.ended(call))["reason"] == "unreachable"
    assert not lee.told("call.incoming")
    _rows(gateway, "DELETE FROM switches")


def _switch(gateway: Gateway, value: str) -> None:
    with sqlite3.connect(gateway.database, timeout=10) as database:
        row = ("rollout", value, time.time())
        database.execute("INSERT INTO switches (name, value, changed_at) VALUES (?, ?, ?)", row)


def _rows(gateway: Gateway, query: str) -> list[Any]:
    with sqlite3.connect(gateway.database, timeout=10) as database:
        return list(database.execute(query))


def _day() -> str:
    """A zone in which it is day: a minor has nights off."""
    hour = time.gmtime().tm_hour
    return f"Etc/GMT{hour - 12:+}" if hour != 12 else "UTC"
