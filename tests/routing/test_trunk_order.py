"""Trunks in order: priority strictly, weight by chance."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.trunk_order import in_order
from gateway.settings import RouteTrunk
from tests.routing.books import sequence


def trunks(*given: tuple[str, int, int]) -> list[RouteTrunk]:
    return [RouteTrunk(name=n, priority=p, weight=w) for n, p, w in given]


@pytest.mark.parametrize(
    ("draws", "order"),
    [
        ((0.0, 0.0), "abc"),
        ((0.49, 0.0), "abc"),
        ((0.5, 0.0), "bac"),
        ((0.79, 0.99), "bca"),
        ((0.8, 0.62), "cab"),
        ((0.8, 0.63), "cba"),
        ((0.999, 0.999), "cba"),
    ],
)
def test_equals_by_weight(draws: tuple[float, ...], order: str) -> None:
    equals = trunks(("a", 1, 5), ("b", 1, 3), ("c", 1, 2))
    assert in_order(equals, sequence(*draws)) == tuple(order)


def test_priority_goes_before_any_weight_and_needs_no_draw() -> None:
    ranked = trunks(("c", 7, 1000), ("a", 0, 1), ("b", 3, 500))
    assert in_order(ranked, sequence()) == ("a", "b", "c")


def test_each_is_first_as_often_as_its_weight_says() -> None:
    equals = trunks(("a", 1, 6), ("b", 1, 3), ("c", 1, 1))
    firsts = Counter(in_order(equals, sequence(n / 1000, 0.5))[0] for n in range(1000))
    assert firsts == {"a": 600, "b": 300, "c": 100}


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 1000)), min_size=1, max_size=8),
    st.randoms(use_true_random=False),
)
def test_every_trunk_is_there_once_in_the_order_of_priority(ranks, source) -> None:  # type: ignore[no-untyped-def]
    listed = trunks(*((f"t{n}", p, w) for n, (p, w) in enumerate(ranks)))
    order = in_order(listed, source.random)
    assert sorted(order) == sorted(t.name for t in listed)
    by_name = {t.name: t.priority for t in listed}
    assert [by_name[n] for n in order] == sorted(by_name.values())
