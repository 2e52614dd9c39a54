"""What the tests hear with hears what is there, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.audio import (
    Signal,
    clear_db,
    has_dtmf,
    is_silent,
    level_db,
    longest_gap_ms,
    over_neighbours_db,
    power,
    read_wav,
    seconds_of,
    tone,
    tones,
    write_wav,
)

NOISE: Signal = np.random.default_rng(1).normal(0, 0.1, 16_000)


def test_a_tone_is_found_and_only_where_it_is() -> None:
    signal = tone(440, 2, 8000)
    assert over_neighbours_db(signal, 440, 8000) > 60
    assert over_neighbours_db(signal, 700, 8000) < 10
    assert power(tone(440, 1, level=1.0), 440, 8000) == pytest.approx(0.25, rel=1e-3)
    assert level_db(tone(440, 1, level=1.0)) == pytest.approx(-3, abs=0.1)


def test_noise_is_no_tone_and_a_tone_in_noise_is() -> None:
    assert over_neighbours_db(NOISE, 440, 8000) < 20
    assert over_neighbours_db(NOISE + tone(440, 2, 8000), 440, 8000) > 20


def test_a_click_does_not_hide_a_tone_and_another_tone_does() -> None:
    signal = tones([(1000, 0.6), (0, 0.02), (1000, 0.6)])
    assert over_neighbours_db(signal, 1000, 8000) < clear_db(signal, 1000, 8000)
    assert clear_db(signal, 1000, 8000) > 60
    assert clear_db(NOISE, 1000, 8000) < 20
    assert clear_db(tones([(1000, 0.2), (0, 1)]), 1000, 8000) < 20


@pytest.mark.parametrize("gap_ms", [40, 100, 500])
def test_a_gap_is_measured(gap_ms: int) -> None:
    signal = tones([(440, 1), (0, gap_ms / 1000), (440, 1)])
    assert longest_gap_ms(signal, 440, 8000) == pytest.approx(gap_ms, abs=20)
    assert seconds_of(signal, 440, 8000) == pytest.approx(2, abs=0.05)


def test_silence_around_a_tone_is_no_gap_and_no_tone_is_all_gap() -> None:
    assert longest_gap_ms(tones([(0, 1), (440, 1), (0, 1)]), 440, 8000) == 0
    assert longest_gap_ms(np.zeros(8000), 440, 8000) == 1000
    assert seconds_of(np.zeros(8000), 440, 8000) == 0


def test_another_tone_in_between_is_a_gap() -> None:
    assert longest_gap_ms(tones([(440, 1), (700, 0.2), (440, 1)]), 440, 8000) >= 180


def test_silence_is_silent_and_a_short_blip_is_not() -> None:
    assert is_silent(np.zeros(8000))
    assert not is_silent(tones([(0, 1), (440, 0.02), (0, 1)]))


def test_digits_are_heard_and_speech_like_tones_are_not() -> None:
    five = tone(770, 0.1, level=0.3) + tone(1336, 0.1, level=0.3)
    assert has_dtmf(np.concatenate([np.zeros(4000), five, np.zeros(4000)]), 8000)
    assert not has_dtmf(tone(770, 1), 8000)
    assert not has_dtmf(tone(440, 1) + tone(700, 1), 8000)
    assert not has_dtmf(NOISE, 8000)


def test_a_wav_file_comes_back_also_when_its_sizes_were_never_written(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "t.wav", tone(440, 0.5, 16_000), 16_000)
    signal, rate = read_wav(path)
    assert rate == 16_000
    assert np.allclose(signal, tone(440, 0.5, 16_000), atol=1e-4)
    raw = bytearray(path.read_bytes())
    raw[40:44] = b"\0\0\0\0"
    path.write_bytes(bytes(raw))
    assert len(read_wav(path)[0]) == 8000
