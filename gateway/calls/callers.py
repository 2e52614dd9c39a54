"""Who can call: a person in the app, and a SIP user agent."""

from __future__ import annotations

from gateway.calls.app_leg import AppLeg
from gateway.calls.events import AppEvent
from gateway.calls.machine import Side, State
from gateway.calls.reasons import Ending, from_answered, from_caller
from gateway.calls.sides import Caller, Room, close_leg
from gateway.calls.trunk_ports import Carriers
from gateway.values import (
    Address,
    Client,
    ClientId,
    LegEnd,
    LegId,
    LegKind,
    LegMedia,
    LegStats,
    Party,
    Reason,
)


class AppCaller(Caller):
    """Accepted by inviting; hears our ringback until the callee has accepted."""

    def __init__(self, room: Room, client: Client, ringback: bool) -> None:
        super().__init__(room, client.principal.address)
        self.client = client
        self._app_leg = AppLeg(room, self)
        self._ringback = ringback
        self._rings = False
        self._introduced = False

    @property
    def sip_leg(self) -> LegId | None:
        return None

    async def offer(self, sdp: str) -> AppEvent:
        first = self._app_leg.id is None
        answer = await self._app_leg.offer(sdp)
        self.leg, self.media = self._app_leg.id, self._app_leg.media
        if first:
            if self._rings:
                self._play()
            self.room.media_up(self.side)
        return answer

    def introduce(self) -> None:
        """The client knows the call's id by now; from here on it is told of it."""
        self._introduced = True

    def expect_media(self) -> None:
        """Invited without SDP: ``call.media`` has to come in time."""
        self.room.later(self.room.media_wait_s, Ending(Reason.MEDIA_FAILED, Party.CALLER))

    def owns(self, client: ClientId) -> bool:
        return client == self.client.id

    def gone(self, client: ClientId) -> None:
        """A client that this call is of vanished for good."""
        self.over(Ending(Reason.NETWORK_LOST, Party.CALLER))

    def tell(self, event: AppEvent) -> None:
        if self._introduced:
            self.room.clients.notify(self.client.id, event)

    def ring(self) -> None:
        self._rings = True
        self._play()

    def _play(self) -> None:
        if self._ringback and self.leg is not None:
            self.room.run("ringback", self.room.lease.play(self.leg, "ringback"))

    def answer(self) -> None:
        if self._rings and self._ringback and self.leg is not None:
            self.room.run("ringback_stop", self.room.lease.stop(self.leg))
        self._rings = False

    async def listening(self) -> LegId | None:
        self._ringback = False
        if self._rings and self.leg is not None:
            await self.room.lease.stop(self.leg)
        return self.leg

    def on_media(self, leg: LegId, media: LegMedia) -> None:
        """Known from the answer already, and there with the codec the browser hears."""

    def on_stats(self, leg: LegId, stats: LegStats) -> None:
        self.room.run("stats", measure(self.room, self.side, self._app_leg, stats))

    def on_closed(self, leg: LegId, end: LegEnd) -> None:
        self.over(Ending(Reason.MEDIA_FAILED, Party.GATEWAY))

    def close(self, ending: Ending) -> None:
        self.room.run("close_leg", self._app_leg.close())


class SipCaller(Caller):
    """Accepted by its INVITE; held at 180 until the callee has accepted and has media."""

    def __init__(self, room: Room, address: Address) -> None:
        super().__init__(room, address)
        self.invited = room.legs.new(self, LegKind.SIP)
        self.leg = self.invited
        self._present = False
        self._answered = False

    def never_came(self) -> None:
        """The INVITE was given up before the worker was told of it, or while it was."""
        self.leg = None
        self.room.legs.forget(self.invited)  # whatever the worker knows goes with the lease

    def on_incoming(self, leg: LegId) -> None:
        self._present = True
        self.room.start()

    def ring(self) -> None:
        if self._present and self.leg is not None:
            self.room.run("ring_caller", self.room.lease.answer(self.leg, 180))

    async def listening(self) -> LegId | None:
        """By 183, with the SDP that opens the media early (RFC 3960)."""
        if not self._present or self._answered or self.leg is None:
            return None
        await self.room.lease.answer(self.leg, 183)
        return self.leg

    def answer(self) -> None:
        if self._present and not self._answered and self.leg is not None:
            self._answered = True
            self.room.run("answer_caller", self.room.lease.answer(self.leg, 200))

    def on_closed(self, leg: LegId, end: LegEnd) -> None:
        reason = from_answered(end) if self._answered else from_caller(end)
        self.leg = None
        by = Party.CALLER if end.remote else Party.GATEWAY
        self.over(Ending.of(reason, by, end))

    def close(self, ending: Ending) -> None:
        if self.leg is not None:
            self.room.run("close_leg", close_leg(self.room, self.leg, ending))


async def measure(room: Room, side: Side, leg: AppLeg, worker: LegStats) -> None:
    """Tell a client's own path where it can be measured, the worker's leg where that is it."""
    path = await leg.path_stats()
    if room.state is State.CONNECTED:
        room.measured(side, path or worker)


class TrunkCaller(SipCaller):
    """A telephone that calls over a trunk, whose capacity it takes until nothing of it is left."""

    def __init__(self, room: Room, address: Address, trunk: str, carriers: Carriers) -> None:
        super().__init__(room, address)
        self._trunk = trunk
        self._carriers = carriers

    def released(self) -> None:
        self._carriers.end(self._trunk)

    @property
    def may_transfer(self) -> bool:
        return self._carriers.trunk(self._trunk).transfers
