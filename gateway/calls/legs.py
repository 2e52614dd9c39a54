"""Which leg's events go to whom, and how many legs are open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import structlog

from gateway.calls.ports import CallMeters, Sound
from gateway.values import CallId, LegEnd, LegId, LegKind, LegMedia, LegStats

log = structlog.get_logger()


class LegOwner(Protocol):
    """One side of a call, as its legs see it."""

    def on_incoming(self, leg: LegId) -> None: ...
    def on_ringing(self, leg: LegId, code: int) -> None: ...
    def on_answered(self, leg: LegId) -> None: ...
    def on_media(self, leg: LegId, media: LegMedia) -> None: ...
    def on_dtmf(self, leg: LegId, digit: str, duration_ms: int) -> None: ...
    def on_played(self, leg: LegId, sound: Sound) -> None: ...
    def on_stats(self, leg: LegId, stats: LegStats) -> None: ...
    def on_closed(self, leg: LegId, end: LegEnd) -> None: ...


class LegTable:
    """The open legs of one call; implements ``ports.LegEvents``.

    ``lost`` is called when the worker died, ``emptied`` each time the last leg has closed.
    """

    def __init__(
        self,
        call: CallId,
        meters: CallMeters,
        lost: Callable[[], None],
        emptied: Callable[[], None],
    ) -> None:
        self._call = call
        self._meters = meters
        self._lost = lost
        self._emptied = emptied
        self._owners: dict[LegId, LegOwner] = {}
        self._kinds: dict[LegId, LegKind] = {}
        self._told: dict[LegId, LegStats] = {}
        self._count = 0

    def new(self, owner: LegOwner, kind: LegKind) -> LegId:
        """A fresh id, unique in the gateway; the leg counts as open until it closes."""
        self._count += 1
        leg = LegId(f"{self._call}.{self._count}")
        self._owners[leg] = owner
        self._kinds[leg] = kind
        self._meters.leg_began(kind)
        return leg

    def __len__(self) -> int:
        return len(self._owners)

    def __contains__(self, leg: object) -> bool:
        return leg in self._owners

    def forget(self, leg: LegId) -> None:
        """The leg is gone (or was never made)."""
        if self._owners.pop(leg, None) is None:
            return
        self._meters.leg_ended(self._kinds.pop(leg))
        self._told.pop(leg, None)
        if not self._owners:
            self._emptied()

    def open_legs(self) -> tuple[LegId, ...]:
        return tuple(self._owners)

    # -- ports.LegEvents

    def leg_incoming(self, leg: LegId) -> None:
        if owner := self._owners.get(leg):
            owner.on_incoming(leg)

    def leg_ringing(self, leg: LegId, code: int) -> None:
        if owner := self._owners.get(leg):
            owner.on_ringing(leg, code)

    def leg_answered(self, leg: LegId) -> None:
        if owner := self._owners.get(leg):
            owner.on_answered(leg)

    def leg_media(self, leg: LegId, media: LegMedia) -> None:
        if owner := self._owners.get(leg):
            owner.on_media(leg, media)

    def leg_dtmf(self, leg: LegId, digit: str, duration_ms: int) -> None:
        if owner := self._owners.get(leg):
            owner.on_dtmf(leg, digit, duration_ms)

    def leg_played(self, leg: LegId, sound: Sound) -> None:
        if owner := self._owners.get(leg):
            owner.on_played(leg, sound)

    def leg_stats(self, leg: LegId, stats: LegStats) -> None:
        if owner := self._owners.get(leg):
            self._measure(leg, stats)
            owner.on_stats(leg, stats)

    def leg_closed(self, leg: LegId, end: LegEnd) -> None:
        owner = self._owners.get(leg)
        if owner is None:
            return
        if end.stats is not None:
            self._measure(leg, end.stats)
        log.info(
            "leg_closed",
            call=self._call,
            leg=leg,
            code=end.code,
            text=end.text,
            by="remote" if end.remote else "gateway",
        )
        self.forget(leg)
        owner.on_closed(leg, end)

    def worker_lost(self) -> None:
        for leg in self.open_legs():
            self.forget(leg)
        self._lost()

    def _measure(self, leg: LegId, stats: LegStats) -> None:
        self._meters.leg_measured(self._told.get(leg, LegStats()), stats)
        self._told[leg] = stats
