"""What a socket has to do with people: tokens are kept, and who has no calls has no methods."""

from __future__ import annotations

import pytest_twisted

from gateway.app.methods import UNDER_WAY
from gateway.errors import StoreUnavailable
from tests.app.scripted import Started


@pytest_twisted.ensureDeferred
async def test_each_token_is_kept(started: Started) -> None:
    server = await started()
    client = await server.client()
    assert [p.handle for p in server.book.tokens] == ["alice"]
    renewed = server.token(age="16-17", region="DE")
    await client.open(renewed, client.session)
    assert [(p.age, p.region) for p in server.book.tokens] == [(None, None), ("16-17", "DE")]


@pytest_twisted.ensureDeferred
async def test_a_store_that_does_not_keep_it_lets_people_in(started: Started) -> None:
    server = await started()
    server.book.error = StoreUnavailable("the database is closed")
    client = await server.client()
    assert "result" in await client.ask("settings.get")


@pytest_twisted.ensureDeferred
async def test_who_has_no_calls_can_end_those_there_are(started: Started) -> None:
    server = await started()
    client = await server.client()
    server.outside.add("alice")
    for method, params in (
        ("call.invite", {"to": "user:bob"}),
        ("call.transfer", {"call": "c1", "to": "user:bob"}),
        ("history.list", {}),
        ("settings.get", {}),
        ("pin.list", {}),
        ("blocks.add", {"who": "user:bob"}),
        ("nothing", {}),
    ):
        answer = await client.ask(method, params)
        assert answer["error"] == {"code": -32601, "message": "no such method"}
    assert (await client.ask("call.hangup", {"call": "c1"}))["result"] == {}
    assert "call.hangup" in UNDER_WAY
    server.outside.clear()
    assert "result" in await client.ask("settings.get")
