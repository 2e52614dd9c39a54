"""Text between development users: who hears of it, what is remembered, and when there is none."""

from __future__ import annotations

import pytest
import pytest_twisted

from gateway.app import relay
from tests.app.scripted import Started, settings


@pytest_twisted.ensureDeferred
async def test_both_people_hear_of_it_on_their_other_clients(started: Started) -> None:
    server = await started(settings(dev_login=True))
    alice, tablet = await server.client("alice"), await server.client("alice")
    bob, carol = await server.client("bob"), await server.client("carol")
    said = await alice.ask("thread.say", {"to": "user:bob", "text": "hello\n<b>"})
    at = said["result"]["at"]
    wanted = {"by": "user:alice", "to": "user:bob", "text": "hello\n<b>", "at": at}
    for client in (tablet, bob):
        told = await client.frames.expect(lambda m: m.get("method") == "thread.said", "said")
        assert told["params"] == wanted
    for client, other in ((alice, "user:bob"), (bob, "user:alice")):
        listed = await client.ask("thread.list", {"with": other})
        assert listed["result"]["texts"] == [wanted]
    assert (await carol.ask("thread.list", {"with": "user:bob"}))["result"]["texts"] == []
    assert not [m for m in carol.frames.seen if m.get("method") == "thread.said"]


@pytest_twisted.ensureDeferred
async def test_what_is_not_taken(started: Started) -> None:
    server = await started(settings(dev_login=True))
    alice = await server.client("alice")
    softphone = await alice.ask("thread.say", {"to": "sip:1001@dm.localhost", "text": "x"})
    assert softphone["error"]["code"] == 4403
    for text in ("", "x" * 1001, "\0"):
        refused = await alice.ask("thread.say", {"to": "user:bob", "text": text})
        assert refused["error"]["code"] == -32602


@pytest_twisted.ensureDeferred
async def test_the_oldest_words_and_pairs_give_way(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "THREADS", 2)
    monkeypatch.setattr(relay, "TEXTS", 3)
    server = await started(settings(dev_login=True))
    alice = await server.client("alice")
    for who in ("carol", "dave"):
        await alice.ask("thread.say", {"to": f"user:{who}", "text": "hello"})
    for n in range(relay.TEXTS + 5):
        await alice.ask("thread.say", {"to": "user:bob", "text": str(n)})
    texts = (await alice.ask("thread.list", {"with": "user:bob"}))["result"]["texts"]
    assert [t["text"] for t in texts] == [str(n) for n in range(5, relay.TEXTS + 5)]
    for who, kept in (("carol", 0), ("dave", 1)):
        texts = (await alice.ask("thread.list", {"with": f"user:{who}"}))["result"]["texts"]
        assert len(texts) == kept


@pytest_twisted.ensureDeferred
async def test_there_is_none_without_development_sign_in(started: Started) -> None:
    server = await started(settings(dev_login=False))
    alice = await server.client("alice")
    said = await alice.ask("thread.say", {"to": "user:bob", "text": "hello"})
    assert said["error"]["code"] == -32601
