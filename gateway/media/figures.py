"""A leg's figures as they go over the channel to the daemon."""

from __future__ import annotations

from typing import Any

from gateway.values import LegStats


def figures_of(stats: LegStats) -> dict[str, Any]:
    return {
        "rx_packets": stats.received.packets,
        "rx_lost": stats.received.lost,
        "rx_jitter_ms": stats.received.jitter_ms,
        "tx_packets": stats.sent.packets,
        "tx_lost": stats.sent.lost,
        "tx_jitter_ms": stats.sent.jitter_ms,
        "rtt_ms": -1.0 if stats.rtt_ms is None else stats.rtt_ms,
        "codec": stats.codec,
    }
