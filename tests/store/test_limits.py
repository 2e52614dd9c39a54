"""What people have used, as the database remembers it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults

from gateway.policy.identity import Identity
from gateway.policy.limits import Usage
from gateway.settings import AgeSection, LimitsSection, PeopleSection
from gateway.store.calls import CallStore
from gateway.store.database import Database
from gateway.store.limits import LimitStore
from gateway.store.people import PeopleStore
from gateway.values import Address, SipAddress, TelAddress
from tests.store.scene import ALICE, BOB, opened, record

NOW = 1_800_000_000.0
PHONE = SipAddress("1001", "dm.localhost")
ME, HIM = Identity(ALICE, (ALICE, PHONE)), Identity(BOB, (BOB,))
ROME = Identity(TelAddress("+390666982"), (TelAddress("+390666982"),))
DAY_S = 86_400


class Meters:
    def __init__(self) -> None:
        self.rules: list[str] = []

    def breached(self, rule: str) -> None:
        self.rules.append(rule)


def ledger(database: Database, meters: Meters | None = None, **limits: Any) -> LimitStore:
    people = PeopleStore(database, PeopleSection(), AgeSection())
    section = LimitsSection.model_validate(limits)
    return LimitStore(database, section, meters or Meters(), people)


async def used(
    kept: LimitStore, caller: Identity, callee: Identity, source: str | None, now: float
) -> Usage:
    usage, (known,) = await kept.ask(caller, callee, source, now)
    assert (known.caller.address, known.callee.address) == (caller.person, callee.person)
    return usage


@pytest_twisted.ensureDeferred
async def test_the_call_too_many(database: Database) -> None:
    kept = ledger(database, calls_per_minute=3)
    for _ in range(3):
        assert (await used(kept, ME, HIM, None, NOW)).overflow is None
    full = (await used(kept, ME, HIM, None, NOW)).overflow
    assert full is not None
    assert (full.rule, full.wait_s) == ("calls_per_minute", 20)
    assert (await used(kept, HIM, ME, None, NOW)).overflow is None  # another person's bucket
    assert (await used(kept, ME, HIM, None, NOW + 20)).overflow is None
    assert (await used(kept, ME, HIM, None, NOW + 20)).overflow is not None


@pytest_twisted.ensureDeferred
async def test_a_full_bucket_takes_from_no_other(database: Database) -> None:
    kept = ledger(database, calls_per_minute=None, calls_per_hour=2, pair_per_hour=1)
    assert (await used(kept, ME, HIM, None, NOW)).overflow is None
    for _ in range(5):
        full = (await used(kept, ME, HIM, None, NOW)).overflow
        assert full is not None
        assert full.rule == "pair_per_hour"
    other = Identity(TelAddress("+33123456789"), (TelAddress("+33123456789"),))
    assert (await used(kept, ME, other, None, NOW)).overflow is None


@pytest_twisted.ensureDeferred
async def test_calls_that_come_at_once_share_the_bucket(database: Database) -> None:
    kept = ledger(database, calls_per_minute=5)
    asked = [Deferred.fromCoroutine(used(kept, ME, HIM, None, NOW)) for _ in range(20)]
    found = await gatherResults(asked)
    assert sum(usage.overflow is None for usage in found) == 5


@pytest_twisted.ensureDeferred
async def test_a_restart_forgives_nothing(file: Path) -> None:
    for expected in (None, "calls_per_hour"):
        database = opened(file)
        await database.start()
        overflow = (
            await used(ledger(database, calls_per_hour=1), ME, HIM, "192.0.2.1", NOW)
        ).overflow
        assert (overflow and overflow.rule) == expected
        await database.stop()


def talk(call: str, at: float, caller: Address, callee: Address, s: float | None, **m: Any) -> Any:
    ended = None if s is None else at + s
    return record(call, at, caller, callee, connected_at=at, ended_at=ended, **m)


@pytest_twisted.ensureDeferred
async def test_talk_of_the_day_over_all_channels(database: Database, store: CallStore) -> None:
    await store.save(talk("c1", NOW - 1000, ALICE, BOB, 100))
    await store.save(talk("c2", NOW - 500, PHONE, BOB, 50))
    await store.save(talk("c3", NOW - 30, ALICE, BOB, None))  # lasts
    await store.save(talk("c4", NOW - DAY_S - 1, ALICE, BOB, 1000))  # of the day before
    await store.save(talk("c5", NOW - 100, BOB, ALICE, 7))  # not made by her
    await store.save(record("c6", NOW - 100, ALICE, BOB, ended_at=NOW))  # never connected
    bounded = ledger(database, talk_minutes_per_day=10)
    assert (await used(bounded, ME, HIM, None, NOW)).talk_s == pytest.approx(180)
    assert (await used(ledger(database), ME, HIM, None, NOW)).talk_s == 0  # nobody wants to know


@pytest_twisted.ensureDeferred
async def test_telephone_calls_and_their_cost(database: Database, store: CallStore) -> None:
    berlin, paris, rome = (TelAddress(n) for n in ("+4930901820", "+33142685300", "+390666982"))
    price = {"per_minute": 0.5, "per_call": 0.1}
    await store.save(talk("c1", NOW - 300, ALICE, berlin, 61, **price))
    await store.save(talk("c2", NOW - 30, PHONE, berlin, None, **price))
    await store.save(record("c3", NOW - 10, ALICE, paris, ended_at=NOW - 5, **price))
    await store.save(talk("c4", NOW - 2 * DAY_S, ALICE, rome, 600, **price))
    await store.save(talk("c5", NOW - 40 * DAY_S, ALICE, paris, 600, **price))
    assert (await used(ledger(database), ME, HIM, None, NOW)).telephone == ()
    usage = await used(ledger(database), ME, ROME, None, NOW)
    assert [(c.number, c.country, c.talk_s) for c in usage.telephone] == [
        (paris.number, "FR", None),
        (berlin.number, "DE", 30),
        (berlin.number, "DE", 61),
    ]
    assert [c.cost for c in usage.telephone] == pytest.approx([0, 0.6, 1.1])
    assert usage.known_countries == {"IT"}


@pytest_twisted.ensureDeferred
async def test_holds(database: Database) -> None:
    meters = Meters()
    kept = ledger(database, meters, telephone={"hold_s": 100})
    await kept.hold(ALICE, "spend_per_day", NOW)
    assert meters.rules == ["spend_per_day"]
    assert (await used(kept, ME, ROME, None, NOW + 99)).held_until == NOW + 100
    assert (await used(kept, ME, HIM, None, NOW + 99)).held_until is None
    assert (await used(kept, HIM, ROME, None, NOW + 99)).held_until is None
    assert (await used(kept, ME, ROME, None, NOW + 100)).held_until is None
    (hold,) = await kept.holds(NOW + 50)
    assert (hold.person, hold.rule, hold.until) == (ALICE, "spend_per_day", NOW + 100)
    assert await kept.release(ALICE)
    assert not await kept.release(ALICE)
    assert await kept.holds(NOW + 50) == ()
