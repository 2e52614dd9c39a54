"""Speech quality from loss, delay and codec: the E-model (ITU-T G.107).

``R = 93.2 - Id - Ie,eff``, with the defaults of G.107 for all that a gateway cannot know.
Wideband codecs are judged on the same narrowband scale, which does not credit their wider
band: the figure is comparable, not flattering (G.107.1 has a scale of its own).
"""

from __future__ import annotations

from typing import Final

# (equipment impairment Ie, packet-loss robustness Bpl): ITU-T G.113 appendix I, with packet
# loss concealment; speex, Opus and G.722 by comparison with codecs of like behaviour
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
BASE_R: Final = 93.2
PACKET_MS: Final = 20.0
"""One packet in the making; a jitter buffer of twice the jitter comes on top."""


def rating(codec: str, loss: float, delay_ms: float) -> float:
    """R, 0 to 93.2; ``loss`` 0 to 1, random; ``delay_ms`` from mouth to ear."""
    ie, bpl = _CODECS.get(codec.lower(), _UNKNOWN)
    percent = 100 * min(1.0, max(0.0, loss))
    impaired = ie + (95 - ie) * percent / (percent + bpl)
    delayed = 0.024 * delay_ms + (0.11 * (delay_ms - 177.3) if delay_ms > 177.3 else 0.0)
    return max(0.0, min(BASE_R, BASE_R - delayed - impaired))


def mos(r: float) -> float:
    """Mean opinion score of a rating (G.107 annex B), 1 to 4.5."""
    if r <= 0:
        return 1.0
    if r >= 100:
        return 4.5
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)


class EModel:
    """Implements ``ports.QualityModel``."""

    def mos(self, codec: str, loss: float, jitter_ms: float, rtt_ms: float | None) -> float:
        one_way = (rtt_ms or 0.0) / 2 + 2 * jitter_ms + PACKET_MS
        return mos(rating(codec, loss, one_way))
