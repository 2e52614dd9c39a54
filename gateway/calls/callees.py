"""Who can be called: a person in the app, a softphone's account, a service of our own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from gateway.calls.anchorage import far_of_contact
from gateway.calls.app_leg import AppLeg
from gateway.calls.callers import measure
from gateway.calls.events import AppEvent, Ended, Incoming
from gateway.calls.machine import Side, State
from gateway.calls.reasons import Ending, best_failure, from_answered, from_callee
from gateway.calls.record import Acceptance
from gateway.calls.sides import Callee, Caller, Room, close_leg, local_uri
from gateway.errors import GatewayError, WrongState
from gateway.values import (
    Client,
    ClientId,
    Contact,
    LegEnd,
    LegId,
    LegKind,
    LegMedia,
    LegStats,
    Party,
    Reason,
    ServiceAddress,
    SipAddress,
    SipTarget,
    UserAddress,
)

_ELSEWHERE = Ending(Reason.ANSWERED_ELSEWHERE, Party.CALLEE)


class AppCallee(Callee):
    """Rings on every client of a person; the first that accepts has the call."""

    def __init__(self, room: Room, address: UserAddress) -> None:
        super().__init__(room, address)
        self._handle = address.handle
        self._rung: dict[ClientId, Client] = {}
        self._winner: ClientId | None = None
        self._app_leg = AppLeg(room, self)

    @property
    def sip_leg(self) -> LegId | None:
        return None

    def alert(self) -> None:
        for client in self.room.clients.clients_of(self._handle):
            self._ring(client)
        if self._rung:
            self.room.alerting()
        else:
            self.room.end(Ending(Reason.UNREACHABLE, Party.GATEWAY))

    def join(self, client: Client) -> None:
        """A client that signs in while the call rings."""
        if self.room.state is State.RINGING and client.id not in self._rung:
            self._ring(client)

    def _ring(self, client: Client) -> None:
        self._rung[client.id] = client
        room = self.room
        event = Incoming(
            call=room.id,
            caller=room.caller_address,
            caller_name=room.caller_name,
            thread=room.thread,
            verified=room.verified,
            expires=room.ring_expires,
            group=tuple(room.met),
        )
        room.clients.notify(client.id, event)

    def owns(self, client: ClientId) -> bool:
        """Whether the call is this client's to act on: it rings there, or it answered."""
        return client == self._winner if self._winner is not None else client in self._rung

    def gone(self, client: ClientId) -> None:
        """A ringing client vanished for good; the call ends with the last of them."""
        if not self.owns(client):
            return
        if client == self._winner:
            self.over(Ending(Reason.NETWORK_LOST, Party.CALLEE))
            return
        self._rung.pop(client, None)
        if self._winner is None and not self._rung:
            self.room.end(Ending(Reason.NETWORK_LOST, Party.CALLEE))

    async def accept(self, client: Client, sdp: str | None) -> None:
        """Accept for this client; an unusable offer leaves the call ringing."""
        if self._winner is not None or self.room.state is not State.RINGING:
            raise WrongState("call.accept", str(self.room.state))
        self._winner = client.id
        answer: AppEvent | None = None
        if sdp is not None:
            try:
                answer = await self._negotiate(sdp)
            except BaseException:
                self._winner = None
                raise
        if self.room.state is not State.RINGING:  # the caller gave up meanwhile
            raise WrongState("call.accept", str(self.room.state))
        self._displace_others(client.id)
        if answer is not None:
            self.tell(answer)
        self.room.accept(Acceptance(self.room.now(), "app_accept", self.address))
        if answer is not None:
            self.room.media_up(self.side)
        else:
            ending = Ending(Reason.MEDIA_FAILED, Party.CALLEE)
            self.room.later(self.room.media_wait_s, ending)

    def _displace_others(self, winner: ClientId) -> None:
        ended = Ended(
            call=self.room.id,
            reason=Reason.ANSWERED_ELSEWHERE,
            by=Party.CALLEE,
            duration_s=0,
            at=self.room.now(),
        )
        for other in [c for c in self._rung if c != winner]:
            self.room.clients.notify(other, ended)
            del self._rung[other]

    def tell_ended(self, ending: Ending) -> None:
        self.tell(
            Ended(
                call=self.room.id,
                reason=ending.reason,
                by=ending.by,
                duration_s=0,
                at=self.room.now(),
            )
        )
        self._rung.clear()

    async def offer(self, sdp: str) -> AppEvent:
        """A (fresh) offer of the client that accepted."""
        if self._winner is None:
            raise WrongState("call.media", str(self.room.state))
        answer = await self._negotiate(sdp)
        self.room.media_up(self.side)
        return answer

    async def _negotiate(self, sdp: str) -> AppEvent:
        answer = await self._app_leg.offer(sdp)
        self.leg, self.media = self._app_leg.id, self._app_leg.media
        return answer

    def decline(self, reason: Literal["declined", "busy"]) -> None:
        if self.room.state is not State.RINGING:
            raise WrongState("call.decline", str(self.room.state))
        self.room.end(Ending(Reason(reason), Party.CALLEE))

    def tell(self, event: AppEvent) -> None:
        for client in self._rung if self._winner is None else (self._winner,):
            self.room.clients.notify(client, event)

    def on_media(self, leg: LegId, media: LegMedia) -> None:
        """Known from the answer already, and there with the codec the browser hears."""

    def on_stats(self, leg: LegId, stats: LegStats) -> None:
        self.room.run("stats", measure(self.room, self.side, self._app_leg, stats))

    def on_closed(self, leg: LegId, end: LegEnd) -> None:
        self.over(Ending(Reason.MEDIA_FAILED, Party.GATEWAY))

    def close(self, ending: Ending) -> None:
        self.room.run("close_leg", self._app_leg.close())


