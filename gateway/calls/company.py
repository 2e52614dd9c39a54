"""The group that a call is part of, as the call and its bridge see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gateway.calls.machine import Side
from gateway.calls.reasons import Ending
from gateway.calls.sides import CallSide
from gateway.values import Address, CallId


class Company(Protocol):
    """``call`` and ``side`` say which of the group's parties is meant."""

    def others(self, call: CallId, side: Side) -> Sequence[tuple[CallSide, Address]]:
        """Everybody else who is in it, each with how this party is named to them."""

    def rings(self, call: CallId) -> Sequence[Address]:
        """Whom the one who is being added would meet."""

    async def enter(self, call: CallId) -> None:
        """Whoever this call was to add has accepted and has media.  Asked by its machine alone."""

    async def hold(self, call: CallId, side: Side, held: bool) -> None: ...
    def far_held(self, call: CallId, side: Side) -> None:
        """A party was put on hold at its own end, or taken back."""

    def goes_on_without(self, call: CallId, side: Side) -> bool: ...
    def leave(self, call: CallId, side: Side, ending: Ending) -> None:
        """One side of the call that the group began as leaves; the others stay."""

    def call_over(self, call: CallId, ending: Ending) -> None: ...
