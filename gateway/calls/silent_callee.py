"""A callee who is not to notice: the caller hears it ring until nobody has answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.calls.ports import DelayedCall
from gateway.calls.reasons import Ending
from gateway.calls.sides import Callee, Room
from gateway.values import (
    Address,
    Client,
    ClientId,
    LegEnd,
    LegId,
    Party,
    Reason,
    SipAddress,
    TelAddress,
    UserAddress,
)

_RINGS_AFTER_S: Final = {UserAddress: (0.0, 0.0), SipAddress: (0.02, 0.15), TelAddress: (1.0, 3.0)}
"""Clients are told at once; a phone's 180 takes a round trip, a carrier's some seconds."""


@dataclass(frozen=True, slots=True)
class Silence:
    """``chance`` gives 0 to 1: how long a device that is not there takes to ring."""

    later: Callable[[float, Callable[[], None]], DelayedCall]
    chance: Callable[[], float]

    def rings_after_s(self, address: Address) -> float:
        least, most = _RINGS_AFTER_S.get(type(address), (0.0, 0.0))
        return least + self.chance() * (most - least)


class SilentCallee(Callee):
    """No device, no leg, nobody told; what the caller meets is what an unanswered call shows."""

    unanswered = Reason.UNAVAILABLE

    def __init__(self, room: Room, address: Address, silence: Silence) -> None:
        super().__init__(room, address)
        self._silence = silence
        self._timer: DelayedCall | None = None
        self._present: set[ClientId] = set()

    @property
    def sip_leg(self) -> LegId | None:
        return None

    def alert(self) -> None:
        if isinstance(self.address, UserAddress):
            clients = self.room.clients.clients_of(self.address.handle)
            self._present = {client.id for client in clients}
            if not self._present:
                self.room.end(Ending(Reason.UNREACHABLE, Party.GATEWAY))
                return
        delay_s = self._silence.rings_after_s(self.address)
        if delay_s:
            self._timer = self._silence.later(delay_s, self.room.alerting)
        else:
            self.room.alerting()

    def join(self, client: Client) -> None:
        self._present.add(client.id)

    def gone(self, client: ClientId) -> None:
        """With the last client that could have rung the call is over, as it would be."""
        if client in self._present:
            self._present.discard(client)
            if not self._present:
                self.room.end(Ending(Reason.NETWORK_LOST, Party.CALLEE))

    def close(self, ending: Ending) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def on_closed(self, leg: LegId, end: LegEnd) -> None:
        raise AssertionError("nothing of a silent callee has a leg")