class SipCallee(Callee):
    """Rings every contact of an account together; the first 2xx wins (RFC 3261 §16.7)."""

    def __init__(self, room: Room, address: SipAddress, contacts: Sequence[Contact]) -> None:
        super().__init__(room, address)
        self._contacts = contacts
        self._open: dict[LegId, Contact] = {}
        self._failures: list[LegEnd] = []
        self._early: dict[LegId, LegMedia] = {}

    def alert(self) -> None:
        if not self._contacts:
            self.room.end(Ending(Reason.UNREACHABLE, Party.GATEWAY))
            return
        room = self.room
        for contact in self._contacts:
            leg = room.legs.new(self, LegKind.SIP)
            self._open[leg] = contact
            far = far_of_contact(contact.transport)
            if far is not None:
                room.anchorage.stand(leg, far)
            target = SipTarget(
                uri=contact.uri,
                to=str(self.address),
                from_uri=str(local_uri(room.caller_address, room.domain)),
                from_name=room.caller_name,
                flow=contact.flow,
            )
            room.run("open_sip_leg", self._open_leg(leg, target))

    async def _open_leg(self, leg: LegId, target: SipTarget) -> None:
        try:
            await self.room.lease.open_sip_leg(leg, target)
        except GatewayError as e:  # one contact less; the others go on ringing
            self.room.legs.forget(leg)
            self.on_closed(leg, LegEnd(code=e.sip_code, text=str(e), remote=False))

    def on_ringing(self, leg: LegId, code: int) -> None:
        self.room.alerting()

    def on_answered(self, leg: LegId) -> None:
        if self.leg is not None:
            if leg != self.leg:  # two picked up at once: the second one is let go
                self._close(leg, _ELSEWHERE)
            return
        self.leg = leg
        for other in [o for o in self._open if o != leg]:
            self._close(other, _ELSEWHERE)
        self.room.accept(Acceptance(self.room.now(), "sip_answer", self.address))
        if leg in self._early:
            super().on_media(leg, self._early.pop(leg))

    def on_media(self, leg: LegId, media: LegMedia) -> None:
        if leg == self.leg:
            super().on_media(leg, media)
        elif self.leg is None:
            self._early[leg] = media  # of an early answer, or told before the 2xx

    def on_closed(self, leg: LegId, end: LegEnd) -> None:
        self._open.pop(leg, None)
        self._early.pop(leg, None)
        if leg == self.leg:
            self.leg = None
            by = Party.CALLEE if end.remote else Party.GATEWAY
            self.over(Ending.of(from_answered(end), by, end))
            return
        if self.leg is not None:
            return
        self._failures.append(end)
        if end.code >= 600 or not self._open:
            best = best_failure(self._failures)
            by = Party.CALLEE if best.remote else Party.GATEWAY
            self.room.end(Ending.of(from_callee(best), by, best))

    def close(self, ending: Ending) -> None:
        for leg in tuple(self._open):
            self._close(leg, ending)

    def _close(self, leg: LegId, ending: Ending) -> None:
        self.room.run("close_leg", close_leg(self.room, leg, ending))


class EchoCallee(Callee):
    """``service:echo``: accepts at once and plays back what it hears, over the caller's leg."""

    def __init__(self, room: Room, address: ServiceAddress, caller: Caller) -> None:
        super().__init__(room, address)
        self._caller = caller

    @property
    def bridge_leg(self) -> LegId | None:
        return self._caller.leg

    @property
    def sip_leg(self) -> LegId | None:
        return None

    def alert(self) -> None:
        self.room.alerting()
        self.room.accept(Acceptance(self.room.now(), "service", self.address))
        self.room.media_up(Side.CALLEE)

    def codec(self) -> str:
        return self._caller.codec()

    def secure(self) -> bool:
        return True  # nothing leaves the gateway on this side

    def on_closed(self, leg: LegId, end: LegEnd) -> None:
        raise AssertionError("the echo has no leg of its own")

    def close(self, ending: Ending) -> None:
        """Nothing of its own to close."""
