"""G.711 both ways for test peers, by table: signals are ``float64`` between -1 and 1."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from tests.audio import Signal


@cache
def _table(law: str) -> NDArray[np.int32]:
    """The 16-bit value of each code (ITU-T G.711 tables 1a and 2a)."""
    if law == "PCMU":
        code = ~np.arange(256, dtype=np.int32) & 0xFF
        magnitude = ((((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
        return np.where(code & 0x80, -magnitude, magnitude).astype(np.int32)
    code = np.arange(256, dtype=np.int32) ^ 0x55
    segment, step = (code & 0x70) >> 4, (code & 0x0F) << 4
    magnitude = np.where(segment == 0, step + 8, (step + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int32)


def decode(payload: bytes, law: str) -> Signal:
    codes = np.frombuffer(payload, np.uint8)
    return _table(law)[codes].astype(np.float64) / 32768


def encode(signal: Signal, law: str) -> bytes:
    """The nearest code of each sample."""
    table = _table(law)
    order = np.argsort(table, kind="stable")
    values = table[order]
    wanted = np.round(signal * 32768).astype(np.int32)
    right = np.clip(np.searchsorted(values, wanted), 1, len(values) - 1)
    left_is_nearer = wanted - values[right - 1] <= values[right] - wanted
    return order[np.where(left_is_nearer, right - 1, right)].astype(np.uint8).tobytes()
