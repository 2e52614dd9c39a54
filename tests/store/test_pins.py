"""PINs in the database: made, redeemed, used up, and guarded against guessing."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted

from gateway.errors import NotAllowed
from gateway.settings import DialInSection, StoreSection
from gateway.store.database import Database
from gateway.store.pins import PinStore

NOW = 1_000_000.0
CALLER = "tel:+14155550100"


class Open:
    def __init__(self, path: Path, **limits: int) -> None:
        from twisted.internet import reactor

        self.path = path
        self.database = Database(StoreSection(url=f"sqlite:///{path}"), reactor)
        self.settings = DialInSection(**{"pins_per_user": 3, "caller_failures": 3, **limits})
        self.pins = PinStore(self.database, self.settings)


@pytest_twisted.async_yield_fixture
async def store(tmp_path: Path) -> AsyncIterator[Open]:
    made = Open(tmp_path / "pins.db")
    await made.database.start()
    yield made
    await made.database.stop()


@pytest_twisted.ensureDeferred
async def test_a_standing_pin(store: Open) -> None:
    pin, digits = await store.pins.create("alice", "standing", "gran", None, NOW)
    assert len(digits) == 8
    for uses in (1, 2):
        found = await store.pins.redeem(digits, CALLER, NOW)
        assert found is not None
        assert (found.pin, found.owner) == (pin.id, "alice")
        await store.pins.used(pin.id)
        [listed] = await store.pins.list("alice", NOW)
        assert (listed.uses, listed.label) == (uses, "gran")
    assert await store.pins.list("bob", NOW) == ()
    assert not await store.pins.revoke("bob", pin.id)
    assert await store.pins.revoke("alice", pin.id)
    assert await store.pins.redeem(digits, CALLER, NOW) is None


@pytest_twisted.ensureDeferred
async def test_a_one_time_pin_is_one_calls_at_a_time(store: Open) -> None:
    pin, digits = await store.pins.create("alice", "once", "", None, NOW)
    assert await store.pins.redeem(digits, CALLER, NOW)
    assert await store.pins.redeem(digits, "tel:+1", NOW) is None  # held by the first call
    await store.pins.give_back(pin.id)
    assert await store.pins.redeem(digits, "tel:+2", NOW)
    await store.pins.used(pin.id)
    assert await store.pins.redeem(digits, "tel:+3", NOW) is None
    assert await store.pins.list("alice", NOW) == ()


@pytest_twisted.ensureDeferred
async def test_a_pin_expires(store: Open) -> None:
    _, digits = await store.pins.create("alice", "standing", "", NOW + 60, NOW)
    assert await store.pins.redeem(digits, CALLER, NOW + 59)
    assert await store.pins.redeem(digits, CALLER, NOW + 60) is None
    assert await store.pins.list("alice", NOW + 60) == ()


@pytest_twisted.ensureDeferred
async def test_no_more_than_a_person_may_have(store: Open) -> None:
    for _ in range(3):
        await store.pins.create("alice", "once", "", NOW + 60, NOW)
    with pytest.raises(NotAllowed, match="there are 3 PINs already"):
        await store.pins.create("alice", "once", "", None, NOW)
    await store.pins.create("bob", "once", "", None, NOW)
    await store.pins.create("alice", "once", "", None, NOW + 61)


@pytest_twisted.ensureDeferred
async def test_a_guesser_is_locked_out_also_after_a_restart(store: Open) -> None:
    _, digits = await store.pins.create("alice", "standing", "", None, NOW)
    for _ in range(3):
        assert await store.pins.redeem("00000000", CALLER, NOW) is None
    assert await store.pins.redeem(digits, CALLER, NOW) is None  # right, and locked out
    again = Open(store.path)
    await again.database.start()
    try:
        assert await again.pins.redeem(digits, CALLER, NOW + 1) is None
        assert await again.pins.redeem(digits, "tel:+4930901820", NOW + 1)
        # one more is forgiven each third of the hour
        assert await again.pins.redeem(digits, CALLER, NOW + 3600)
    finally:
        await again.database.stop()


@pytest_twisted.ensureDeferred
async def test_many_guessers_lock_everybody_out(store: Open) -> None:
    store.pins = PinStore(store.database, DialInSection(all_failures=5))
    _, digits = await store.pins.create("alice", "standing", "", None, NOW)
    for number in range(5):
        await store.pins.redeem("00000000", f"tel:+{number}", NOW)
    assert await store.pins.redeem(digits, CALLER, NOW) is None
    assert await store.pins.redeem(digits, CALLER, NOW + 3600)


@pytest_twisted.ensureDeferred
async def test_digits_are_kept_nowhere(store: Open) -> None:
    _, digits = await store.pins.create("alice", "standing", "", None, NOW)
    with sqlite3.connect(store.path) as connection:
        dump = "\n".join(connection.iterdump())
    assert digits not in dump
