"""Passes: what a creator has granted lets a follower through ``allow_from``, and no other rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.policy.chain import Attempt

PassKind = Literal["calls", "minutes", "window", "queue"]


@dataclass(frozen=True, slots=True)
class HeldPass:
    """What the caller holds of the callee that may be used now."""

    id: str
    kind: PassKind
    seconds_left: float | None = None
    """Of a pass for minutes."""
    until: float | None = None


def usable(attempt: Attempt) -> HeldPass | None:
    return attempt.facts.part(HeldPass)


def pass_left_s(attempt: Attempt) -> float | None:
    """A call by a pass lasts no longer than that: its minutes, its window."""
    held = usable(attempt)
    if held is None:
        return None
    bounds = [b for b in (held.seconds_left,) if b is not None]
    if held.kind == "window" and held.until is not None:
        bounds.append(held.until - attempt.now)
    return min(bounds, default=None)
