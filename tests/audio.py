"""Tones and the finding of tones: what the tests hear with.

Signals are ``float64`` arrays between -1 and 1.
"""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float64]

WINDOW_MS = 20.0
DTMF_ROWS = (697.0, 770.0, 852.0, 941.0)
DTMF_COLUMNS = (1209.0, 1336.0, 1477.0, 1633.0)


def tone(hz: float, seconds: float, rate: int = 8000, level: float = 0.5) -> Signal:
    """A sine; ``level`` is its amplitude."""
    times = np.arange(round(seconds * rate)) / rate
    return np.asarray(level * np.sin(2 * np.pi * hz * times), dtype=np.float64)


def tones(parts: Sequence[tuple[float, float]], rate: int = 8000, level: float = 0.5) -> Signal:
    """Tones one after another, ``(Hz, seconds)`` each; 0 Hz is silence."""
    return np.concatenate([tone(hz, s, rate, level if hz else 0.0) for hz, s in parts])


def write_wav(path: Path, signal: Signal, rate: int = 8000, channels: int = 1) -> Path:
    """16-bit PCM with a plain header, the same in every channel."""
    samples = np.clip(np.round(signal * 32767), -32768, 32767).astype("<i2").repeat(channels)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return path


def read_wav(path: Path) -> tuple[Signal, int]:
    """The first channel of 16-bit PCM and its rate; the header may be unfinished."""
    data = path.read_bytes()
    rate = int.from_bytes(data[24:28], "little")
    channels = int.from_bytes(data[22:24], "little")
    start = data.index(b"data") + 8
    usable = (len(data) - start) // (2 * channels) * 2 * channels
    samples = np.frombuffer(data[start : start + usable], dtype="<i2")[::channels]
    return samples.astype(np.float64) / 32768, rate


def from_pcm(samples: NDArray[np.int16]) -> Signal:
    """16-bit samples as a signal."""
    return samples.astype(np.float64) / 32768


def power(signal: Signal, hz: float, rate: int) -> float:
    """Power of one frequency (Goertzel's sum), such that a sine of amplitude 1 has 0.25."""
    count = len(signal)
    if count == 0:
        return 0.0
    window = np.hanning(count)
    phases = np.exp(-2j * np.pi * hz * np.arange(count) / rate)
    return float(abs(np.sum(signal * window * phases) / np.sum(window)) ** 2)


def over_neighbours_db(
    signal: Signal, hz: float, rate: int, aside: Sequence[float] = (0.8, 0.9, 1.12, 1.25)
) -> float:
    """How far a tone stands above the loudest neighbour (``hz`` times each of ``aside``)."""
    neighbours = max(power(signal, hz * a, rate) for a in aside)
    return float(10 * np.log10((power(signal, hz, rate) + 1e-14) / (neighbours + 1e-14)))


def clear_db(signal: Signal, hz: float, rate: int) -> float:
    """:func:`over_neighbours_db` of the usual 200 ms: one click does not spread over all."""
    parts = _chunks(signal, round(rate * 0.2))
    return float(np.median([over_neighbours_db(part, hz, rate) for part in parts]))


def level_db(signal: Signal) -> float:
    """Mean power in dB of full scale (a sine of amplitude 1 has -3)."""
    return float(10 * np.log10(np.mean(signal**2) + 1e-14)) if len(signal) else -140.0


def heard(signal: Signal, hz: float, rate: int, share: float = 0.1) -> NDArray[np.bool_]:
    """For each window of 20 ms: is the tone in it, at over ``share`` of its usual power?"""
    size = round(rate * WINDOW_MS / 1000)
    windows = [signal[i : i + size] for i in range(0, len(signal) - size + 1, size)]
    powers = np.array([power(w, hz, rate) for w in windows])
    if not len(powers) or powers.max() < 1e-7:
        return np.zeros(len(powers), dtype=bool)
    return np.asarray(powers > share * np.percentile(powers, 90))


def longest_gap_ms(signal: Signal, hz: float, rate: int) -> float:
    """The longest time without the tone, between its first and its last sound."""
    return max((length for _, length in gaps_ms(signal, hz, rate)), default=0.0)


def gaps_ms(signal: Signal, hz: float, rate: int) -> list[tuple[float, float]]:
    """When the tone is not there, between its first and its last sound, and for how long."""
    there = heard(signal, hz, rate)
    if not there.any():
        return [(0.0, len(signal) * 1000 / rate)]
    first, last = int(there.argmax()), len(there) - int(there[::-1].argmax())
    found: list[tuple[float, float]] = []
    run = 0
    for at in range(first, last):
        if not there[at]:
            run += 1
        elif run:
            found.append((float(at - run) * WINDOW_MS, float(run) * WINDOW_MS))
            run = 0
    return found


def seconds_of(signal: Signal, hz: float, rate: int) -> float:
    """How long the tone is heard, in all."""
    return float(heard(signal, hz, rate).sum()) * WINDOW_MS / 1000


def is_silent(signal: Signal, ceiling_db: float = -50.0) -> bool:
    """Nothing louder than ``ceiling_db`` in any 100 ms (8 kHz or more)."""
    return all(level_db(w) < ceiling_db for w in _chunks(signal, 800))


def has_dtmf(signal: Signal, rate: int) -> bool:
    """Is there a digit's pair of tones in any 40 ms?"""
    for chunk in _chunks(signal, round(rate * 0.04)):
        if level_db(chunk) < -45:
            continue
        total = float(np.mean(chunk**2)) / 2
        rows = sorted((power(chunk, f, rate) for f in DTMF_ROWS), reverse=True)
        columns = sorted((power(chunk, f, rate) for f in DTMF_COLUMNS), reverse=True)
        pair = rows[0] + columns[0]
        clear = rows[0] > 8 * rows[1] and columns[0] > 8 * columns[1]
        if clear and pair > 0.6 * total and 0.1 < rows[0] / columns[0] < 10:
            return True
    return False


def _chunks(signal: Signal, size: int) -> list[Signal]:
    return [signal[i : i + size] for i in range(0, max(1, len(signal) - size + 1), size)]
