"""The first side of a call that the app's server makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from gateway.calls.callers import AppCaller
from gateway.calls.events import AppEvent, Ended, Incoming
from gateway.calls.machine import State
from gateway.calls.reasons import Ending
from gateway.calls.record import Acceptance
from gateway.calls.sides import Room
from gateway.errors import WrongState
from gateway.values import Address, Client, ClientId, Party, Reason


class RungCaller(AppCaller):
    """Did not ask for the call: rings on every client of the person, as a callee would.

    The first client that accepts is the caller from then on, and only then is anybody called.
    """

    def __init__(
        self, room: Room, clients: Sequence[Client], callee: Address, name: str, ringback: bool
    ) -> None:
        """``clients`` are those who are signed in now, one at least; they are told whom to meet."""
        super().__init__(room, clients[0], ringback)
        self._callee = callee
        self._callee_name = name
        self._rung = {client.id: client for client in clients}
        self._taken = False

    def alert(self) -> None:
        if self.room.state is not State.INVITING:
            return
        self.room.later(
            self.room.ring_expires - self.room.now(), Ending(Reason.NO_ANSWER, Party.CALLER)
        )
        for client in tuple(self._rung):
            self._alert(client)

    def _alert(self, client: ClientId) -> None:
        event = Incoming(
            call=self.room.id,
            caller=self._callee,
            caller_name=self._callee_name,
            thread=self.room.thread,
            expires=self.room.ring_expires,
            placed_by="server",
        )
        self.room.clients.notify(client, event)

    def join(self, client: Client) -> None:
        """A client of some person signs in; it rings where the person is this one."""
        mine = client.principal.address == self.address and client.id not in self._rung
        if mine and not self._taken and self.room.state is State.INVITING:
            self._rung[client.id] = client
            self._alert(client.id)

    def owns(self, client: ClientId) -> bool:
        return super().owns(client) if self._taken else client in self._rung

    def gone(self, client: ClientId) -> None:
        if not self._taken:
            del self._rung[client]
        if self._taken or not self._rung:
            super().gone(client)

    async def accept(self, client: Client, sdp: str | None) -> None:
        """Accept for this client; an unusable offer leaves the call ringing."""
        if self._taken or self.room.state is not State.INVITING:
            raise WrongState("call.accept", str(self.room.state))
        self._taken, self.client = True, client
        answer: AppEvent | None = None
        if sdp is not None:
            try:
                answer = await self.offer(sdp)
            except BaseException:
                self._taken = False
                raise
        acceptance = Acceptance(self.room.now(), "app_accept", self.address)
        try:
            await self.room.caller_accepts(acceptance)
        except BaseException:
            self.room.end(Ending(Reason.GATEWAY_ERROR, Party.GATEWAY))
            raise
        if self.room.state is not State.INVITING:
            raise WrongState("call.accept", str(self.room.state))
        self._displace_others()
        self.introduce()
        if answer is None:
            self.expect_media()
        else:
            self.tell(answer)
        self.room.start()

    async def offer(self, sdp: str) -> AppEvent:
        if not self._taken:
            raise WrongState("call.media", "not accepted")
        return await super().offer(sdp)

    def decline(self, reason: Literal["declined", "busy"]) -> None:
        if self._taken or self.room.state is not State.INVITING:
            raise WrongState("call.decline", str(self.room.state))
        self.room.end(Ending(Reason(reason), Party.CALLER))

    def tell(self, event: AppEvent) -> None:
        if self._taken:
            super().tell(event)
            return
        for client in self._rung:
            self.room.clients.notify(client, event)

    def _displace_others(self) -> None:
        ended = Ended(
            call=self.room.id,
            reason=Reason.ANSWERED_ELSEWHERE,
            by=Party.CALLER,
            duration_s=0,
            at=self.room.now(),
        )
        for other in [c for c in self._rung if c != self.client.id]:
            self.room.clients.notify(other, ended)
            del self._rung[other]
