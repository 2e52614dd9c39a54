"""The bridge between the two sides of a connected call: hold, mute, digits, quality."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import DeferredLock

from gateway.calls.company import Company
from gateway.calls.events import AppEvent, Dtmf, Held, Muted, Quality
from gateway.calls.machine import Side
from gateway.calls.ports import QualityModel, WorkerLease
from gateway.calls.sampling import loss
from gateway.calls.sides import CallSide
from gateway.calls.tasks import together
from gateway.values import Address, CallId, LegId, LegStats

PAUSE = ","


class Bridge:
    """Steers what the worker has connected; made when the call connects.

    ``company`` is the group that the call is part of: who hears whom is decided there.
    """

    def __init__(
        self,
        call: CallId,
        lease: WorkerLease,
        sides: dict[Side, CallSide],
        quality: QualityModel,
        company: Company | None = None,
    ) -> None:
        self.company = company
        self._call = call
        self._lease = lease
        self._sides = sides
        self._quality = quality
        self._holding: set[Side] = set()
        self._digits = {side: DeferredLock() for side in Side}
        self._told: dict[Side, LegStats] = {}

    @property
    def is_held(self) -> bool:
        return bool(self._holding)

    def _other(self, side: Side) -> CallSide:
        return self._sides[side.other]

    def _others(self, side: Side) -> Sequence[tuple[CallSide, Address]]:
        if self.company is not None:
            return self.company.others(self._call, side)
        return ((self._other(side), self._sides[side].address),)

    def _tell_others(self, side: Side, event: Callable[[CallId, Address], AppEvent]) -> None:
        for other, by in self._others(side):
            other.tell(event(other.room.id, by))

    def vacate(self, side: Side, empty: CallSide) -> None:
        """Nobody is on this side any more, and nobody will be."""
        self._sides[side] = empty

    async def replace(self, side: Side, new: CallSide) -> None:
        """Another is in this side's place from now on, and holds nobody."""
        old, staying = self._sides[side], self._other(side)
        self._sides[side] = new
        self._told.pop(side, None)
        held = side in self._holding
        self._holding.discard(side)
        here = staying.bridge_leg
        if here is not None and old.bridge_leg is not None and not held:
            await self._lease.disconnect(here, old.bridge_leg)
        if here is not None and new.bridge_leg is not None and not self._holding:
            await self._lease.connect(here, new.bridge_leg)
        if held:
            if staying.sip_leg is not None:
                await self._lease.hold(staying.sip_leg, False)
            if here is not None:
                await self._lease.stop(here)
            self.tell_held(side, False)

    def _legs(self) -> tuple[LegId, LegId] | None:
        a, b = self._sides[Side.CALLER].bridge_leg, self._sides[Side.CALLEE].bridge_leg
        return None if a is None or b is None else (a, b)

    async def hold(self, side: Side, held: bool) -> None:
        """``side`` holds the other, or takes it back; sound returns when nobody holds."""
        if self.company is not None:
            await self.company.hold(self._call, side, held)
            self.tell_held(side, held)
            return
        if held == (side in self._holding):
            return
        was_held = bool(self._holding)
        (self._holding.add if held else self._holding.discard)(side)
        legs = self._legs()
        if legs is not None and was_held != bool(self._holding):
            if self._holding:
                await self._lease.disconnect(*legs)
            else:
                await self._lease.connect(*legs)
        other = self._other(side)
        if other.sip_leg is not None:
            await self._lease.hold(other.sip_leg, held)
        if other.bridge_leg is not None:
            if held:
                await self._lease.play(other.bridge_leg, "hold")
            else:
                await self._lease.stop(other.bridge_leg)
        self.tell_held(side, held)

    def tell_held(self, side: Side, held: bool) -> None:
        self._tell_others(side, lambda call, by: Held(call=call, by=by, held=held))

    def far_held(self, side: Side, held: bool) -> None:
        """A party was put on hold at its own end, or taken back."""
        if self.company is not None:
            self.company.far_held(self._call, side)
        self.tell_held(side, held)

    async def mute(self, side: Side, muted: bool) -> None:
        leg = self._sides[side].bridge_leg
        if leg is not None:
            await self._lease.mute(leg, muted)
        self._tell_others(side, lambda call, by: Muted(call=call, by=by, muted=muted))

    async def dtmf(self, side: Side, digits: str, duration_ms: int) -> None:
        """``side`` sends digits; those of one side leave in the order they were asked for."""
        lock = self._digits[side]
        await lock.acquire()
        try:
            others = [other for other, _ in self._others(side)]
            for other in others:
                for digit in digits.replace(PAUSE, "") if other.sip_leg is None else "":
                    other.tell(Dtmf(call=other.room.id, digit=digit, duration_ms=duration_ms))
            legs = [other.sip_leg for other in others if other.sip_leg is not None]
            await together(*(self._lease.dtmf(leg, digits, duration_ms) for leg in legs))
        finally:
            lock.release()

    def measured(self, side: Side, stats: LegStats) -> None:
        """Tell the side's client how its call sounds, over the time since the last telling.

        What the gateway received is what the client sent.
        """
        before = self._told.get(side, LegStats())
        self._told[side] = stats
        codec = self._sides[side].codec()

        sent = loss(stats.received, before.received)
        received = loss(stats.sent, before.sent)
        event = Quality(
            call=self._call,
            stats=LegStats(
                received=stats.sent, sent=stats.received, rtt_ms=stats.rtt_ms, codec=codec
            ),
            mos_sent=self._quality.mos(codec, sent, stats.received.jitter_ms, stats.rtt_ms),
            mos_received=self._quality.mos(codec, received, stats.sent.jitter_ms, stats.rtt_ms),
            loss_sent=sent,
            loss_received=received,
        )
        self._sides[side].tell(event)
