"""A call that others have been added to: who is in it, and who of them hears whom.

Each of those who are added has a call of their own, between the group and them, with its own
machine: the consent rule holds there as in any call, and only that machine asks to ``enter``.
All are in one worker.  What is wanted comes of ``hearing``; here the worker is brought to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from twisted.internet.defer import DeferredLock

from gateway.calls.call import Call
from gateway.calls.events import AppEvent, Joined, Left, Listening, MutedAll, Whispering
from gateway.calls.hearing import Hearing, Seat
from gateway.calls.machine import Side, State
from gateway.calls.ports import CallMeters
from gateway.calls.reasons import Ending, told_caller
from gateway.calls.record import Change, Doing
from gateway.calls.sides import CallSide
from gateway.errors import MediaFailed, NoSuchParty, NotAllowed, WrongState
from gateway.values import Address, CallId, LegId, Party, Reason, ServiceAddress, TelAddress

log = structlog.get_logger()

CALLER: Final = Seat(Side.CALLER)
CALLEE: Final = Seat(Side.CALLEE)


@dataclass(frozen=True, slots=True)
class Place:
    """``adder`` is whose wish it was; ``number`` counts all who were ever asked."""

    call: Call
    side: Side
    number: int
    adder: Seat | None = None

    @property
    def party(self) -> CallSide:
        return self.call.at(self.side)


class Group:
    """Implements ``company.Company``.  ``left`` is told of a side that its call goes on without."""

    def __init__(
        self, host: Call, meters: CallMeters, left: Callable[[Call, Address], None]
    ) -> None:
        """``host`` is connected, and nobody is on hold in it."""
        self._host = host
        self._meters = meters
        self._left = left
        self._places = {CALLER: Place(host, Side.CALLER, 1), CALLEE: Place(host, Side.CALLEE, 2)}
        self._asked: dict[Seat, Place] = {}
        self._count = 2
        self._holding: set[Seat] = set()
        self._listening: set[Seat] = set()
        self._whispers: dict[Seat, Seat] = {}
        self._silencer: Seat | None = None
        a, b = host.caller.bridge_leg, host.callee.bridge_leg
        if a is None or b is None or a == b:
            raise WrongState("call.add", str(host.state))
        self._ways: set[tuple[LegId, LegId]] = {(a, b), (b, a)}
        self._steering = DeferredLock()
        host.became(self)
        meters.group_began()

    @property
    def id(self) -> CallId:
        return self._host.id

    @property
    def host(self) -> Call:
        return self._host

    def parties(self) -> Sequence[tuple[Seat, CallSide]]:
        """Who is in it."""
        return [(seat, place.party) for seat, place in self._places.items()]

    def has(self, address: Address) -> bool:
        """Whether they are in it, or asked to be."""
        everybody = (*self._places.values(), *self._asked.values())
        return any(place.party.address == address for place in everybody)

    def seat(self, call: CallId, side: Side) -> Seat:
        """``WrongState`` for one who is not in it (yet)."""
        seat = self._seat(call, side)
        if seat not in self._places:
            raise WrongState("a group call", str(State.ENDED))
        return seat

    def _seat(self, call: CallId, side: Side) -> Seat:
        return Seat(side) if call == self._host.id else Seat(call)

    # -- who is in it

    def ask(self, guest: Call, adder: Seat) -> None:
        """Another is being called; they are in it once they ``enter``."""
        self._count += 1
        self._asked[Seat(guest.id)] = Place(guest, Side.CALLEE, self._count, adder)
        guest.became(self)

    def rings(self, call: CallId) -> Sequence[Address]:
        if call == self._host.id:
            return ()
        return [self._shown(Seat(call), seat) for seat in self._places]

    async def enter(self, call: CallId) -> None:
        seat = Seat(call)
        place = self._asked.pop(seat, None)
        if place is None or self._host.state is not State.CONNECTED:
            raise WrongState("call.accept", str(self._host.state))
        self._places[seat] = place
        self._meters.group_joined()
        self._note("joined", seat)
        await self._steer()

    def introduce(self, call: CallId) -> None:
        """The one who has entered knows of it: now all may meet."""
        new = self._places.get(Seat(call))
        if new is None:
            return
        for seat, place in tuple(self._places.items()):
            if place is not new:
                self._meet(seat, Seat(call))
                self._meet(Seat(call), seat)

    def _meet(self, seat: Seat, new: Seat) -> None:
        to = self._places[seat].party
        shown = self._shown(seat, new)
        name = self._name(new) if shown == self._places[new].party.address else None
        to.tell(Joined(call=to.room.id, address=shown, name=name or None))

    def _name(self, seat: Seat) -> str:
        place = self._places[seat]
        record = place.call.record
        return record.caller_name if place.side is Side.CALLER else record.callee_name

    def goes_on_without(self, call: CallId, side: Side) -> bool:
        if call != self._host.id:
            return False  # what was to add one person is over with that person
        return len(self._places.keys() - {Seat(side)}) >= 2

    def leave(self, call: CallId, side: Side, ending: Ending) -> None:
        seat = Seat(side)
        if seat not in self._places:
            return
        address = self._host.at(side).address
        self._gone(seat)
        self._host.vacate(side, ending)
        self._left(self._host, address)

    def call_over(self, call: CallId, ending: Ending) -> None:
        if call != self._host.id:
            self._guest_over(Seat(call), ending)
            return
        self._meters.group_ended()
        everybody = [*self._asked.values(), *self._places.values()]
        self._asked.clear()
        self._places.clear()
        for place in everybody:
            if place.call is not self._host:
                place.call.end(Ending(ending.reason, Party.CALLER))

    def _guest_over(self, seat: Seat, ending: Ending) -> None:
        asked = self._asked.pop(seat, None)
        if asked is not None:
            adder = None if asked.adder is None else self._places.get(asked.adder)
            if adder is not None:
                reason = told_caller(ending.reason)
                left = Left(call=adder.party.room.id, address=asked.party.address, reason=reason)
                adder.party.tell(left)
            return
        if seat not in self._places:
            return
        self._gone(seat)
        if len(self._places) < 2 and self._host.state is not State.ENDED:
            self._host.end(Ending(ending.reason, self._far_side()))

    def _far_side(self) -> Party:
        """Who has ended it, for whoever is left of the call that the group began as."""
        if CALLER in self._places:
            return Party.CALLEE
        return Party.CALLER if CALLEE in self._places else Party.GATEWAY

    def _gone(self, seat: Seat) -> None:
        shown = {other: self._shown(other, seat) for other in self._places if other != seat}
        del self._places[seat]
        for kept in (self._holding, self._listening):
            kept.discard(seat)
        lifted = self._silencer == seat
        if lifted:
            self._silencer = None
        ended = [by for by, to in self._whispers.items() if seat in (by, to)]
        for by in ended:
            del self._whispers[by]
            self._note("whisper", by, on=False)
        self._note("left", seat)
        for other, address in shown.items():
            party = self._places[other].party
            party.tell(Left(call=party.room.id, address=address))
            if lifted:
                party.tell(MutedAll(call=party.room.id, by=address, muted=False))
            if other in ended:
                me = party.address
                party.tell(Whispering(call=party.room.id, by=me))
        for asked in [a for a in self._asked.values() if a.adder == seat]:
            asked.call.end(Ending(Reason.CANCELLED, Party.CALLER))
        self._host.run("group", self._steer())

    # -- how they are in it

    async def hold(self, call: CallId, side: Side, held: bool) -> None:
        """Who holds a group steps out of it for as long; the others go on."""
        seat = self.seat(call, side)
        (self._holding.add if held else self._holding.discard)(seat)
        await self._steer()

    def far_held(self, call: CallId, side: Side) -> None:
        self._host.run("group", self._steer())

    async def whisper(self, by: Seat, to: Address | None) -> None:
        """Be heard by one alone, or by all again; told to these two alone."""
        was, now = self._whispers.get(by), None if to is None else self._named(by, to)
        if was == now:
            return
        if now is None:
            del self._whispers[by]
        else:
            self._whispers[by] = now
        self._note("whisper", by, now or was, on=now is not None)
        await self._steer()
        for seat in (was, now):
            if seat is not None and seat in self._places:
                self._tell_whisper(seat, by, seat if seat == now else None)
        self._tell_whisper(by, by, now)

    def _tell_whisper(self, seat: Seat, by: Seat, to: Seat | None) -> None:
        party = self._places[seat].party
        shown = None if to is None else self._shown(seat, to)
        party.tell(Whispering(call=party.room.id, by=self._shown(seat, by), to=shown))

    async def listen(self, by: Seat, listening: bool) -> None:
        if listening == (by in self._listening):
            return
        (self._listening.add if listening else self._listening.discard)(by)
        self._note("listen", by, on=listening)
        await self._steer()
        self._tell_all(by, lambda call, who: Listening(call=call, by=who, listening=listening))

    async def mute_all(self, by: Seat, muted: bool) -> None:
        if muted == (self._silencer is not None):
            return
        self._silencer = by if muted else None
        self._note("mute_all", by, on=muted)
        await self._steer()
        self._tell_all(by, lambda call, who: MutedAll(call=call, by=who, muted=muted))

    def may_moderate(self, seat: Seat, groups: frozenset[str], moderators: Sequence[str]) -> None:
        """Whoever called, and members of the groups that moderate; ``NotAllowed`` to others."""
        if seat != CALLER and not groups & set(moderators):
            raise NotAllowed("only a moderator of the call may")

    # -- company.Company: who is told what

    def others(self, call: CallId, side: Side) -> Sequence[tuple[CallSide, Address]]:
        seat = self._seat(call, side)
        if seat not in self._places:
            return ()
        return [
            (place.party, self._shown(other, seat))
            for other, place in self._places.items()
            if other != seat
        ]

    def _tell_all(self, by: Seat, event: Callable[[CallId, Address], AppEvent]) -> None:
        for seat, place in tuple(self._places.items()):
            place.party.tell(event(place.party.room.id, self._shown(seat, by)))

    def _shown(self, viewer: Seat, seat: Seat) -> Address:
        """A telephone's number is for whoever called it, or was called by it."""
        place = self._places.get(seat) or self._asked[seat]
        address = place.party.address
        if not isinstance(address, TelAddress) or viewer == seat:
            return address
        known = place.adder == viewer or {viewer, seat} == {CALLER, CALLEE}
        return address if known else ServiceAddress(f"guest-{place.number}")

    def _named(self, viewer: Seat, address: Address) -> Seat:
        """The party that ``viewer`` knows by this address."""
        for seat in self._places:
            if seat != viewer and self._shown(viewer, seat) == address:
                return seat
        raise NoSuchParty

    # -- the worker

    def _hearing(self) -> Hearing:
        present = frozenset(self._places)
        silenced = present - {self._silencer} if self._silencer is not None else frozenset()
        far = {seat for seat, place in self._places.items() if place.party.far_holds}
        return Hearing(
            present,
            away=frozenset(self._holding | far),
            silenced=silenced,
            listening=frozenset(self._listening),
            whispers=self._whispers,
        )

    async def _steer(self) -> None:
        """Bring the worker to what is wanted now: first nobody hears who should not."""
        await self._steering.acquire()
        try:
            wanted = self._wanted()
            for way in self._ways - wanted:
                self._ways.discard(way)
                await self._host.lease.unlisten(*way)
            for way in wanted - self._ways:
                if way not in self._wanted():
                    continue  # changed while the worker was asked; who changed it waits for us
                try:
                    await self._host.lease.listen(*way)
                except MediaFailed as e:
                    # a leg that has gone: the word of it is on its way
                    log.info("not_heard", call=self._host.id, why=str(e))
                    continue
                self._ways.add(way)
        finally:
            self._steering.release()

    def _wanted(self) -> set[tuple[LegId, LegId]]:
        legs = {seat: place.party.bridge_leg for seat, place in self._places.items()}
        out = set()
        for source, sink in self._hearing().ways():
            a, b = legs[source], legs[sink]
            if a is not None and b is not None:
                out.add((a, b))
        return out

    def _note(self, what: Doing, by: Seat, to: Seat | None = None, *, on: bool = True) -> None:
        log.info("group", call=self._host.id, what=what, by=by, to=to, on=on)
        self._host.note(Change(self._host.now(), what, by, to, on))
