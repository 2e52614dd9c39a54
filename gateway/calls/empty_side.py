"""A side of a call that nobody is on: whoever was has left a group, or there never was anybody."""

from __future__ import annotations

from gateway.calls.reasons import Ending
from gateway.calls.sides import Callee, Caller, CallSide, Room
from gateway.values import LegEnd, LegId


class EmptyCaller(Caller):
    has_no_leg = True

    def ring(self) -> None:
        """There is nobody to let know."""

    def answer(self) -> None:
        """There is nobody to answer."""

    def close(self, ending: Ending) -> None:
        """Nothing of its own to close."""

    def on_closed(self, leg: LegId, end: LegEnd) -> None:
        raise AssertionError("an empty side has no leg")


class EmptyCallee(Callee):
    has_no_leg = True

    def alert(self) -> None:
        raise AssertionError("an empty side is not called")

    def close(self, ending: Ending) -> None:
        """Nothing of its own to close."""

    def on_closed(self, leg: LegId, end: LegEnd) -> None:
        raise AssertionError("an empty side has no leg")


def empty(room: Room, leaving: CallSide) -> EmptyCaller | EmptyCallee:
    """In place of the one who leaves, whose address it keeps."""
    made = EmptyCaller if isinstance(leaving, Caller) else EmptyCallee
    return made(room, leaving.address)
