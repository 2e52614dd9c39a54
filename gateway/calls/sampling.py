"""How a leg sounds between two tellings of its figures."""

from __future__ import annotations

from collections.abc import Callable

from gateway.calls.console_ports import LegTap, Sample
from gateway.calls.ports import QualityModel
from gateway.values import CallId, LegId, LegStats, StreamStats


def loss(now: StreamStats, before: StreamStats) -> float:
    """Of what was sent between the two, 0 to 1."""
    lost, got = max(0, now.lost - before.lost), max(0, now.packets - before.packets)
    return lost / (lost + got) if lost + got else 0.0


def sample(before: LegStats, now: LegStats, codec: str, at: float, quality: QualityModel) -> Sample:
    received, sent = loss(now.received, before.received), loss(now.sent, before.sent)
    jitter_ms, jitter_sent_ms = now.received.jitter_ms, now.sent.jitter_ms
    return Sample(
        at=at,
        codec=codec,
        loss_received=received,
        loss_sent=sent,
        jitter_ms=jitter_ms,
        jitter_sent_ms=jitter_sent_ms,
        rtt_ms=now.rtt_ms,
        mos_received=quality.mos(codec, received, jitter_ms, now.rtt_ms),
        mos_sent=quality.mos(codec, sent, jitter_sent_ms, now.rtt_ms),
    )


class Ear:
    """Makes samples, and hands them on where somebody keeps them."""

    def __init__(self, quality: QualityModel, now: Callable[[], float], tap: LegTap | None) -> None:
        self._quality = quality
        self._now = now
        self._tap = tap

    def heard(
        self, call: CallId, leg: LegId, before: LegStats, now: LegStats, codec: str
    ) -> Sample:
        made = sample(before, now, codec, self._now(), self._quality)
        if self._tap is not None:
            self._tap.sampled(call, leg, made)
        return made
