"""What a person's history shows, and how fast with many people's records beside it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Sequence
from typing import Any

import pytest
import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, text
from sqlalchemy.dialects import postgresql, sqlite

from gateway.calls.record import Acceptance, HistoryItem
from gateway.store import cursor
from gateway.store.calls import CallStore
from gateway.store.database import Database
from gateway.store.history import page_query
from gateway.store.rows import row_of
from gateway.store.schema import calls
from gateway.values import (
    Address,
    CallId,
    Party,
    Reason,
    ServiceAddress,
    SipAddress,
    TelAddress,
    UserAddress,
)
from tests.store.scene import ALICE, BOB, CAROL, SQLITE, record

PHONE = SipAddress("1001", "dm.localhost")


async def ids(store: CallStore, user: UserAddress, **filters: Any) -> list[str]:
    page = await store.list(user, None, 100, filters.get("with_"), filters.get("missed"))
    return [item.call for item in page.calls]


@pytest_twisted.ensureDeferred
async def test_a_call_as_each_side_sees_it(store: CallStore) -> None:
    await store.save(
        record(
            "c1",
            100.0,
            thread="t1",
            ringing_at=101.0,
            callee_accepted=Acceptance(104.0, "app_accept", BOB),
            connected_at=105.0,
            ended_at=165.5,
            reason=Reason.COMPLETED,
            ended_by=Party.CALLER,
        )
    )
    common: dict[str, Any] = {
        "call": CallId("c1"),
        "at": 100.0,
        "thread": "t1",
        "connected_at": 105.0,
        "reason": Reason.COMPLETED,
        "duration_s": 60.5,
    }
    mine = await store.list(ALICE, None, 10, None, None)
    assert mine.calls == (HistoryItem(direction="out", with_=BOB, with_name="User:Bob", **common),)
    theirs = await store.list(BOB, None, 10, None, None)
    assert theirs.calls == (
        HistoryItem(direction="in", with_=ALICE, with_name="User:Alice", **common),
    )
    assert mine.next is theirs.next is None
    assert (await store.list(CAROL, None, 10, None, None)).calls == ()


@pytest.mark.parametrize(
    "who",
    [
        PHONE,
        TelAddress("+14155550123"),
        ServiceAddress("echo"),
        CAROL,
        SipAddress("anonymous", "anonymous.invalid"),
        SipAddress("odd user", "host with space"),
        SipAddress("", ""),
    ],
)
@pytest_twisted.ensureDeferred
async def test_every_party_comes_back_as_it_was(store: CallStore, who: Address) -> None:
    await store.save(record("c1", 1.0, who, ALICE))
    await store.save(record("c2", 2.0, ALICE, who))
    page = await store.list(ALICE, None, 10, None, None)
    assert [item.with_ for item in page.calls] == [who, who]
    assert [item.with_ for item in (await store.list(ALICE, None, 10, who, None)).calls] == [
        who,
        who,
    ]


@pytest_twisted.ensureDeferred
async def test_bytes_that_are_no_text_do_not_lose_a_record(store: CallStore) -> None:
    name = b"Zo\xc3\xab \xff\0".decode("utf-8", "surrogateescape")
    caller = SipAddress("\udcff\ud800", "x")
    await store.save(record("c1", 1.0, caller, ALICE, thread="t" * 1000, caller_codec="x" * 99))
    (item,) = (await store.list(ALICE, None, 10, None, None)).calls
    assert isinstance(item.with_, SipAddress)
    assert item.thread == "t" * 200
    row = row_of(record("c2", 1.0, caller_name=name))
    assert row["caller_name"] == "Zoë \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"


# --- missed ---------------------------------------------------------------------------------

ENDED: dict[str, Any] = {"ended_at": 9.0}
DECLINED: dict[str, Any] = {"reason": Reason.DECLINED, "ended_by": Party.CALLEE, **ENDED}
OUTCOMES: Sequence[tuple[str, dict[str, Any], bool]] = (
    ("no answer", {"reason": Reason.NO_ANSWER, "ended_by": Party.GATEWAY, **ENDED}, True),
    ("caller gave up", {"reason": Reason.CANCELLED, "ended_by": Party.CALLER, **ENDED}, True),
    ("not signed in", {"reason": Reason.UNREACHABLE, "ended_by": Party.GATEWAY, **ENDED}, True),
    ("in other calls", {"reason": Reason.BUSY, "ended_by": Party.GATEWAY, **ENDED}, True),
    ("crashed", {"reason": Reason.GATEWAY_ERROR, "ended_by": Party.GATEWAY, **ENDED}, True),
    ("said no", DECLINED, False),
    ("said busy", {**DECLINED, "reason": Reason.BUSY}, False),
    ("elsewhere", {**DECLINED, "reason": Reason.ANSWERED_ELSEWHERE}, False),
    ("still rings", {"ringing_at": 2.0}, False),
    (
        "accepted, never connected",
        {
            "reason": Reason.MEDIA_FAILED,
            "ended_by": Party.GATEWAY,
            "callee_accepted": Acceptance(3.0, "app_accept", BOB),
            **ENDED,
        },
        False,
    ),
    (
        "talked",
        {
            "reason": Reason.COMPLETED,
            "ended_by": Party.CALLER,
            "callee_accepted": Acceptance(3.0, "app_accept", BOB),
            "connected_at": 4.0,
            **ENDED,
        },
        False,
    ),
)


@pytest.mark.parametrize(("_name", "end", "missed"), OUTCOMES, ids=[o[0] for o in OUTCOMES])
@pytest_twisted.ensureDeferred
async def test_what_is_missed(
    store: CallStore, _name: str, end: dict[str, Any], missed: bool
) -> None:
    await store.save(record("c1", 1.0, ALICE, BOB, **end))
    (shown,) = (await store.list(BOB, None, 10, None, None)).calls
    assert shown.missed is missed
    assert await ids(store, BOB, missed=True) == (["c1"] if missed else [])
    assert await ids(store, BOB, missed=False) == ([] if missed else ["c1"])
    # whoever calls has missed nothing
    (made,) = (await store.list(ALICE, None, 10, None, None)).calls
    assert made.missed is False
    assert await ids(store, ALICE, missed=True) == []
    assert await ids(store, ALICE, missed=False) == ["c1"]


@pytest_twisted.ensureDeferred
async def test_a_call_to_oneself_is_shown_once(store: CallStore) -> None:
    await store.save(record("c1", 1.0, ALICE, ALICE, reason=Reason.NO_ANSWER, **ENDED))
    assert await ids(store, ALICE) == ["c1"]
    assert await ids(store, ALICE, missed=True) == []


@pytest_twisted.ensureDeferred
async def test_with_keeps_calls_of_both_directions_with_that_party(store: CallStore) -> None:
    await store.save(record("c1", 1.0, ALICE, BOB))
    await store.save(record("c2", 2.0, BOB, ALICE))
    await store.save(record("c3", 3.0, ALICE, CAROL))
    await store.save(record("c4", 4.0, CAROL, BOB))
    assert await ids(store, ALICE, with_=BOB) == ["c2", "c1"]
    assert await ids(store, ALICE, with_=CAROL) == ["c3"]
    assert await ids(store, ALICE, with_=PHONE) == []


# --- pages ----------------------------------------------------------------------------------


async def walked(store: CallStore, user: UserAddress, limit: int, **filters: Any) -> list[str]:
    """Every page one after the other, each of the right length."""
    found: list[str] = []
    before = None
    while True:
        page = await store.list(user, before, limit, filters.get("with_"), filters.get("missed"))
        found += [item.call for item in page.calls]
        if page.next is None:
            return found
        assert len(page.calls) == limit
        before = page.next


@pytest_twisted.ensureDeferred
async def test_pages_are_newest_first_and_lose_nothing_in_one_moment(store: CallStore) -> None:
    """Calls of the same instant are told apart by their id."""
    for n in range(25):
        pair = (ALICE, BOB) if n % 2 else (BOB, ALICE)
        await store.save(record(f"c{n:02}", float(n // 5), *pair))
    expected = [f"c{n:02}" for n in reversed(range(25))]
    for limit in (1, 2, 5, 7, 24, 25, 100):
        assert await walked(store, ALICE, limit) == expected
    assert await walked(store, ALICE, 4, missed=False) == expected
    made = [c for c in expected if int(c[1:]) % 2]
    assert await walked(store, ALICE, 4, with_=BOB) == expected
    assert [
        i.call
        for i in (await store.list(ALICE, None, 99, None, None)).calls
        if i.direction == "out"
    ] == made


@pytest_twisted.ensureDeferred
async def test_a_call_that_comes_in_between_does_not_move_the_next_page(store: CallStore) -> None:
    for n in range(6):
        await store.save(record(f"c{n}", float(n)))
    first = await store.list(ALICE, None, 3, None, None)
    await store.save(record("c9", 9.0))
    second = await store.list(ALICE, first.next, 3, None, None)
    assert [item.call for item in second.calls] == ["c2", "c1", "c0"]


@pytest.mark.parametrize(
    "before",
    ["", "x", "!!!!", "ü", "e30=", "A" * 5000, "[" * 150]
    + [
        base64.urlsafe_b64encode(json.dumps(x).encode()).decode()
        for x in ([1], [1, 2, 3], [None, "c"], ["NaN", "c"], [1e999, "c"], [10**100, "\ud800"])
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_cursor_that_is_not_ours_gives_an_empty_page(store: CallStore, before: str) -> None:
    await store.save(record("c1", 1.0))
    page = await store.list(ALICE, before, 10, None, None)
    assert (page.calls, page.next) == ((), None)


@given(st.floats(allow_nan=False, allow_infinity=False), st.from_regex(r"\A[!-~]{1,64}\Z"))
def test_a_cursor_comes_back_as_it_was(at: float, call: str) -> None:
    assert cursor.read(cursor.write(at, call)) == (at, call)


@given(st.text())
def test_no_text_breaks_the_reading_of_a_cursor(text: str) -> None:
    cursor.read(text)


# --- size -----------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_history_stays_quick_with_100_000_people(
    database: Database, store: CallStore
) -> None:
    """200,000 calls of 100,000 people, one of whom is in a tenth of them."""
    people = 100_000

    def fill(c: Connection) -> None:
        template = row_of(record("x", 0.0, reason=Reason.NO_ANSWER, ended_by=Party.CALLER, **ENDED))
        for block in range(0, 200_000, 20_000):
            c.execute(
                insert(calls),
                [
                    {
                        **template,
                        "call": f"c{n}",
                        "created_at": float(n),
                        "caller": f"user:u{n % people}",
                        "callee": "user:busy" if n % 10 == 0 else f"user:u{n * 7 % people}",
                    }
                    for n in range(block, block + 20_000)
                ],
            )

    await database.write(fill)

    async def took(user: str, **filters: Any) -> float:
        best = 9.0
        for _ in range(5):
            began = time.perf_counter()
            found = await ids(store, UserAddress(user), **filters)
            best = min(best, time.perf_counter() - began)
            assert found
        return best

    assert await took("u77") < 0.1
    assert await took("busy") < 0.1
    assert await took("busy", missed=True) < 0.1
    assert len(await walked(store, UserAddress("busy"), 100)) == 20_000


@SQLITE
@pytest.mark.parametrize("missed", [None, True, False])
@pytest.mark.parametrize("with_", [None, BOB])
@pytest_twisted.ensureDeferred
async def test_the_query_walks_the_indexes(
    database: Database, with_: UserAddress | None, missed: bool | None
) -> None:
    query, asked = page_query("user:a", (1.0, "c"), 11, with_, missed)
    query = query.params(**asked)
    compiled = query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    plan = await database.read(
        lambda c: [r[3] for r in c.execute(text(f"EXPLAIN QUERY PLAN {compiled}"))]
    )
    searches = [p for p in plan if p.startswith("SEARCH")]
    wanted = {"calls_by_callee"} if missed else {"calls_by_caller", "calls_by_callee"}
    if with_ is not None:
        wanted = {"calls_by_pair"}
    assert {s.split("USING INDEX ")[1].split()[0] for s in searches} == wanted
    assert not [p for p in plan if p.startswith("SCAN calls")]


def test_the_query_is_postgresqls_too() -> None:
    query, _ = page_query("user:a", (1.0, "c"), 11, BOB, True)
    sql = str(query.compile(dialect=postgresql.dialect()))
    assert "(calls.created_at, calls.call) < " in sql
