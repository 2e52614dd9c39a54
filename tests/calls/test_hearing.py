"""Who hears whom, as a table: ``A>B`` is B hearing A."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calls.hearing import Hearing, Seat

A, B, C, D = (Seat(s) for s in "ABCD")
ALL = frozenset({A, B, C})


def ways(text: str) -> frozenset[tuple[Seat, Seat]]:
    return frozenset((Seat(way[0]), Seat(way[2])) for way in text.split())


@pytest.mark.parametrize(
    ("how", "heard"),
    [
        ({}, "A>B B>A A>C C>A B>C C>B"),
        ({"away": {C}}, "A>B B>A"),
        ({"away": {B, C}}, ""),
        ({"silenced": {B, C}}, "A>B A>C"),
        ({"listening": {A}}, "B>A C>A B>C C>B"),
        ({"whispers": {A: B}}, "A>B B>A B>C C>A C>B"),
        ({"whispers": {A: B, C: B}}, "A>B C>B B>A B>C"),
        ({"whispers": {A: B}, "silenced": {B, C}}, "A>B"),
        ({"whispers": {A: B}, "away": {B}}, "C>A"),
        ({"whispers": {A: B}, "listening": {A}}, "B>A B>C C>A C>B"),
        ({"whispers": {D: B}, "silenced": {D}}, "A>B B>A A>C C>A B>C C>B"),
    ],
)
def test_who_hears_whom(how: dict[str, Any], heard: str) -> None:
    assert Hearing(ALL, **how).ways() == ways(heard)


seats = st.frozensets(st.sampled_from([A, B, C, D]))


@given(
    seats, seats, seats, seats, st.dictionaries(st.sampled_from([A, B]), st.sampled_from([C, D]))
)
def test_nobody_is_heard_who_should_not_be(
    present: frozenset[Seat],
    away: frozenset[Seat],
    silenced: frozenset[Seat],
    listening: frozenset[Seat],
    whispers: dict[Seat, Seat],
) -> None:
    found = Hearing(present, away, silenced, listening, whispers).ways()
    for a, b in permutations([A, B, C, D], 2):
        wanted = {a, b} <= present - away and a not in silenced | listening
        wanted = wanted and whispers.get(a, b) == b
        assert ((a, b) in found) == wanted
