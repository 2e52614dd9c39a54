"""The console's audit and its views of all calls, on both databases."""

from __future__ import annotations

import pytest_twisted

from gateway.calls.console_ports import Count
from gateway.calls.people_ports import Block
from gateway.calls.record import CallRecord
from gateway.settings import AgeSection, PeopleSection
from gateway.store.audit import AuditStore
from gateway.store.calls import CallStore
from gateway.store.database import Database
from gateway.store.people import PeopleStore
from gateway.store.product import ProductStore
from gateway.store.reviews import ReviewStore
from gateway.store.usage import DAY_S
from gateway.values import Direction, Party, Reason
from tests.store.scene import ALICE, BOB, CAROL, record
from tests.store.test_reviews import NOON, rating, talked


@pytest_twisted.ensureDeferred
async def test_actions_are_kept_newest_first(database: Database) -> None:
    audit = AuditStore(database)
    ids = [
        await audit.asked(NOON + n, "ana", "operator", "10.0.0.1", "end_call", f"c{n}" + "x" * 500)
        for n in range(5)
    ]
    await audit.came_of(ids[4], "done")
    page = await audit.actions(None, 2)
    assert [(a.id, a.outcome) for a in page.actions] == [(ids[4], "done"), (ids[3], "asked")]
    assert len(page.actions[0].target) == 400
    rest = await audit.actions(page.next, 50)
    assert [a.id for a in rest.actions] == ids[2::-1]
    assert rest.next is None
    assert await audit.forget(NOON + 3) == 3
    assert [a.id for a in (await audit.actions(None, 50)).actions] == [ids[4], ids[3]]


def missed(call: str, at: float) -> CallRecord:
    over = {"ended_at": at + 45, "reason": Reason.NO_ANSWER, "ended_by": Party.GATEWAY}
    return record(call, at, CAROL, BOB, ringing_at=at + 1, **over)


@pytest_twisted.ensureDeferred
async def test_the_product_view(database: Database, store: CallStore) -> None:
    since, until = NOON - DAY_S, NOON + DAY_S
    for made in (
        talked("c1", NOON, 5),
        talked("c2", NOON + 60, 65),
        talked("c3", NOON - 0.6 * DAY_S, 4000, caller=CAROL),
        missed("c4", NOON + 100),
        record("c5", NOON + 200),  # going on
        talked("early", since - 1),
        talked("late", until),
    ):
        await store.save(made)
    reviews = ReviewStore(database)
    await reviews.rate(rating("c1", score=2))
    await reviews.rate(rating("c2", score=5))
    await reviews.rate(rating("c2", BOB, score=5))
    found = await ProductStore(database).product(since, until)
    way = str(Direction.APP_TO_APP)
    steps = {c.what[1]: c.calls for c in found.funnel}
    assert {c.what[0] for c in found.funnel} == {way}
    assert steps == {"invited": 5, "seen": 4, "accepted": 3, "connected": 3, "talked": 2}
    reasons = {c.what[1]: c.calls for c in found.reasons}
    assert reasons == {"completed": 3, "no_answer": 1, "going on": 1}
    assert found.days == (
        Count(("2024-10-03", way), 1, 4000.0),
        Count(("2024-10-04", way), 4, 70.0),
    )
    lengths = {c.what[0]: c.calls for c in found.lengths if c.calls}
    assert lengths == {"10": 1, "180": 1, "": 1}
    assert found.scores == (Count((way, "2"), 1), Count((way, "5"), 2))
    assert sorted(found.tags, key=lambda c: c.what) == [Count(("delay",), 3), Count(("echo",), 3)]
    assert found.use == (Count((way, "all"), 2), Count((way, "again"), 1))


@pytest_twisted.ensureDeferred
async def test_nothing_happened(database: Database) -> None:
    found = await ProductStore(database).product(NOON, NOON + 1)
    assert found.funnel == found.days == found.lengths == found.use == ()


@pytest_twisted.ensureDeferred
async def test_who_is_blocked_most(database: Database) -> None:
    people = PeopleStore(database, PeopleSection(), AgeSection())
    for owner in ("alice", "carol"):
        await people.block(owner, BOB, NOON)
    await people.block("bob", ALICE, NOON)
    found = await ProductStore(database).most_blocked(10)
    assert [(b.who, b.by) for b in found] == [("user:bob", 2), ("user:alice", 1)]
    assert isinstance((await people.blocks("bob", None, 10)).blocks[0], Block)
    assert len(await ProductStore(database).most_blocked(1)) == 1
