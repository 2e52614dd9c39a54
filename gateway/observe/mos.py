"""Speech quality from loss, delay and codec: the E-model (ITU-T G.107).

``R = Ro - Is - Id - Ie,eff + A``, with the defaults of G.107 for all that a gateway cannot know
(levels, noise, echo: a telephone as the standard imagines it) and no advantage A.

Wideband codecs (G.722, Opus, speex at 16 kHz) are judged on the narrowband scale as if they were
narrowband: the figure is an approximation that does not credit their wider band, so it can be
compared with the others' (G.107.1 and G.107.2 have scales of their own).
"""

from __future__ import annotations

import math
from typing import Final

# (equipment impairment Ie, packet-loss robustness Bpl), with packet loss concealment.  G.711,
# G.729, iLBC and Ie of GSM: ITU-T G.113 appendix I; the others by their likeness to these
_CODECS: Final[dict[str, tuple[float, float]]] = {
    "pcmu": (0.0, 25.1),
    "pcma": (0.0, 25.1),
    "g722": (0.0, 20.0),
    "ilbc": (11.0, 32.0),
    "gsm": (20.0, 20.0),
    "speex": (11.0, 20.0),
    "opus": (0.0, 30.0),
    "g729": (11.0, 19.0),
}
_UNKNOWN: Final = (5.0, 15.0)

# G.107 §7.2 and §7.3 with the default values of its table 3
_NOISE_DBM: Final = -61.18
_RO: Final = 94.77
_IS: Final = 1.41
_RLR_DB: Final = 2.0
_TELR_DB: Final = 65.0
_WEPL_DB: Final = 110.0

PACKET_MS: Final = 20.0
"""One packet in the making; a jitter buffer of twice the jitter comes on top."""


def rating(codec: str, loss: float, delay_ms: float) -> float:
    """R, 0 to 93.2; ``loss`` 0 to 1, at random; ``delay_ms`` one way, from mouth to ear."""
    ie, bpl = _CODECS.get(codec.lower(), _UNKNOWN)
    percent = 100 * min(1.0, max(0.0, loss))
    impaired = ie + (95 - ie) * percent / (percent + bpl)
    return max(0.0, _RO - _IS - _delay_impairment(max(0.0, delay_ms)) - impaired)


def _delay_impairment(t: float) -> float:
    """Id of G.107 §7.4: talker's echo, listener's echo, and too long a delay as such."""
    return _talker_echo(t) + _listener_echo(2 * t) + _too_long(t)


def _talker_echo(t: float) -> float:
    if t < 1:
        return 0.0
    terv = _TELR_DB - 40 * math.log10((1 + t / 10) / (1 + t / 150)) + 6 * math.exp(-0.3 * t * t)
    half = (-1.5 * (_NOISE_DBM - _RLR_DB) - (80 + 2.5 * (terv - 14))) / 2
    return (half + math.sqrt(half * half + 100) - 1) * (1 - math.exp(-t))


def _listener_echo(round_trip: float) -> float:
    half = (_RO - 10.5 * (_WEPL_DB + 7) * math.pow(round_trip + 1, -0.25)) / 2
    return half + math.sqrt(half * half + 169)


def _too_long(t: float) -> float:
    if t <= 100:
        return 0.0
    x = math.log2(t / 100)

    def knee(y: float) -> float:
        return math.pow(1 + math.pow(y, 6), 1 / 6)

    return 25 * (knee(x) - 3 * knee(x / 3) + 2)


def mos(r: float) -> float:
    """Mean opinion score of a rating (G.107 annex B), 1 to 4.5."""
    if r <= 0:
        return 1.0
    if r >= 100:
        return 4.5
    # the polynomial dips below 1 for small R
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)


class EModel:
    """Implements ``ports.QualityModel``."""

    def mos(self, codec: str, loss: float, jitter_ms: float, rtt_ms: float | None) -> float:
        one_way = (rtt_ms or 0.0) / 2 + 2 * jitter_ms + PACKET_MS
        return mos(rating(codec, loss, one_way))
