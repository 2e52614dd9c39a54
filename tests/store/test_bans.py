"""Who may not call at all, whatever they call with."""

from __future__ import annotations

import json

import pytest_twisted
from sqlalchemy import select

from gateway.policy.identity import Identities, Identity
from gateway.policy.permission import Banned, banned
from gateway.settings import Settings, Webhook
from gateway.store.bans import BanStore
from gateway.store.calls import CallStore
from gateway.store.database import Database
from gateway.store.limits import LimitStore
from gateway.store.outbox import Outbox
from gateway.store.people import PeopleStore
from gateway.store.reviews import ReviewStore
from gateway.store.schema import webhook_events
from gateway.values import CallId, Reason, SipAddress
from tests.policy.scene import ALICE as CALLER
from tests.policy.scene import BOB as CALLEE
from tests.policy.scene import attempt
from tests.store.scene import ALICE, BOB, CAROL, record

NOW = 1_800_000_000.0
PHONE = SipAddress("1001", "dm.localhost")
SETTINGS = Settings.model_validate(
    {
        "app": {"token": {"secret": "a secret of the tests, long enough for HS256"}},
        "sip": {"accounts": [{"user": "1001", "password": "secret1001", "owner": "alice"}]},
    }
)


class Meters:
    def webhook_tried(self, receiver: str, result: object) -> None: ...
    def webhook_lost(self, receiver: str, why: object, count: int) -> None: ...
    def webhook_waiting(self, receiver: str, count: int) -> None: ...
    def breached(self, rule: str) -> None: ...


@pytest_twisted.ensureDeferred
async def test_a_person_is_banned_by_any_of_their_addresses(database: Database) -> None:
    store = BanStore(database, Identities(SETTINGS))
    alice, bob = Identity(ALICE, (ALICE, PHONE)), Identity(BOB, (BOB,))
    assert await store.part(alice, bob, NOW) == Banned()
    await store.ban(PHONE, "r1", NOW)
    await store.ban(PHONE, "r2", NOW + 1)
    assert await store.part(alice, bob, NOW) == Banned(caller=True)
    assert await store.part(bob, alice, NOW) == Banned(callee=True)
    await store.ban(CAROL, "r3", NOW)
    assert [(str(b.person), b.report) for b in await store.bans(None, 10)] == [
        ("user:alice", "r2"),
        ("user:carol", "r3"),
    ]
    assert [str(b.person) for b in await store.bans("user:alice", 10)] == ["user:carol"]
    after = BanStore(database, Identities(SETTINGS))  # as after a restart
    await after.load()
    assert await after.part(bob, alice, NOW) == Banned(callee=True)
    assert await store.lift(ALICE)
    assert not await store.lift(PHONE)
    assert await store.part(alice, bob, NOW) == Banned()


def test_the_rule_refuses_either_way_with_one_text() -> None:
    parts = (Banned(caller=True), Banned(callee=True), Banned(), None)
    told = [banned(attempt(CALLER, CALLEE, part)) for part in parts]
    assert [v and (v.rule, v.reason) for v in told] == [
        ("banned", Reason.NOT_ALLOWED),
        ("banned", Reason.NOT_ALLOWED),
        None,
        None,
    ]
    assert told[0] == told[1]


@pytest_twisted.ensureDeferred
async def test_the_apps_servers_are_told(database: Database) -> None:
    hook = Webhook.model_validate(
        {
            "name": "app",
            "url": "https://app.example.org/hook",
            "secret_files": ["/run/secret"],
            "events": ["report.*", "limit.*"],
        }
    )
    outbox = Outbox(database, [hook], Meters(), lambda: NOW)
    reviews = ReviewStore(database, outbox)
    await CallStore(database).save(record("c1", NOW, ALICE, BOB, ended_at=NOW + 1))
    made = await reviews.report(CallId("c1"), BOB, "spam", "again", NOW)
    assert made is not None
    await reviews.report(CallId("c1"), BOB, "spam", "and again", NOW)
    await reviews.settle(made.id, "upheld", "", NOW + 5)
    people = PeopleStore(database, SETTINGS.people, SETTINGS.age)
    kept = LimitStore(database, SETTINGS.limits, Meters(), people, outbox)
    await kept.hold(ALICE, "spend_per_day", NOW)
    rows = await database.read(
        lambda c: list(c.execute(select(webhook_events).order_by(webhook_events.c.seq)))
    )
    told = [(row.kind, json.loads(row.body)) for row in rows]
    assert [kind for kind, _ in told] == ["report.created", "report.settled", "limit.breached"]
    first, settled, breached = (body["data"] for _, body in told)
    assert (first["report"], first["about"], first["category"]) == (made.id, "user:alice", "spam")
    assert settled["state"] == "upheld"
    assert (breached["person"], breached["rule"]) == ("user:alice", "spend_per_day")
    assert "frozen" not in first
