"""The order of SRV and NAPTR records."""

from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sip.records import NaptrRecord, SrvRecord, by_order, by_priority


def srv(priority: int, weight: int, target: str) -> SrvRecord:
    return SrvRecord(priority, weight, 5060, target)


def chance_of(order: tuple[int, ...]) -> Fraction:
    """How probable an order of weights is by RFC 2782, those of weight 0 being equal."""
    left, probability = list(order), Fraction(1)
    for weight in order:
        total, zeros = sum(left), left.count(0)
        # a number from 0 to total: 0 draws the first of weight 0, or, without any, the first of all
        if weight == 0:
            probability *= Fraction(1, total + 1) / zeros if total else Fraction(1, zeros)
        else:
            probability *= Fraction(weight + (0 if zeros else Fraction(1, len(left))), total + 1)
        left.remove(weight)
    return probability


@pytest.mark.parametrize(
    "weights", [(10, 30, 60), (0, 1, 9), (0, 0, 0), (0, 0, 1), (5, 5, 5), (1, 65_535, 2), (7,)]
)
def test_weights_are_chances(weights: tuple[int, ...]) -> None:
    chance, rounds = random.Random(2782), 20_000
    records = [srv(1, weight, f"t{at}") for at, weight in enumerate(weights)]
    seen = Counter(
        tuple(int(r.target[1:]) for r in by_priority(records, chance)) for _ in range(rounds)
    )
    assert sum(seen.values()) == rounds
    for order in permutations(range(len(weights))):
        expected = chance_of(tuple(weights[at] for at in order))
        spread = 4 * float(expected * (1 - expected) / rounds) ** 0.5
        assert abs(seen[order] / rounds - expected) <= spread + 1e-9, (order, float(expected))


def test_priority_comes_before_weight() -> None:
    records = [srv(20, 1000, "c"), srv(10, 0, "a"), srv(10, 1, "b"), srv(30, 65_535, "d")]
    for seed in range(50):
        order = [r.target for r in by_priority(records, random.Random(seed))]
        assert sorted(order[:2]) == ["a", "b"]
        assert order[2:] == ["c", "d"]


@given(
    st.lists(
        st.builds(srv, st.integers(0, 3), st.integers(0, 65_535), st.text("abc", min_size=1)),
        max_size=20,
    ),
    st.integers(),
)
def test_nothing_is_lost_and_priorities_rise(records: list[SrvRecord], seed: int) -> None:
    order = by_priority(records, random.Random(seed))
    assert Counter(order) == Counter(records)
    assert [r.priority for r in order] == sorted(r.priority for r in records)


def test_the_highest_number_draws_the_last() -> None:
    class Highest:
        def randint(self, a: int, b: int) -> int:
            return b

        def shuffle(self, x: object) -> None:
            pass

    records = [srv(1, 1, "a"), srv(1, 0, "b"), srv(1, 2, "c")]
    assert [r.target for r in by_priority(records, Highest())] == ["c", "a", "b"]


def test_naptr_by_order_then_preference() -> None:
    def rule(order: int, preference: int) -> NaptrRecord:
        return NaptrRecord(order, preference, "s", "SIP+D2U", "", "x")

    records = [rule(20, 1), rule(10, 50), rule(10, 40), rule(30, 0)]
    found = [[(r.order, r.preference) for r in same] for same in by_order(records)]
    assert found == [[(10, 40), (10, 50)], [(20, 1)], [(30, 0)]]
