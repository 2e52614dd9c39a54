"""What the two sides of a call have in common, and what a side may ask of its call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

from gateway.calls.anchorage import Anchorage
from gateway.calls.events import AppEvent
from gateway.calls.legs import LegTable
from gateway.calls.machine import Side, State
from gateway.calls.ports import AppClients, AppMediaPaths, Locations, Sound, WorkerLease
from gateway.calls.reasons import Ending, to_sip
from gateway.calls.record import Acceptance
from gateway.values import (
    Address,
    CallId,
    Client,
    ClientId,
    LegEnd,
    LegId,
    LegMedia,
    LegStats,
    Reason,
    SipAddress,
)


class Room(Protocol):
    """The call, as its sides see it."""

    id: CallId
    lease: WorkerLease
    legs: LegTable
    anchorage: Anchorage
    paths: AppMediaPaths
    clients: AppClients
    locations: Locations
    domain: str
    media_wait_s: float
    verified: bool | None

    @property
    def state(self) -> State: ...
    @property
    def caller_address(self) -> Address: ...
    @property
    def caller_name(self) -> str: ...
    @property
    def thread(self) -> str | None: ...
    @property
    def ring_expires(self) -> float: ...
    @property
    def met(self) -> Sequence[Address]:
        """Whom the callee would meet, where this call is to add it to a group."""

    def now(self) -> float: ...
    def run(self, what: str, work: Coroutine[Any, Any, Any]) -> None: ...
    def later(self, delay_s: float, ending: Ending) -> None:
        """End the call so, unless its media stands by then."""

    def start(self) -> None:
        """The caller is there: ring the callee."""

    async def caller_accepts(self, acceptance: Acceptance) -> None:
        """The caller did not ask for this call, and takes it; durable when it returns."""

    def alerting(self) -> None: ...
    def announcing(self) -> None:
        """The callee's side plays something that the caller may hear before the answer."""

    def accept(self, acceptance: Acceptance) -> None: ...
    def media_up(self, side: Side) -> None: ...
    def heard_dtmf(self, side: Side, digit: str, duration_ms: int) -> None: ...
    def played(self, side: Side, sound: Sound) -> None:
        """A prompt to this side has ended."""

    def held(self, side: Side, held: bool) -> None:
        """A SIP side put its far end on hold, or took it back."""

    def measured(self, side: Side, stats: LegStats) -> None: ...
    def end(self, ending: Ending) -> None: ...
    def departed(self, side: CallSide, ending: Ending) -> None:
        """Its leg is over, and the call with it, unless somebody takes its place."""

    def take_place(self, side: Side, new: CallSide) -> None:
        """``new`` has media: from here on it is this side of the call."""


class CallSide(ABC):
    """One side; its subclasses are who can call and who can be called.

    ``leg`` is its own leg, once there is the one that counts.
    """

    def __init__(self, room: Room, side: Side, address: Address) -> None:
        self.room = room
        self.side = side
        self.address = address
        self.leg: LegId | None = None
        self.media: LegMedia | None = None
        self.far_holds = False
        """Whether its far end has put us on hold (RFC 3264 §8.4)."""

    @property
    def bridge_leg(self) -> LegId | None:
        """The leg over which this side speaks and hears."""
        return self.leg

    @property
    def sip_leg(self) -> LegId | None:
        """The leg, where it is one that understands RFC 4733 and re-INVITE."""
        return self.leg

    @property
    def may_transfer(self) -> bool:
        """Whether its far end's REFER is taken."""
        return True

    def codec(self) -> str:
        return self.media.codec if self.media else ""

    def secure(self) -> bool:
        return self.media.secure if self.media else False

    def over(self, ending: Ending) -> None:
        self.room.departed(self, ending)

    def tell(self, event: AppEvent) -> None:
        """Notify the side's app clients; SIP sides have none."""

    @abstractmethod
    def close(self, ending: Ending) -> None:
        """Start taking the side's legs down, each with the word that fits its state."""

    def released(self) -> None:
        """Nothing of the call is left: give back what the side holds elsewhere."""

    # -- legs.LegOwner; overridden where a side cares

    def on_incoming(self, leg: LegId) -> None:
        pass

    def on_ringing(self, leg: LegId, code: int) -> None:
        pass

    def on_answered(self, leg: LegId) -> None:
        pass

    def on_media(self, leg: LegId, media: LegMedia) -> None:
        self.media = media
        if media.remote_held != self.far_holds:
            self.far_holds = media.remote_held
            self.room.held(self.side, media.remote_held)
        self.room.media_up(self.side)

    def on_dtmf(self, leg: LegId, digit: str, duration_ms: int) -> None:
        if leg == self.leg:
            self.room.heard_dtmf(self.side, digit, duration_ms)

    def on_played(self, leg: LegId, sound: Sound) -> None:
        self.room.played(self.side, sound)

    def prompt_ended(self, sound: Sound) -> None:
        """The other side has heard a prompt to its end."""

    def on_stats(self, leg: LegId, stats: LegStats) -> None:
        if leg == self.leg:
            self.room.measured(self.side, stats)

    @abstractmethod
    def on_closed(self, leg: LegId, end: LegEnd) -> None: ...


class Caller(CallSide):
    """``answer`` is asked for once the callee has accepted and has media."""

    has_no_leg = False
    """It stands for nobody whom the callee could be connected with."""

    def __init__(self, room: Room, address: Address) -> None:
        super().__init__(room, Side.CALLER, address)

    @abstractmethod
    def ring(self) -> None:
        """The callee is being alerted: let the caller know, by tone or by 180."""

    @abstractmethod
    def answer(self) -> None: ...

    async def listening(self) -> LegId | None:
        """The leg on which this side can hear an announcement now, without any tone of ours."""
        return None


class Callee(CallSide):
    unanswered: Reason = Reason.NO_ANSWER
    """Why a call ends that rang for as long as it may."""
    has_no_leg = False
    """It speaks by prompts alone: there is nothing to connect."""
    announcing_leg: LegId | None = None
    """The leg that plays something before it is answered."""

    @property
    def parts(self) -> tuple[Callee, ...]:
        """Those who are reached; more than one in a group."""
        return (self,)

    def tell_ended(self, ending: Ending) -> None:
        """Tell its app clients that the call is no longer theirs to answer."""

    def join(self, client: Client) -> None:
        """A client of this person has signed in."""

    def gone(self, client: ClientId) -> None:
        """A client, of whomever, has vanished for good."""

    def __init__(self, room: Room, address: Address) -> None:
        super().__init__(room, Side.CALLEE, address)

    @abstractmethod
    def alert(self) -> None:
        """Ring; ``room.alerting``, ``room.accept`` or ``room.end`` follow."""


async def close_leg(room: Room, leg: LegId, ending: Ending) -> None:
    """Close a SIP leg with the code that its far end is to see; none that is gone already."""
    if leg in room.legs:
        said = to_sip(ending.reason)
        await room.lease.close_leg(
            leg,
            said.code,
            said.text,
            said.cause,
            why=ending.why,
            retry_after_s=ending.retry_after_s,
        )


def local_uri(address: Address, domain: str) -> SipAddress:
    """How a party is named towards SIP: in our domain, never by a telephone number of its own."""
    if isinstance(address, SipAddress):
        return address
    user = str(address).partition(":")[2]
    return SipAddress(user, domain)
