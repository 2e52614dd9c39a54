"""What is kept of people, and what is found of two of them before they call each other."""

from __future__ import annotations

import pytest
import pytest_twisted

from gateway.errors import NotAllowed
from gateway.policy.people import Claims, Preferences, QuietHours
from gateway.settings import AgeSection, PeopleSection
from gateway.store.people import PeopleStore
from gateway.values import Principal, parse_address
from tests.people.scene import NOW, Scene

EVERY_CHANNEL = ("user:bob", "sip:1004@dm.localhost", "tel:+4930901829")


@pytest_twisted.ensureDeferred
async def test_nobody_is_known_at_first(scene: Scene) -> None:
    for caller, callee in (("user:alice", "user:bob"), ("tel:+15005550006", "service:echo")):
        one, other = await scene.sides(caller, callee)
        assert (str(one.address), str(other.address)) == (caller, callee)
        for side in (one, other):
            assert (side.claims, side.preferences) == (Claims(), Preferences())
            assert not (side.knows or side.favours or side.blocks)


@pytest_twisted.ensureDeferred
async def test_claims_are_those_last_seen(scene: Scene) -> None:
    token = Principal("alice", "Alice", "DE", frozenset({"beta", "vip"}), "13-15")
    await scene.store.seen(token, NOW)
    await scene.store.seen(token, NOW + 1)
    one, _ = await scene.sides("sip:1001@dm.localhost", "user:bob")
    assert one.claims == Claims("DE", frozenset({"beta", "vip"}), "13-15", None)
    later = Principal("alice", "Alice", "FR", timezone="Europe/Paris")
    await scene.store.seen(later, NOW + 2)
    one, _ = await scene.sides("user:alice", "user:bob")
    assert one.claims == Claims("FR", frozenset(), None, "Europe/Paris")


@pytest.mark.parametrize("kept_as", EVERY_CHANNEL)
@pytest_twisted.ensureDeferred
async def test_contacts_and_blocks_hold_over_every_channel(scene: Scene, kept_as: str) -> None:
    bob = parse_address(kept_as)
    await scene.store.put_contact("alice", bob, "Bob", True, NOW)
    await scene.store.block("alice", bob, NOW)
    for channel in EVERY_CHANNEL:
        for mine in ("user:alice", "sip:1001@dm.localhost"):
            for caller, callee in ((channel, mine), (mine, channel)):
                one, other = await scene.sides(caller, callee)
                alice, his = (one, other) if caller == mine else (other, one)
                assert str(alice.address) == "user:alice"
                assert (alice.knows, alice.favours, alice.blocks) == (True, True, True)
                assert not (his.knows or his.favours or his.blocks)
    _, carol = await scene.sides(kept_as, "user:carol")
    assert not (carol.knows or carol.blocks)


@pytest_twisted.ensureDeferred
async def test_a_contact_may_be_no_favourite_any_more(scene: Scene) -> None:
    bob = parse_address("user:bob")
    for favourite in (True, False):
        await scene.store.put_contact("alice", bob, "Bob", favourite, NOW)
        alice, _ = await scene.sides("user:alice", "user:bob")
        assert (alice.knows, alice.favours) == (True, favourite)
    assert await scene.store.remove_contact("alice", bob)
    assert not await scene.store.remove_contact("alice", bob)
    alice, _ = await scene.sides("user:alice", "user:bob")
    assert not alice.knows


@pytest_twisted.ensureDeferred
async def test_preferences_change_one_by_one(scene: Scene) -> None:
    hours = (QuietHours(("mon", "sun"), "22:00", "07:00"),)
    assert await scene.store.preferences("alice") == Preferences()
    await scene.store.prefer("alice", {"quiet_hours": hours, "ring_seconds": 20}, NOW)
    after = await scene.store.prefer("alice", {"do_not_disturb": True}, NOW)
    expected = Preferences(quiet_hours=hours, ring_seconds=20, do_not_disturb=True)
    assert after == await scene.store.preferences("alice") == expected
    alice, _ = await scene.sides("sip:1001@dm.localhost", "user:bob")  # no token was ever seen
    assert alice.preferences == expected


@pytest_twisted.ensureDeferred
async def test_no_more_than_a_person_may_keep(scene: Scene) -> None:
    few = PeopleStore(
        scene.database, PeopleSection(contacts_per_user=2, blocks_per_user=2), AgeSection()
    )
    one, two, three = (parse_address(f"user:u{n}") for n in range(3))
    for address in (one, two, one, two):  # again: nothing is added
        await few.put_contact("alice", address, "", False, NOW)
        await few.block("alice", address, NOW)
    with pytest.raises(NotAllowed, match="there are 2 contacts already"):
        await few.put_contact("alice", three, "", False, NOW)
    with pytest.raises(NotAllowed, match="there are 2 blocks already"):
        await few.block("alice", three, NOW)
    assert len((await few.contacts("alice", None, 10)).contacts) == 2
    await few.block("bob", three, NOW)
    await few.put_contact("bob", three, "", False, NOW)
    await few.put_contact("alice", one, "changed when full", True, NOW)


@pytest_twisted.ensureDeferred
async def test_pages_end_where_the_next_begins(scene: Scene) -> None:
    everybody = [f"user:u{n:02}" for n in range(7)]
    for text in everybody:
        await scene.store.put_contact("alice", parse_address(text), text.title(), False, NOW)
        await scene.store.block("alice", parse_address(text), NOW)
    for method, name, key in (
        ("contacts.list", "contacts", "address"),
        ("blocks.list", "blocks", "who"),
    ):
        found: list[str] = []
        sizes = []
        after = None
        while True:
            page = await scene.ask("alice", method, limit=3, after=after)
            found += [entry[key] for entry in page[name]]
            sizes.append(len(page[name]))
            after = page.get("next")
            if after is None:
                break
        assert (found, sizes) == (everybody, [3, 3, 1])
