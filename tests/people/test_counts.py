"""What is counted: a stranger's rings, the talk of a day; also after a restart."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from gateway.hours import midnight
from gateway.policy.permission import FirstContact
from gateway.store.calls import CallStore
from gateway.values import Address, Principal, parse_address
from tests.people.scene import NOW, Scene
from tests.policy.scene import at
from tests.store.scene import record

DAY = 86_400


async def rings(scene: Scene, caller: str, callee: str, now: float) -> int | None:
    one, other = (scene.identities.of(parse_address(a)) for a in (caller, callee))
    found = (await scene.store.facts(one, other, now)).parts
    return found[0].rings if found and isinstance(found[0], FirstContact) else None


async def ring(scene: Scene, caller: str, callee: str, now: float) -> None:
    one, other = (scene.identities.of(parse_address(a)) for a in (caller, callee))
    await scene.store.rang(one, other, now)


@pytest_twisted.ensureDeferred
async def test_a_strangers_rings_are_counted_for_a_day(scene: Scene) -> None:
    pair = ("tel:+15005550006", "user:alice")
    assert await rings(scene, *pair, NOW) == 0
    for number in range(3):
        await ring(scene, *pair, NOW + number)
    assert await rings(scene, *pair, NOW + 10) == 3
    assert await rings(scene, "tel:+15005550007", "user:alice", NOW + 10) == 0
    # a day after the last one, and not before
    assert await rings(scene, *pair, NOW + 1 + DAY) == 3
    assert await rings(scene, *pair, NOW + 2 + DAY) == 0
    await ring(scene, *pair, NOW + 2 + DAY)
    assert await rings(scene, *pair, NOW + 3 + DAY) == 1


@pytest_twisted.ensureDeferred
async def test_rings_count_over_every_channel_and_a_restart(scene: Scene) -> None:
    await ring(scene, "user:bob", "user:alice", NOW)
    await ring(scene, "sip:1004@dm.localhost", "sip:1001@dm.localhost", NOW)
    again = Scene(scene.file)
    await again.database.start()
    try:
        assert await rings(again, "tel:+4930901829", "user:alice", NOW) == 2
        one, other = (again.identities.of(parse_address(f"user:{n}")) for n in ("alice", "bob"))
        await again.store.answered(one, other)  # she has called back
        assert await rings(again, "user:bob", "user:alice", NOW) == 0
    finally:
        await again.database.stop()


@pytest_twisted.ensureDeferred
async def test_what_is_old_is_forgotten(scene: Scene) -> None:
    for number in range(5):
        await ring(scene, f"tel:+1500555000{number}", "user:alice", NOW)
    await ring(scene, "tel:+15005550009", "user:alice", NOW + DAY + 1)

    def left(connection: Any) -> int:
        return int(connection.exec_driver_sql("SELECT count(*) FROM strangers").scalar())

    assert await scene.database.read(left) == 1


@pytest_twisted.ensureDeferred
async def test_who_has_no_handle_has_no_strangers(scene: Scene) -> None:
    assert await rings(scene, "user:alice", "tel:+15005550006", NOW) is None


ZONE = "Europe/Berlin"
MORNING = at("2026-03-29 08:00", ZONE)  # of a day with 23 hours
MIDNIGHT = at("2026-03-29 00:00", ZONE)
CHILD = Principal("alice", "Alice", age="13-15", timezone=ZONE)
PHONE, GRAN = parse_address("sip:1001@dm.localhost"), parse_address("tel:+4930901820")
ALICE, BOB = parse_address("user:alice"), parse_address("user:bob")


def test_when_a_day_begins() -> None:
    for when, zone, began in (
        ("2026-03-29 08:00", ZONE, "2026-03-29 00:00"),
        ("2026-10-25 23:59", ZONE, "2026-10-25 00:00"),
        ("2026-11-23 00:00", "Asia/Kathmandu", "2026-11-23 00:00"),
    ):
        assert midnight(at(when, zone), zone) == at(began, zone)


@pytest.mark.parametrize(
    ("caller", "callee", "begun", "connected", "ended", "talked"),
    [
        (ALICE, BOB, 0, 0, 600, 600),
        (BOB, ALICE, 0, 0, 600, 600),
        (PHONE, BOB, 0, 0, 600, 600),  # with another device
        (GRAN, PHONE, 0, 0, 600, 600),
        (ALICE, BOB, 0, 100, None, 8 * 3600 - 3600 - 100),  # lasts: an hour was left out
        (ALICE, BOB, 0, None, 600, 0),
        (BOB, GRAN, 0, 0, 600, 0),
        (ALICE, BOB, -3600, -3600, 60, 60),  # since midnight
        (ALICE, BOB, -3600, -3600, -60, 0),
        (ALICE, BOB, -90_000, -90_000, -60, 0),
    ],
)
@pytest_twisted.ensureDeferred
async def test_the_talk_of_a_day(
    scene: Scene,
    caller: Address,
    callee: Address,
    begun: float,
    connected: float | None,
    ended: float | None,
    talked: float,
) -> None:
    await scene.store.seen(CHILD, NOW)
    kept = record(
        "c1",
        MIDNIGHT + begun,
        caller,
        callee,
        connected_at=None if connected is None else MIDNIGHT + connected,
        ended_at=None if ended is None else MIDNIGHT + ended,
    )
    await CallStore(scene.database).save(kept)
    alice, bob = (scene.identities.of(a) for a in (ALICE, BOB))
    for one, other in ((alice, bob), (bob, alice)):
        facts = await scene.store.facts(one, other, MORNING)
        mine = facts.caller if one is alice else facts.callee
        assert mine.talked_s == talked
    await scene.store.seen(Principal("alice", "Alice", age="18+"), NOW)
    assert (await scene.store.facts(alice, bob, MORNING)).caller.talked_s == 0


@pytest_twisted.ensureDeferred
async def test_several_calls_add_up(scene: Scene) -> None:
    await scene.store.seen(CHILD, NOW)
    calls = CallStore(scene.database)
    for number in range(5):
        begun = MIDNIGHT + 1000 * number
        one, other = (ALICE, BOB) if number % 2 else (GRAN, PHONE)
        until = {"connected_at": begun, "ended_at": begun + 60}
        await calls.save(record(f"c{number}", begun, one, other, **until))
    alice = scene.identities.of(ALICE)
    facts = await scene.store.facts(alice, scene.identities.of(BOB), MORNING)
    assert facts.caller.talked_s == 300
