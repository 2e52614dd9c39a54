"""Which leg's events go to whom, and how many legs are open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from gateway.calls.console_ports import Sample
from gateway.calls.ports import CallMeters, Sound
from gateway.calls.sampling import Ear
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


@dataclass(slots=True)
class OpenLeg:
    """``stats`` and ``sample`` are the latest that are known of its far end."""

    owner: LegOwner
    kind: LegKind
    media: LegMedia | None = None
    told: LegStats = field(default_factory=LegStats)
    stats: LegStats = field(default_factory=LegStats)
    sample: Sample | None = None


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
        ear: Ear,
    ) -> None:
        self._call = call
        self._meters = meters
        self._lost = lost
        self._emptied = emptied
        self._ear = ear
        self._legs: dict[LegId, OpenLeg] = {}
        self._count = 0

    def new(self, owner: LegOwner, kind: LegKind) -> LegId:
        """A fresh id, unique in the gateway; the leg counts as open until it closes."""
        self._count += 1
        leg = LegId(f"{self._call}.{self._count}")
        self._legs[leg] = OpenLeg(owner, kind)
        self._meters.leg_began(kind)
        return leg

    def __len__(self) -> int:
        return len(self._legs)

    def __contains__(self, leg: object) -> bool:
        return leg in self._legs

    def forget(self, leg: LegId) -> None:
        """The leg is gone (or was never made)."""
        gone = self._legs.pop(leg, None)
        if gone is None:
            return
        self._meters.leg_ended(gone.kind)
        if not self._legs:
            self._emptied()

    def open_legs(self) -> tuple[LegId, ...]:
        return tuple(self._legs)

    def __iter__(self) -> Iterator[tuple[LegId, OpenLeg]]:
        return iter(tuple(self._legs.items()))

    def _owner(self, leg: LegId) -> LegOwner | None:
        found = self._legs.get(leg)
        return None if found is None else found.owner

    # -- ports.LegEvents

    def leg_incoming(self, leg: LegId) -> None:
        if owner := self._owner(leg):
            owner.on_incoming(leg)

    def leg_ringing(self, leg: LegId, code: int) -> None:
        if owner := self._owner(leg):
            owner.on_ringing(leg, code)

    def leg_answered(self, leg: LegId) -> None:
        if owner := self._owner(leg):
            owner.on_answered(leg)

    def leg_media(self, leg: LegId, media: LegMedia) -> None:
        if found := self._legs.get(leg):
            found.media = media
            log.info(
                "leg_media",
                call=self._call,
                leg=leg,
                codec=media.codec,
                secure=media.secure,
                held=media.remote_held,
            )
            found.owner.on_media(leg, media)

    def leg_dtmf(self, leg: LegId, digit: str, duration_ms: int) -> None:
        if owner := self._owner(leg):
            owner.on_dtmf(leg, digit, duration_ms)

    def leg_played(self, leg: LegId, sound: Sound) -> None:
        if owner := self._owner(leg):
            owner.on_played(leg, sound)

    def leg_stats(self, leg: LegId, stats: LegStats) -> None:
        if owner := self._owner(leg):
            self._measure(leg, stats)
            owner.on_stats(leg, stats)

    def leg_closed(self, leg: LegId, end: LegEnd) -> None:
        owner = self._owner(leg)
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
        found = self._legs[leg]
        self._meters.leg_measured(found.told, stats)
        found.told = stats
        if found.kind is LegKind.SIP:  # of an app leg its client's own path tells more
            self.measured(leg, stats, found.media.codec if found.media else stats.codec)

    def measured(self, leg: LegId, stats: LegStats, codec: str) -> None:
        """What is known of the way to a leg's far end."""
        if found := self._legs.get(leg):
            found.sample = self._ear.heard(self._call, leg, found.stats, stats, codec)
            found.stats = stats
