"""Two calls made one: the leg in each that leads to the other, past whoever left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gateway.calls.events import AppEvent, Connected, Ended
from gateway.calls.machine import Side, State
from gateway.calls.reasons import Ending, from_answered
from gateway.calls.sides import Callee, Caller, CallSide, Room, close_leg
from gateway.values import (
    Address,
    HostPort,
    LegEnd,
    LegId,
    LegKind,
    LegMedia,
    Party,
    Reason,
    SipTarget,
)


class Partner(Protocol):
    """The other call."""

    @property
    def state(self) -> State: ...
    def end(self, ending: Ending) -> None: ...


class _Joint(CallSide):
    """One half.  It takes its place in the call when its media stands."""

    def __init__(self, room: Room, side: Side, address: Address, partner: Partner) -> None:
        CallSide.__init__(self, room, side, address)
        self._partner = partner
        self._joint: LegId | None = None
        self._in_place = False
        self.placed: Callable[[], None] = lambda: None

    async def reach(self, worker: HostPort, other: LegId) -> None:
        """Call the other half."""
        leg = self._joint = self.room.legs.new(self, LegKind.SIP)
        here = f"sip:join@{self.room.domain}"
        target = SipTarget(f"sip:join@{worker}", here, here, "", joins=other)
        try:
            await self.room.lease.open_sip_leg(leg, target)
        except BaseException:
            self._joint = None
            self.room.legs.forget(leg)
            raise

    async def expect(self, worker: HostPort) -> LegId:
        """Wait for the other half's call; returns the leg that it has to name."""
        leg = self._joint = self.room.legs.new(self, LegKind.SIP)
        try:
            await self.room.lease.expect_sip_leg(leg, joined=worker)
        except BaseException:
            self._joint = None
            self.room.legs.forget(leg)
            raise
        return leg

    def on_incoming(self, leg: LegId) -> None:
        self.room.run("join", self.room.lease.answer(leg, 200))

    def on_media(self, leg: LegId, media: LegMedia) -> None:
        self.leg = leg
        if not self._in_place:
            self._in_place = True
            self.take_place()
            self.placed()
        super().on_media(leg, media)

    def take_place(self) -> None:
        self.room.take_place(self.side, self)

    def on_closed(self, leg: LegId, end: LegEnd) -> None:
        self._joint = self.leg = None
        party = Party(self.side) if end.remote else Party.GATEWAY
        self.over(Ending(from_answered(end), party))

    def close(self, ending: Ending) -> None:
        if self._joint is not None and self._joint in self.room.legs:
            self.room.run("close_leg", close_leg(self.room, self._joint, ending))
        if self._partner.state is not State.ENDED:
            self._partner.end(Ending(ending.reason, Party.GATEWAY))


class JointCaller(_Joint, Caller):
    """In place of a caller."""

    def __init__(self, room: Room, address: Address, partner: Partner) -> None:
        _Joint.__init__(self, room, Side.CALLER, address, partner)

    def ring(self) -> None:
        """It was there before anybody rang."""

    def answer(self) -> None:
        """It has answered already."""


class JointCallee(_Joint, Callee):
    """In place of a callee."""

    def __init__(self, room: Room, address: Address, partner: Partner) -> None:
        _Joint.__init__(self, room, Side.CALLEE, address, partner)

    def alert(self) -> None:
        """It was there before anybody rang."""


def joint(room: Room, side: Side, address: Address, partner: Partner) -> JointCaller | JointCallee:
    """One half of a joint, in place of this side; ``address`` is whom the room will hear there."""
    made = JointCaller if side is Side.CALLER else JointCallee
    return made(room, address, partner)


Progress = Callable[[int, bool], None]
"""A SIP status of the call to a transfer's target, and whether it is the last word."""


class TransferredCaller(JointCaller):
    """Whoever is being transferred, in the call to the target: joined once that has accepted.

    ``join`` makes the other half reach the leg it is given.
    """

    def __init__(
        self,
        room: Room,
        address: Address,
        partner: Partner,
        join: Callable[[HostPort, LegId], None],
        other_worker: HostPort,
        progress: Progress,
    ) -> None:
        super().__init__(room, address, partner)
        self._join = join
        self._other_worker = other_worker
        self._progress = progress
        self._connected = False

    def ring(self) -> None:
        self._progress(180, False)

    def answer(self) -> None:
        self.room.run("join", self._meet())

    async def _meet(self) -> None:
        leg = await self.expect(self._other_worker)
        self._join(self.room.lease.sip, leg)

    def take_place(self) -> None:
        """It is in its place from the start."""

    def tell(self, event: AppEvent) -> None:
        if isinstance(event, Connected):
            self._connected = True
            self._progress(200, True)
        elif isinstance(event, Ended) and not self._connected:
            self._progress(_STATUS.get(event.reason, 480), True)

    def close(self, ending: Ending) -> None:
        if self._connected:
            super().close(ending)
        elif self._joint is not None and self._joint in self.room.legs:
            self.room.run("close_leg", close_leg(self.room, self._joint, ending))


_STATUS = {
    Reason.BUSY: 486,
    Reason.DECLINED: 603,
    Reason.UNREACHABLE: 404,
    Reason.NOT_ALLOWED: 403,
    Reason.MEDIA_FAILED: 488,
    Reason.GATEWAY_ERROR: 503,
}
