"""The E-model against what has been published of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.observe.mos import PACKET_MS, EModel, mos, rating

CODECS = ("PCMU", "PCMA", "G722", "iLBC", "GSM", "speex", "opus", "G729")


@pytest.mark.parametrize(
    ("r", "score"), [(90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58)]
)
def test_scores_of_ratings(r: float, score: float) -> None:
    """G.107 annex B, table B.1."""
    assert mos(r) == pytest.approx(score, abs=0.01)


def test_the_ends_of_the_scale() -> None:
    assert mos(-5) == mos(0) == mos(5) == 1.0
    assert mos(100) == mos(120) == 4.5


def test_the_default_connection() -> None:
    """G.107 §7.7: with all default values R is 93.2, and MOS 4.41."""
    assert rating("PCMU", 0, 0) == pytest.approx(93.2, abs=0.05)
    assert mos(rating("PCMU", 0, 0)) == pytest.approx(4.41, abs=0.01)


@pytest.mark.parametrize("delay", [20, 50, 100, 150, 177, 200, 250, 300])
def test_delay_as_others_have_simplified_it(delay: float) -> None:
    """Cole and Rosenbluth (2001): 0.024 d, and 0.11 (d - 177.3) more above that."""
    simple = 93.2 - 0.024 * delay - 0.11 * max(0.0, delay - 177.3)
    assert rating("PCMU", 0, delay) == pytest.approx(simple, abs=1.0)


@pytest.mark.parametrize(("codec", "ie"), [("PCMU", 0), ("G729", 11), ("iLBC", 11), ("GSM", 20)])
def test_codecs_cost_what_g113_says(codec: str, ie: float) -> None:
    assert rating("PCMA", 0, 20) - rating(codec, 0, 20) == pytest.approx(ie)


@pytest.mark.parametrize(
    ("codec", "percent", "impairment"),
    [
        # Ie,eff = Ie + (95 - Ie) Ppl / (Ppl + Bpl), by hand: G.107 §7.5
        ("PCMU", 1, 3.64),
        ("PCMU", 5, 15.78),
        ("G729", 2, 19.0),
        ("iLBC", 4, 20.33),
        ("PCMA", 100, 75.94),
    ],
)
def test_loss(codec: str, percent: float, impairment: float) -> None:
    clean = rating("PCMU", 0, 20)
    assert clean - rating(codec, percent / 100, 20) == pytest.approx(impairment, abs=0.01)


@given(
    st.sampled_from([*CODECS, "telepathy", ""]),
    st.floats(-1, 2),
    st.floats(0, 5000),
    st.none() | st.floats(0, 60_000),
)
def test_every_score_is_on_the_scale(
    codec: str, loss: float, jitter: float, rtt: float | None
) -> None:
    assert 1.0 <= EModel().mos(codec, loss, jitter, rtt) <= 4.5


@given(st.sampled_from(CODECS), st.floats(0, 1), st.floats(0, 1), st.floats(0, 2000))
def test_more_loss_is_never_better(codec: str, one: float, other: float, delay: float) -> None:
    less, more = sorted((one, other))
    assert rating(codec, less, delay) >= rating(codec, more, delay)


@given(st.sampled_from(CODECS), st.floats(20, 3000), st.floats(20, 3000))
def test_more_delay_is_never_better(codec: str, one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert rating(codec, 0, less) >= rating(codec, 0, more) - 1e-9


def test_delay_is_half_the_round_trip_a_buffer_and_a_packet() -> None:
    expected = mos(rating("G722", 0.01, 40 + 2 * 6 + PACKET_MS))
    assert EModel().mos("g722", 0.01, 6, 80) == pytest.approx(expected)
    assert EModel().mos("g722", 0.01, 6, None) > EModel().mos("g722", 0.01, 6, 80)
