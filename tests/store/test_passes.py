"""Passes as the database keeps them: used once, given back, and in their turn."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults

from gateway.calls.pass_ports import Grant, Pass
from gateway.errors import NotAllowed
from gateway.policy.identity import Identity
from gateway.policy.passes import HeldPass
from gateway.settings import PassesSection
from gateway.store.database import Database
from gateway.store.passes import PassStore
from gateway.values import TelAddress, UserAddress

NOW = 1_800_000_000.0


def person(handle: str) -> Identity:
    return Identity(UserAddress(handle), (UserAddress(handle),))


CREATOR, FAN, OTHER = person("star"), person("fan"), person("other")


@pytest.fixture
def store(database: Database) -> PassStore:
    return PassStore(database, PassesSection(per_creator=5))


async def granted(store: PassStore, kind: Any, to: str = "fan", at: float = NOW, **m: Any) -> Pass:
    return await store.grant("star", to, Grant(kind, **m), at)


async def held(store: PassStore, who: Identity = FAN, now: float = NOW) -> str | None:
    found = await store.held(who, CREATOR, now)
    return None if found is None else found.id


@pytest_twisted.ensureDeferred
async def test_it_is_for_one_follower_of_one_creator(store: PassStore) -> None:
    made = await granted(store, "calls", calls=1)
    assert await held(store) == made.id
    assert await held(store, OTHER) is None
    assert await store.held(CREATOR, FAN, NOW) is None
    number = TelAddress("+4930901820")
    assert await store.held(Identity(number, (number,)), CREATOR, NOW) is None


@pytest_twisted.ensureDeferred
async def test_calls_are_used_by_connecting_and_given_back(store: PassStore) -> None:
    made = await granted(store, "calls", calls=1)
    assert await store.spend(made.id, "c1", NOW)
    assert await held(store) is None
    assert not await store.spend(made.id, "c2", NOW)
    await store.settle(made.id, "c1", 3.0, refund=True)
    assert await held(store) == made.id
    await store.settle(made.id, "c1", 3.0, refund=True)  # once
    assert await store.spend(made.id, "c3", NOW)
    await store.settle(made.id, "c3", 60.0, refund=False)
    assert await held(store) is None


@pytest_twisted.ensureDeferred
async def test_two_calls_at_once_cannot_both_use_the_last_one(store: PassStore) -> None:
    made = await granted(store, "calls", calls=1)
    spent = await gatherResults(
        [Deferred.fromCoroutine(store.spend(made.id, f"c{i}", NOW)) for i in range(8)]
    )
    assert spent.count(True) == 1


@pytest_twisted.ensureDeferred
async def test_minutes_are_used_by_talking(store: PassStore) -> None:
    made = await granted(store, "minutes", seconds=120.0)
    found = await store.held(FAN, CREATOR, NOW)
    assert found == HeldPass(made.id, "minutes", 120.0)
    assert await store.spend(made.id, "c1", NOW)
    await store.settle(made.id, "c1", 90.0, refund=False)
    assert await store.held(FAN, CREATOR, NOW) == HeldPass(made.id, "minutes", 30.0)
    assert await store.spend(made.id, "c2", NOW)
    assert await store.settle_left_open(NOW + 40) == 1  # the gateway died in that call
    assert await held(store) is None


@pytest_twisted.ensureDeferred
async def test_a_window(store: PassStore) -> None:
    made = await granted(store, "window", from_=NOW + 10, until=NOW + 20)
    seen = [await held(store, FAN, NOW + t) for t in (9, 10, 19, 20)]
    assert seen == [None, made.id, made.id, None]


@pytest_twisted.ensureDeferred
async def test_a_queue_moves_up(store: PassStore) -> None:
    first = await granted(store, "queue", "fan", NOW, calls=1)
    second = await granted(store, "queue", "other", NOW + 1, calls=1)
    assert (first.position, second.position) == (1, 2)
    assert [await held(store, who) for who in (FAN, OTHER)] == [first.id, None]
    assert await store.spend(first.id, "c1", NOW)
    assert [await held(store, who) for who in (FAN, OTHER)] == [None, second.id]
    (mine,) = (await store.passes(None, "other", None, 10, NOW)).passes
    assert mine.position == 1


@pytest_twisted.ensureDeferred
async def test_lists_and_bounds(store: PassStore) -> None:
    made = [await granted(store, "calls", at=NOW + i, calls=1) for i in range(5)]
    with pytest.raises(NotAllowed):
        await granted(store, "calls", calls=1)
    page = await store.passes("star", None, None, 3, NOW)
    assert [p.id for p in page.passes] == [p.id for p in made[:1:-1]]
    rest = await store.passes("star", None, page.next, 3, NOW)
    assert ([p.id for p in rest.passes], rest.next) == ([made[1].id, made[0].id], None)
    assert (await store.passes("star", None, "nonsense", 3, NOW)).passes == ()
    assert not await store.revoke("other", made[0].id)
    assert await store.revoke("star", made[0].id)
    assert await store.spend(made[1].id, "c1", NOW)
    await store.settle(made[1].id, "c1", 60, refund=False)
    await granted(store, "calls", calls=1)  # those that are used up count no more
    await granted(store, "calls", calls=1)
