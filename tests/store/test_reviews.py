"""Ratings, reports and views of one's own, beside other people's."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from gateway.calls.record import Acceptance
from gateway.calls.review_ports import Rating
from gateway.errors import WrongState
from gateway.store.calls import CallStore
from gateway.store.database import Database
from gateway.store.reviews import ReviewStore
from gateway.store.usage import DAY_S, UsageStore
from gateway.values import CallId, Direction, Party, Reason, UserAddress
from tests.store.scene import ALICE, BOB, CAROL, record

NOON = 20_000 * DAY_S + 43_200.0


def talked(call: str, at: float, seconds: float = 60.0, **more: Any) -> Any:
    caller = more.pop("caller", ALICE)
    callee = more.pop("callee", BOB)
    return record(
        call,
        at,
        caller,
        callee,
        ringing_at=at + 1,
        callee_accepted=Acceptance(at + 2, "app_accept", BOB),
        connected_at=at + 3,
        ended_at=at + 3 + seconds,
        reason=Reason.COMPLETED,
        ended_by=Party.CALLER,
        **more,
    )


@pytest.fixture
def reviews(database: Database) -> ReviewStore:
    return ReviewStore(database)


def rating(call: str, by: UserAddress = ALICE, score: int = 4) -> Rating:
    return Rating(CallId(call), by, score, ("echo", "delay"), "", NOON)


@pytest_twisted.ensureDeferred
async def test_each_side_rates_its_ended_call_once(
    store: CallStore, reviews: ReviewStore, database: Database
) -> None:
    await store.save(talked("c1", NOON))
    assert await reviews.rate(rating("c1", score=1)) is Direction.APP_TO_APP
    assert await reviews.rate(rating("c1", score=2)) is Direction.APP_TO_APP
    assert await reviews.rate(rating("c1", BOB, 5)) is Direction.APP_TO_APP
    assert await reviews.rate(rating("c1", CAROL)) is None
    assert await reviews.rate(rating("c2")) is None
    await store.save(record("c3", NOON))
    with pytest.raises(WrongState):
        await reviews.rate(rating("c3"))
    (day,) = await UsageStore(database).days(0, NOON + DAY_S)
    assert (day.ratings, day.score_sum) == (2, 7)


@pytest_twisted.ensureDeferred
async def test_a_report_freezes_the_record(store: CallStore, reviews: ReviewStore) -> None:
    await store.save(talked("c1", NOON))
    assert await reviews.report(CallId("c1"), CAROL, "spam", "", NOON) is None
    made = await reviews.report(CallId("c1"), BOB, "threat", "he said", NOON)
    assert made is not None
    assert (made.state, made.about, made.category) == ("open", ALICE, "threat")
    again = await reviews.report(CallId("c1"), BOB, "spam", "and then", NOON + 1)
    assert again is not None
    assert (again.id, again.category, again.comment) == (made.id, "threat", "he said\nand then")
    await store.save(talked("c1", NOON, 1.0))  # whatever becomes of the record afterwards
    kept = await reviews.report_of(made.id)
    assert kept is not None
    assert kept.frozen["ended_at"] == NOON + 63
    assert kept.frozen["callee"] == "user:bob"
    assert not [name for name in kept.frozen if name.endswith("_hid")]


@pytest_twisted.ensureDeferred
async def test_the_queue_of_reports(store: CallStore, reviews: ReviewStore) -> None:
    for i in range(5):
        await store.save(talked(f"c{i}", NOON + i))
        await reviews.report(CallId(f"c{i}"), BOB, "spam", "", NOON + i)
    first = await reviews.reports("open", None, 3)
    assert [r.call for r in first.reports] == ["c4", "c3", "c2"]
    second = await reviews.reports("open", first.next, 3)
    assert ([r.call for r in second.reports], second.next) == (["c1", "c0"], None)
    assert (await reviews.reports("open", "nonsense", 3)).reports == ()
    settled = await reviews.settle(first.reports[0].id, "upheld", "clear", NOON + 100)
    assert settled is not None
    assert (settled.state, settled.settled_at, settled.note) == ("upheld", NOON + 100, "clear")
    assert [r.call for r in (await reviews.reports("upheld", None, 3)).reports] == ["c4"]
    assert len((await reviews.reports("open", None, 10)).reports) == 4
    assert len((await reviews.reports(None, None, 10)).reports) == 5
    assert await reviews.settle("r0", "dismissed", "", NOON) is None


@pytest_twisted.ensureDeferred
async def test_what_one_deletes_the_other_still_sees(store: CallStore) -> None:
    for i in range(3):
        await store.save(talked(f"c{i}", NOON + i))
    await store.save(talked("mine", NOON, caller=BOB, callee=ALICE))
    assert await store.hide(ALICE, [CallId("c1"), CallId("none")]) == 1
    assert await store.hide(ALICE, [CallId("c1")]) == 0
    assert await store.hide(CAROL, [CallId("c0")]) == 0
    await store.save(talked("c1", NOON + 1, 5.0))  # a late save brings nothing back

    async def seen(who: UserAddress) -> list[str]:
        return [i.call for i in (await store.list(who, None, 10, None, None)).calls]

    assert await seen(ALICE) == ["c2", "mine", "c0"]
    assert await seen(BOB) == ["c2", "c1", "mine", "c0"]
    assert await store.hide(ALICE, None) == 3
    assert await seen(ALICE) == []
    assert len(await seen(BOB)) == 4


@pytest_twisted.ensureDeferred
async def test_figures_of_days(store: CallStore, database: Database) -> None:
    usage = UsageStore(database)
    await store.save(talked("c1", NOON))
    await store.save(talked("c2", NOON + 1, 30.0))
    missed = {"ended_at": NOON + 9, "reason": Reason.NO_ANSWER, "ended_by": Party.GATEWAY}
    await store.save(record("c3", NOON + 2, ringing_at=NOON + 3, **missed))
    await store.save(talked("c4", NOON + DAY_S, caller=CAROL))
    first, second = await usage.days(0, NOON + 2 * DAY_S)
    assert (first.day, first.invited, first.seen) == (20_000 * DAY_S, 3, 3)
    assert (first.accepted, first.connected, first.talk_s) == (2, 2, 90.0)
    assert (second.day, second.invited, second.connected) == (20_001 * DAY_S, 1, 1)
    assert await usage.reasons(0, NOON + DAY_S) == {
        (Direction.APP_TO_APP, Reason.COMPLETED): 2,
        (Direction.APP_TO_APP, Reason.NO_ANSWER): 1,
    }
    app = next(c for c in await usage.callers(0) if c.direction is Direction.APP_TO_APP)
    assert (app.all, app.again) == (2, 1)
    app = next(c for c in await usage.callers(NOON + 1) if c.direction is Direction.APP_TO_APP)
    assert (app.all, app.again) == (2, 0)
