"""The number that callees are shown is steady, near to them, and never one's own unasked."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.caller_id import CallerIds
from gateway.routing.numbers import Number
from gateway.settings import CallerIdSection
from gateway.values import NumberClass

US = tuple(f"+1415555{n:04}" for n in range(100, 108))
DE = tuple(f"+49301234{n}" for n in range(60, 64))


def to(country: str | None) -> Number:
    return Number("+1", (NumberClass.FIXED_LINE,), country)


def ids(*pool: str, verified: dict[str, str] | None = None) -> CallerIds:
    return CallerIds(CallerIdSection(pool=pool, verified=verified or {}), ())


@given(st.integers(0, 10_000))
def test_a_caller_keeps_its_number(n: int) -> None:
    caller, found = f"user:u{n}", ids(*US, *DE)
    first = found.choose(caller, to("US")).number
    assert first in US
    assert first == ids(*DE, *reversed(US)).choose(caller, to("US")).number
    assert found.choose(caller, to("DE")).number in DE
    assert found.choose(caller, to("FR")).number in (*US, *DE)
    assert found.choose(caller, to(None)).number in (*US, *DE)


def test_callers_are_spread_over_the_pool() -> None:
    found = ids(*US)
    used = Counter(found.choose(f"user:u{n}", to("US")).number for n in range(800))
    assert set(used) == set(US)
    assert max(used.values()) < 200


@given(st.integers(0, 10_000))
def test_a_number_that_goes_moves_its_own_callers_alone(n: int) -> None:
    caller = f"user:u{n}"
    before = ids(*US).choose(caller, to("US")).number
    after = ids(*US[1:]).choose(caller, to("US")).number
    assert after == before or before == US[0]


def test_a_verified_number_is_its_own_callers_and_only_where_it_may_be_used() -> None:
    found = ids(US[0], verified={"user:alice": "+442079460000"})
    assert found.choose("user:alice", to("US"), use_verified=True).number == "+442079460000"
    assert found.choose("user:alice", to("US")).number == US[0]
    assert found.choose("user:bob", to("US"), use_verified=True).number == US[0]


def test_somebody_elses_verified_number_is_not_answered_for() -> None:
    found = ids(verified={"user:alice": "+442079460000"})
    assert found.choose("user:alice", to("US"), override="+442079460000").attestation == "A"
    assert found.choose("user:bob", to("US"), override="+442079460000").attestation == "B"
