"""Transfers: a party of a call leaves it to another one (RFC 5589), blind or attended."""

from __future__ import annotations

import structlog
from twisted.internet.defer import Deferred

from gateway.calls.call import Call
from gateway.calls.joints import TransferredCaller, joint
from gateway.calls.machine import Side, State
from gateway.calls.reasons import Ending
from gateway.calls.sides import CallSide
from gateway.errors import GatewayError, MediaFailed, WrongState
from gateway.sip.message import REASONS
from gateway.values import HostPort, LegId, Party, Reason

log = structlog.get_logger()


class Transfer:
    """Of one side of a connected call, which stays in it until the target has answered.

    ``notify``: the side is told by NOTIFY, since it asked by REFER.  ``done`` fires when the two
    others hear each other, or fails with what came of it.
    """

    def __init__(self, call: Call, side: Side, *, notify: bool) -> None:
        if (
            call.state is not State.CONNECTED
            or call.transfer is not None
            or call.company is not None
        ):
            raise WrongState("call.transfer", str(call.state))
        self._call = call
        self._side = side
        self._leaving = call.at(side)
        self._notify = notify
        self._gone: Ending | None = None
        self._target: Call | None = None
        self._leaving_other: CallSide | None = None
        self._also: Call | None = None
        self._gone_there: Ending | None = None
        self._halves = 0
        self._over = False
        # taken now, since the call to the target may be placed in the same worker
        self._has_room = call.lease.widen(1)
        self.done: Deferred[None] = Deferred()
        call.transfer = self

    # -- blind: to whom a fresh call is made

    def caller_for(self, target: Call) -> TransferredCaller:
        """The caller's side of the call to the target."""
        self._target = target
        return TransferredCaller(
            target,
            self._call.at(self._side.other).address,
            self._call,
            self._join,
            self._call.lease.sip,
            self._progress,
        )

    def _join(self, worker: HostPort, leg: LegId) -> None:
        self._call.run("join", self._reach(worker, leg))

    async def _reach(self, worker: HostPort, leg: LegId) -> None:
        if not self._has_room and self._gone is None:
            self._make_room(self._call, self._leaving)
        target = self._target
        if target is not None:
            beyond = target.at(Side.CALLEE).address
            half = joint(self._call, self._side, beyond, target)
            half.placed = self._joined
            await half.reach(worker, leg)

    # -- attended: to whom the side has a call of its own

    async def into(self, other: Call, its_side: Side) -> None:
        """Join both calls past the side that is in both of them."""
        mine = self._call
        elsewhere = other.transfer is not None or other.company is not None
        if other.state is not State.CONNECTED or elsewhere or other is mine:
            raise WrongState("call.transfer", str(other.state))
        other.transfer = self
        here = joint(mine, self._side, other.at(its_side.other).address, other)
        there = joint(other, its_side, mine.at(self._side.other).address, mine)
        self._leaving_other = leaving = other.at(its_side)
        self._also = other
        here.placed = there.placed = self._joined
        if not self._has_room:
            self._make_room(mine, self._leaving)
        if not other.lease.widen(1):
            self._make_room(other, leaving)
        leg = await there.expect(mine.lease.sip)
        await here.reach(other.lease.sip, leg)

    def _joined(self) -> None:
        """A half of the joint stands, or the call to the target: it takes two to be done."""
        self._halves += 1
        if self._halves == 2 and not self._over:
            self._tell(200, final=True)
            self._succeeded()

    def _make_room(self, call: Call, leaving: CallSide) -> None:
        """The joint takes the place of the one who leaves, who is let go at once for it."""
        ending = Ending(Reason.COMPLETED, Party.GATEWAY)
        if leaving is self._leaving:
            self._tell(200, final=True)
            self._gone = ending
        leaving.close(ending)

    # -- how it goes

    def is_of(self, side: CallSide) -> bool:
        return side in (self._leaving, self._leaving_other)

    def departed(self, side: CallSide, ending: Ending) -> None:
        """The side has left before the target answered: the one who stays hears ringing."""
        if side is self._leaving_other:
            self._gone_there = ending
            return
        if self._gone is not None:
            return
        self._gone = ending
        staying = self._call.at(self._side.other)
        if staying.bridge_leg is not None:
            self._call.run("ringback", self._call.lease.play(staying.bridge_leg, "ringback"))

    def _progress(self, code: int, final: bool) -> None:
        if self._over:
            return
        log.info("transfer", call=self._call.id, code=code, final=final)
        if code == 200:
            self._joined()
            return
        self._tell(code, final=final)
        if final:
            self.failed(MediaFailed(f"the target: {code} {REASONS.get(code, '')}".strip()), code)

    def _tell(self, code: int, *, final: bool) -> None:
        leg = self._leaving.sip_leg
        if self._notify and self._gone is None and leg is not None and leg in self._call.legs:
            text = REASONS.get(code, "Progress")
            self._call.run("notify", self._call.lease.notify(leg, code, text, final=final))

    def _succeeded(self) -> None:
        self._over = True
        self._call.transfer = None
        staying = self._call.at(self._side.other)
        if self._gone is not None and staying.bridge_leg is not None:
            self._call.run("ringback_stop", self._call.lease.stop(staying.bridge_leg))
        self._call.dismiss(self._leaving)
        if self._also is not None and self._leaving_other is not None:
            self._also.transfer = None
            self._also.dismiss(self._leaving_other)
        self.done.callback(None)

    def call_ended(self) -> None:
        """The call is over before the transfer was done, and with it all reason for it."""
        self.failed(MediaFailed("the call is over"))

    def failed(self, error: GatewayError, code: int | None = None) -> None:
        """The side keeps its call; where it has left, that is over."""
        if self._over:
            return
        self._over = True
        if code is None:
            self._tell(error.sip_code, final=True)
        self._call.transfer = None
        if self._also is not None:
            self._also.transfer = None
            if self._gone_there is not None:
                self._also.end(self._gone_there)
        gone, target = self._gone, self._target
        if target is not None and target.state is not State.ENDED:
            target.end(Ending(Reason.CANCELLED, Party.CALLER))
        if gone is not None:
            self._call.end(gone)
        self.done.errback(error)
