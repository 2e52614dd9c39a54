"""Several who are reached by one number: together, or one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from gateway.calls.events import AppEvent
from gateway.calls.machine import Side, State
from gateway.calls.ports import DelayedCall
from gateway.calls.reasons import Ending
from gateway.calls.record import Acceptance
from gateway.calls.sides import Callee, CallSide, Room
from gateway.values import Address, LegEnd, LegId, LegMedia, Party, Reason

Later = Callable[[float, Callable[[], None]], DelayedCall]
_RANK = (Reason.BUSY, Reason.DECLINED, Reason.NO_ANSWER, Reason.NETWORK_LOST)
"""Of several that did not answer, what the caller is told first."""


class _Seat:
    """The call, as one member sees it: what it says counts once it has been chosen."""

    def __init__(self, room: Room, group: GroupCallee, number: int) -> None:
        self._room = room
        self._group = group
        self._number = number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._room, name)

    def announcing(self) -> None:
        """Several may ring: nobody's announcement is heard."""

    def accept(self, acceptance: Acceptance) -> None:
        self._group.accepted(self._number, acceptance)

    def media_up(self, side: Side) -> None:
        if self._group.chosen == self._number:
            self._room.media_up(side)

    def end(self, ending: Ending) -> None:
        self._group.lost(self._number, ending)

    def departed(self, side: CallSide, ending: Ending) -> None:
        if self._group.chosen == self._number:
            self._room.departed(self._group, ending)
        else:
            self._group.lost(self._number, ending)


class GroupCallee(Callee):
    """``make(room)`` makes each member; ``turn_s`` is 0 where all ring together."""

    def __init__(
        self,
        room: Room,
        address: Address,
        makes: Sequence[Callable[[Room], Callee]],
        turn_s: float,
        later: Later,
    ) -> None:
        super().__init__(room, address)
        seats = [cast(Room, _Seat(room, self, n)) for n in range(len(makes))]
        self._members = [make(seat) for make, seat in zip(makes, seats, strict=True)]
        self._turn_s = turn_s
        self._later = later
        self._ringing: set[int] = set()
        self._next = 0
        self._turn: DelayedCall | None = None
        self._failed: list[Ending] = []
        self.chosen: int | None = None

    @property
    def parts(self) -> tuple[Callee, ...]:
        return tuple(self._members)

    def alert(self) -> None:
        if self._turn_s:
            self._ring_next()
            return
        self._ringing = set(range(len(self._members)))
        for member in self._members:
            member.alert()

    def _ring_next(self) -> None:
        number = self._next
        self._next += 1
        self._ringing.add(number)
        if self._next < len(self._members):
            self._turn = self._later(self._turn_s, lambda: self._pass_on(number))
        self._members[number].alert()

    def _pass_on(self, number: int) -> None:
        """Its time to answer is over."""
        self._turn = None
        if self.chosen is None and number in self._ringing:
            ending = Ending(Reason.NO_ANSWER, Party.GATEWAY)
            self._members[number].close(ending)
            self._members[number].tell_ended(ending)
            self.lost(number, ending)

    def accepted(self, number: int, acceptance: Acceptance) -> None:
        if self.chosen is not None or number not in self._ringing:
            return
        self.chosen = number
        self._stop_turn()
        elsewhere = Ending(Reason.ANSWERED_ELSEWHERE, Party.CALLEE)
        for other in self._ringing - {number}:
            self._members[other].close(elsewhere)
            self._members[other].tell_ended(elsewhere)
        self.room.accept(acceptance)

    def lost(self, number: int, ending: Ending) -> None:
        if number not in self._ringing:
            return
        if self.chosen == number:
            self.room.end(ending)
            return
        self._ringing.discard(number)
        self._failed.append(ending)
        if self.chosen is not None or self._ringing or self.room.state is State.ENDED:
            return
        self._stop_turn()
        if self._turn_s and self._next < len(self._members):
            self._ring_next()
        else:
            self.room.end(min(self._failed, key=_rank))

    def _stop_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None and turn.active():
            turn.cancel()

    @property
    def unanswered(self) -> Reason:  # type: ignore[override]  # read alone
        """Nobody was rung: nobody has failed to answer."""
        silent = all(m.unanswered is Reason.UNAVAILABLE for m in self._members)
        return Reason.UNAVAILABLE if silent else Reason.NO_ANSWER

    # -- what the call sees is whoever was chosen

    @property
    def _one(self) -> Callee | None:
        return None if self.chosen is None else self._members[self.chosen]

    @property
    def bridge_leg(self) -> LegId | None:
        return None if self._one is None else self._one.bridge_leg

    @property
    def sip_leg(self) -> LegId | None:
        return None if self._one is None else self._one.sip_leg

    def codec(self) -> str:
        return "" if self._one is None else self._one.codec()

    def secure(self) -> bool:
        return False if self._one is None else self._one.secure()

    def tell(self, event: AppEvent) -> None:
        if self._one is not None:
            self._one.tell(event)
            return
        for number in self._ringing:
            self._members[number].tell(event)

    def close(self, ending: Ending) -> None:
        self._stop_turn()
        ringing = self._ringing if self.chosen is None else {self.chosen}
        for number in tuple(ringing):
            self._members[number].close(ending)

    def released(self) -> None:
        for member in self._members:
            member.released()

    # the members have legs of their own

    def on_media(self, leg: LegId, media: LegMedia) -> None:
        raise AssertionError("a group has no leg of its own")

    def on_closed(self, leg: LegId, end: LegEnd) -> None:
        raise AssertionError("a group has no leg of its own")


def _rank(ending: Ending) -> int:
    return _RANK.index(ending.reason) if ending.reason in _RANK else len(_RANK)
