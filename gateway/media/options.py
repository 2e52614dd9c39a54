"""What a worker is started with; both the daemon and the worker read it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """``proxy`` is the edge's inner address; ``public_host`` is empty where it is not set."""

    proxy: str
    media_host: str
    public_host: str
    codecs: tuple[str, ...]
    ptime_ms: int
    rtp_first: int
    rtp_last: int
    legs: int
    stats_interval_s: float
    rtp_timeout_s: float
    user_agent: str
