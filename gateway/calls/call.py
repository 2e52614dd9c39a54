"""One call: its machine, its two sides, its lease and its record, wired together."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, Protocol

import structlog

from gateway.calls.anchorage import Anchorage
from gateway.calls.bridge import Bridge
from gateway.calls.company import Company
from gateway.calls.empty_side import empty
from gateway.calls.events import Accepted, Connected, Ended, Notice, Ringing
from gateway.calls.fare import Fare
from gateway.calls.legs import LegTable
from gateway.calls.machine import Core, Side, State, call_machine
from gateway.calls.outside import Outside, Terms
from gateway.calls.ports import (
    DelayedCall,
    Sound,
    WorkerLease,
)
from gateway.calls.reasons import Ending, told_caller
from gateway.calls.record import Acceptance, CallRecord, Change
from gateway.calls.sides import Callee, Caller, CallSide
from gateway.calls.tasks import Tasks
from gateway.errors import GatewayError, WrongState
from gateway.policy.identity import Identity
from gateway.values import Address, CallId, LegId, LegStats, Party, Reason

log = structlog.get_logger()

CLOSING_ALARM_S = 40.0
"""A BYE that nobody answers is given up after 64*T1 = 32 s (RFC 3261 §17.1.2.2)."""
CHANGES_KEPT = 200
ARRIVAL_S = 5.0
"""For an admitted INVITE to reach the worker over loopback."""


class Departure(Protocol):
    """A transfer under way, as the call that it is in sees it."""

    def departed(self, side: CallSide, ending: Ending) -> None:
        """Whoever asked for it has left before it was done."""

    def is_of(self, side: CallSide) -> bool: ...
    def call_ended(self) -> None: ...


class Call:
    """Implements ``machine.Outputs`` for the machine and ``sides.Room`` for the sides.

    ``gone`` is called once, when nothing of the call is left anywhere.
    """

    lease: WorkerLease
    caller: Caller
    callee: Callee
    """What stands for each side now: a transfer puts another in its place."""

    def __init__(
        self, outside: Outside, record: CallRecord, gone: Callable[[Call], None], terms: Terms
    ) -> None:
        self._outside = outside
        self.terms = terms
        self.fare = Fare(outside.passes, terms.pass_, record.call, outside.refund_s)
        self.id: CallId = record.call
        self.record = record
        self._gone = gone
        self.clients, self.locations = outside.clients, outside.locations
        self.paths, self.domain = outside.paths, outside.domain
        self.media_wait_s = outside.media_wait_s
        self._core = Core(self)
        self._machine = call_machine(self._core)
        self.legs = LegTable(
            self.id, outside.meters, self._worker_lost, self._legs_emptied, outside.ear
        )
        self.anchorage = Anchorage(self.id, outside.anchors, outside.anchored)
        self._work = Tasks(self.id, self._task_failed)  # cancelled when the call ends
        self._words = Tasks(self.id, self._task_failed)  # records and farewells: always finished
        self._timers: dict[str, DelayedCall] = {}
        self._bridge: Bridge | None = None
        self.transfer: Departure | None = None
        self.company: Company | None = None
        """The group that this call has become, or is to add its callee to."""
        self._started = self._released = False
        self._rings_from = record.created_at
        self.trunk: str | None = None
        """By which the caller has come in."""
        self.verified: bool | None = None
        """Whether a telephone's number is attested (RFC 8224); ``None``: it was not asked."""
        self.farewell: Ended | None = None
        """What the caller's client was told at the end, once the record was durable."""
        outside.meters.call_began(record.direction)

    # -- life

    def set_out(self, lease: WorkerLease) -> None:
        self.lease = lease

    def between(self, caller: Caller, callee: Callee) -> None:
        self.caller, self.callee = caller, callee

    def expect_caller(self) -> None:
        """A SIP caller's INVITE is on its way to the worker."""
        self._arm("arrival", ARRIVAL_S, Ending(Reason.GATEWAY_ERROR, Party.GATEWAY))

    def start(self) -> None:
        if self._started or self.state is State.ENDED:
            return
        self._started = True
        self._rings_from = self.now()
        self._disarm("arrival")
        self._arm("ring", self.terms.ring_s, Ending(self.callee.unanswered, Party.GATEWAY))
        self.callee.alert()

    @property
    def identities(self) -> tuple[Identity, Identity]:
        """Of the caller and of the callee."""
        of = self._outside.identities.of
        return of(self.record.caller, self.trunk), of(self.record.callee)

    async def save(self) -> None:
        await self._outside.records.save(self.record)

    # -- sides.Room

    @property
    def state(self) -> State:
        return self._core.state

    @property
    def caller_address(self) -> Address:
        return self.record.caller

    @property
    def caller_name(self) -> str:
        return self.record.caller_name

    @property
    def thread(self) -> str | None:
        return self.record.thread

    @property
    def ring_expires(self) -> float:
        return self._rings_from + self.terms.ring_s

    @property
    def met(self) -> Sequence[Address]:
        return () if self.company is None else self.company.rings(self.id)

    def now(self) -> float:
        return self._outside.clock.seconds()

    def run(self, what: str, work: Coroutine[Any, Any, Any]) -> None:
        (self._words if self.state is State.ENDED else self._work).run(what, work)

    def later(self, delay_s: float, ending: Ending) -> None:
        self._arm(f"media_{ending.by}", delay_s, ending)

    def alerting(self) -> None:
        self._machine.alerting()

    def announcing(self) -> None:
        self._machine.announcing()

    async def caller_accepts(self, acceptance: Acceptance) -> None:
        self.record = replace(self.record, caller_accepted=acceptance)
        await self.save()

    def accept(self, acceptance: Acceptance) -> None:
        self._machine.accept(acceptance)

    def media_up(self, side: Side) -> None:
        self._disarm(f"media_{side}")
        self._machine.media_up(side)

    def heard_dtmf(self, side: Side, digit: str, duration_ms: int) -> None:
        if self._bridge is not None and self.state is State.CONNECTED:
            self.run("dtmf", self._bridge.dtmf(side, digit, duration_ms))

    def played(self, side: Side, sound: Sound) -> None:
        self.at(side.other).prompt_ended(sound)

    def held(self, side: Side, held: bool) -> None:
        if self._bridge is not None and self.state is State.CONNECTED:
            self._bridge.far_held(side, held)

    def measured(self, side: Side, stats: LegStats) -> None:
        if self._bridge is not None and self.state is State.CONNECTED:
            self._bridge.measured(side, stats)
            if (leg := self.at(side).leg) is not None:
                self.legs.measured(leg, stats, self.at(side).codec())

    def end(self, ending: Ending) -> None:
        self._machine.end(ending)

    def departed(self, side: CallSide, ending: Ending) -> None:
        if side not in (self.caller, self.callee):
            return  # another is in its place
        if self.transfer is not None and self.transfer.is_of(side):
            self.transfer.departed(side, ending)
        else:
            self.leave(side.side, ending)

    def leave(self, side: Side, ending: Ending) -> None:
        """The call is over for this side: for both, unless a group goes on without it."""
        group = self.company
        if (
            group is not None
            and self.state is State.CONNECTED
            and group.goes_on_without(self.id, side)
        ):
            group.leave(self.id, side, ending)
        else:
            self.end(ending)

    def vacate(self, side: Side, ending: Ending) -> None:
        """Whoever was on this side has left a group; its place stays empty."""
        leaving, nobody = self.at(side), empty(self, self.at(side))
        if isinstance(nobody, Caller):
            self.caller = nobody
        else:
            self.callee = nobody
        if self._bridge is not None:
            self._bridge.vacate(side, nobody)
        self._dismissed(leaving, ending)

    def take_place(self, side: Side, new: CallSide) -> None:
        if self._bridge is None or self.state is not State.CONNECTED:
            return
        if isinstance(new, Caller):
            self.caller = new
        elif isinstance(new, Callee):
            self.callee = new
        self.run("take_place", self._bridge.replace(side, new))

    def dismiss(self, side: CallSide) -> None:
        """It has left the call; its own devices are told so."""
        self._dismissed(side, Ending(Reason.COMPLETED, Party(side.side)))

    def _dismissed(self, side: CallSide, ending: Ending) -> None:
        side.close(ending)
        side.tell(
            Ended(
                call=self.id,
                reason=ending.reason,
                by=ending.by,
                duration_s=round(self.now() - (self.record.connected_at or self.now()), 3),
                at=self.now(),
            )
        )
        side.released()

    def side_of(self, leg: LegId) -> Side | None:
        """Whose own leg this is, while the call is connected."""
        for side in Side:
            if self.at(side).sip_leg == leg and self.state is State.CONNECTED:
                return side
        return None

    def at(self, side: Side) -> CallSide:
        return self.caller if side is Side.CALLER else self.callee

    # -- what clients ask of a connected call

    def bridge(self, doing: str) -> Bridge:
        if self._bridge is None or self.state is not State.CONNECTED:
            raise WrongState(doing, str(self.state))
        return self._bridge

    def became(self, group: Company) -> None:
        """The call is a group from now on, or is to add its callee to one."""
        self.company = group
        if self._bridge is not None:
            self._bridge.company = group

    def note(self, change: Change) -> None:
        """Of the group that this call has become."""
        self.record = replace(self.record, changes=(*self.record.changes, change)[-CHANGES_KEPT:])
        self._words.run("record", self.save())

    # -- machine.Outputs

    def tell_ringing(self) -> None:
        self.record = replace(self.record, ringing_at=self.now())
        if not self.terms.silent:
            self._outside.meters.call_seen(self.record.direction)
        self._words.run("record", self.save())
        if self.terms.first_contact:
            self._words.run(
                "first_contact", self._outside.people.rang(*self.identities, self.now())
            )
        self.caller.ring()
        self.caller.tell(Ringing(call=self.id))

    def tell_accepted(self, acceptance: Acceptance) -> None:
        self._disarm("ring")
        self._arm(
            "setup",
            self._outside.settings.setup_s + self.media_wait_s,
            Ending(Reason.MEDIA_FAILED, Party.GATEWAY),
        )
        self.record = replace(self.record, callee_accepted=acceptance)
        self._outside.meters.call_accepted(self.record.direction)
        self._words.run("record", self._tell_accepted(acceptance))
        if self.terms.first_contact:
            self._words.run("first_contact", self._outside.people.answered(*self.identities))

    async def _tell_accepted(self, acceptance: Acceptance) -> None:
        await self.save()
        self.caller.tell(Accepted(call=self.id, by=acceptance.by))

    def answer_caller(self) -> None:
        self.caller.answer()

    def announce(self) -> None:
        self.run("announce", self._announce())

    async def _announce(self) -> None:
        leg = await self.caller.listening()
        source = self.callee.announcing_leg
        if leg is not None and source is not None and self.state in (State.INVITING, State.RINGING):
            await self.lease.listen(source, leg)

    def connect(self) -> None:
        self.run("connect", self._connect())

    async def _connect(self) -> None:
        a, b = self.caller.bridge_leg, self.callee.bridge_leg
        here, there = (self.caller, a), (self.callee, b)
        if any(leg is None and not side.has_no_leg for side, leg in (here, there)):
            return  # a side went; its end is on the way
        if not await self.fare.paid(self.now()):
            self.end(Ending(Reason.LIMIT_REACHED, Party.GATEWAY))
            return
        if self.company is not None:
            await self.company.enter(self.id)
        elif a is not None and b is not None:
            await self.lease.connect(a, b)
        self._machine.bridged()

    def tell_connected(self) -> None:
        self._disarm("setup")
        limit = Ending(Reason.LIMIT_REACHED, Party.GATEWAY)
        self._arm("limit", self.terms.longest_s, limit)
        self._announce_limit()
        sides = {Side.CALLER: self.caller, Side.CALLEE: self.callee}
        quality = self._outside.quality
        self._bridge = Bridge(self.id, self.lease, sides, quality, self.company)
        now = self.now()
        self.record = replace(
            self.record,
            connected_at=now,
            caller_codec=self.caller.codec(),
            callee_codec=self.callee.codec(),
        )
        setup_s = now - self.record.created_at
        self._outside.meters.call_connected(self.record.direction, setup_s)
        log.info("call_connected", call=self.id, setup_ms=round(setup_s * 1000))
        self._words.run("record", self._tell_connected(now))

    def _announce_limit(self) -> None:
        """Those who talk are told some time before their call is ended."""
        longest_s = self.terms.longest_s
        notice_s = min(self._outside.limits.notice_s, longest_s)
        if notice_s == 0:
            return

        def tell() -> None:
            text = f"The call ends in {notice_s:g} seconds."
            for side in (self.caller, self.callee):
                side.tell(Notice(call=self.id, code="limit", text=text))

        self._timers["notice"] = self._outside.clock.callLater(longest_s - notice_s, tell)

    async def _tell_connected(self, at: float) -> None:
        await self.save()
        secure = self.caller.secure() and self.callee.secure()
        for side, other in ((self.caller, self.callee), (self.callee, self.caller)):
            side.tell(
                Connected(
                    call=self.id,
                    at=at,
                    codec=side.codec(),
                    peer_codec=other.codec(),
                    secure=secure,
                )
            )

    def close(self, ending: Ending) -> None:
        """The one closing path: legs first, then the record, then the word to the clients."""
        for name in tuple(self._timers):
            self._disarm(name)
        # on the next turn, since what ends the call may be one of its tasks
        self._outside.clock.callLater(0, self._work.cancel)
        self.record = replace(
            self.record, ended_at=self.now(), reason=ending.reason, ended_by=ending.by
        )
        duration_s = self.record.duration_s
        self._outside.meters.call_ended(self.record.direction, ending.reason, duration_s)
        log.info(
            "call_ended",
            call=self.id,
            reason=str(ending.reason),
            by=str(ending.by),
            duration_s=round(duration_s, 3),
        )
        if self.transfer is not None:
            self.transfer.call_ended()
        if self.company is not None:
            self.company.call_over(self.id, ending)
        self.caller.close(ending)
        self.callee.close(ending)
        self._timers["closing"] = self._outside.clock.callLater(CLOSING_ALARM_S, self._hangs)
        self._words.run("record", self._tell_ended(ending))
        self._legs_emptied()

    async def _tell_ended(self, ending: Ending) -> None:
        try:
            await self.save()
            await self.fare.settle(self.record.duration_s, ending.reason)
        finally:
            self.farewell = Ended(
                call=self.id,
                reason=told_caller(ending.reason),
                by=ending.by,
                duration_s=round(self.record.duration_s, 3),
                at=self.record.ended_at or self.now(),
            )
            self.caller.tell(self.farewell)
            self.callee.tell(replace(self.farewell, reason=ending.reason))
            self._legs_emptied()

    # -- the end of the end

    def _legs_emptied(self) -> None:
        if self.state is State.ENDED and self.farewell is not None and not len(self.legs):
            self._release()

    def _hangs(self) -> None:
        log.error("call_closing_hangs", call=self.id, legs=list(self.legs.open_legs()))
        for leg in self.legs.open_legs():
            self.legs.forget(leg)
        self._release()

    def _release(self) -> None:
        if self._released:
            return
        self._released = True
        self._disarm("closing")
        self.run("release", self._give_back())

    async def _give_back(self) -> None:
        try:
            await self.lease.release()
            await self.anchorage.drop_all()
        finally:
            self.caller.released()
            self.callee.released()
            self._gone(self)

    def _worker_lost(self) -> None:
        self.caller.leg = self.callee.leg = None
        self.end(Ending(Reason.GATEWAY_ERROR, Party.GATEWAY))

    def _task_failed(self, error: BaseException) -> None:
        failed = isinstance(error, GatewayError) and error.fault == "peer"
        reason = Reason.MEDIA_FAILED if failed else Reason.GATEWAY_ERROR
        self.end(Ending(reason, Party.GATEWAY))

    def _arm(self, name: str, delay_s: float, ending: Ending) -> None:
        self._disarm(name)
        self._timers[name] = self._outside.clock.callLater(delay_s, lambda: self.end(ending))

    def _disarm(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None and timer.active():
            timer.cancel()
