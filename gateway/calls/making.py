"""How a call is made: judged by the load there is, recorded, given a worker, and counted."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace

import structlog
from twisted.internet.defer import Deferred

from gateway.calls.call import Call
from gateway.calls.directory import Directory
from gateway.calls.events import Ended
from gateway.calls.judging import Asked, Judgement, Judging, Load, Occupancy
from gateway.calls.opening import opened
from gateway.calls.outside import Outside
from gateway.calls.ports import WorkerLease
from gateway.calls.record import CallRecord
from gateway.errors import NoCapacity
from gateway.policy.chain import Verdict
from gateway.routing.targets import Telephone
from gateway.values import Address, CallId, Client, Party, Reason

log = structlog.get_logger()


class Making:
    """``calls`` are all that there are, each until nothing of it is left."""

    def __init__(
        self, outside: Outside, directory: Directory, new_id: Callable[[], str] | None
    ) -> None:
        self.outside = outside
        self.directory = directory
        self.calls: dict[CallId, Call] = {}
        self.judging = Judging(outside, self.load)
        self._outside = outside
        self._new_id = new_id or (lambda: f"c{secrets.token_hex(8)}")
        self._occupancy = Occupancy()
        self._waiting = 0  # calls that wait for a worker: they count against the capacity
        self.draining = False
        self._emptied: list[Deferred[None]] = []

    def drain(self) -> Deferred[None]:
        """Take no new calls; fires when the present ones have ended."""
        self.draining = True
        done: Deferred[None] = Deferred()
        self._emptied.append(done)
        self._tell_if_empty()
        return done

    def _tell_if_empty(self) -> None:
        if not self.calls and not self._waiting:
            emptied, self._emptied = self._emptied, []
            for done in emptied:
                done.callback(None)

    def load(self, caller: Address, callee: Address) -> Load:
        parties = self._occupancy
        total = len(self.calls) + self._waiting
        return Load(parties.calls(caller), parties.calls(callee), total, self.draining)

    def stopped(self, found: Judgement) -> Reason | None:
        """Why a call that is not refused is over as it begins."""
        if found.verdict.reason is not None and not found.verdict.silent:
            return found.verdict.reason
        return self.directory.unreachable(found.target)

    def record(
        self, asked: Asked, caller_name: str, thread: str | None, verdict: Verdict
    ) -> CallRecord:
        call = CallId(self._new_id())
        target = asked.target
        log.info(
            "call_made",
            call=call,
            caller=str(asked.caller),
            callee=str(asked.to),
            rule=verdict.rule,
            target=type(target).__name__,
            because=target.because if isinstance(target, Telephone) else (),
        )
        return opened(self._outside, call, asked, caller_name, thread, verdict)

    async def make(
        self,
        record: CallRecord,
        found: Judgement,
        trunk: str | None = None,
        beside: Call | None = None,
    ) -> Call:
        """A call with a worker lent to it; it is counted from now until it is gone.

        ``beside``: in the worker of that call, which it is to add its callee to.
        """
        call = Call(self._outside, record, self._gone, found.terms)
        call.trunk = trunk
        self._waiting += 1
        self._occupancy.enter(call)
        try:
            call.set_out(await self._lease(call, found, beside))
        except BaseException:
            self._occupancy.leave(call)
            self._outside.meters.call_ended(record.direction, Reason.GATEWAY_ERROR, 0)
            raise
        finally:
            self._waiting -= 1
            self._tell_if_empty()
        self.calls[call.id] = call
        return call

    async def _lease(self, call: Call, found: Judgement, beside: Call | None) -> WorkerLease:
        legs = self.directory.legs(found.target)
        if beside is None:
            settings = self._outside.settings
            spare = settings.group_room if settings.groups else 0
            return await self._outside.pool.lend(call.id, legs, call.legs, spare)
        share = beside.lease.share(legs - 1, call.legs)
        if share is None:
            raise NoCapacity("the worker of this call has no room for another")
        return share

    def left(self, call: Call, address: Address) -> None:
        """A group goes on without this one, who may be called again."""
        trunk = call.trunk if address == call.record.caller else None
        self._occupancy.left(call, self._outside.identities.of(address, trunk).person)

    def _gone(self, call: Call) -> None:
        del self.calls[call.id]
        self._occupancy.leave(call)
        self._tell_if_empty()

    async def stillborn(
        self, record: CallRecord, client: Client | None, reason: Reason
    ) -> CallRecord:
        """A call that ends as it begins: recorded, counted, and told."""
        now = self._outside.clock.seconds()
        ended = replace(record, ended_at=now, reason=reason, ended_by=Party.GATEWAY)
        self._outside.meters.call_began(record.direction)
        self._outside.meters.call_ended(record.direction, reason, 0)
        await self._outside.records.save(ended)
        log.info("call_ended", call=record.call, reason=str(reason), by="gateway", duration_s=0)
        if client is not None:
            event = Ended(call=record.call, reason=reason, by=Party.GATEWAY, duration_s=0, at=now)
            self.after_result(lambda: self._outside.clients.notify(client.id, event))
        return ended

    def after_result(self, act: Callable[[], None]) -> None:
        """On the next turn, so that the client has the call's id before its first event."""
        self._outside.clock.callLater(0, act)
