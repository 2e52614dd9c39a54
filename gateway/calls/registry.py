"""All calls: how each is made, found and counted.  Offers ``DmCalls`` and ``IncomingCalls``."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from gateway.calls.call import Call, Outside
from gateway.calls.callees import AppCallee, EchoCallee, SipCallee
from gateway.calls.callers import AppCaller, SipCaller
from gateway.calls.events import AppEvent, Ended
from gateway.calls.machine import Side, State
from gateway.calls.ports import Forward, IncomingInvite, Referral, Refuse
from gateway.calls.reasons import Ending, to_sip
from gateway.calls.record import Acceptance, CallRecord
from gateway.calls.sides import Callee, Caller
from gateway.calls.tasks import together
from gateway.calls.transfers import Transfer
from gateway.errors import (
    GatewayError,
    MediaFailed,
    NoCapacity,
    NoSuchCall,
    NotAllowed,
    RateLimited,
    SdpUnusable,
    WrongState,
)
from gateway.policy.chain import Attempt, Verdict, judge
from gateway.routing.targets import NoRoute, Target, resolve
from gateway.values import (
    Address,
    CallId,
    Client,
    ClientId,
    Contact,
    Direction,
    LegId,
    Party,
    Reason,
    ServiceAddress,
    SipAddress,
    UserAddress,
)

log = structlog.get_logger()


class CallRegistry:
    def __init__(self, outside: Outside, new_id: Callable[[], str] | None = None) -> None:
        self._outside = outside
        self._new_id = new_id or (lambda: f"c{secrets.token_hex(8)}")
        self._calls: dict[CallId, Call] = {}
        self._parties: Counter[str] = Counter()
        self._making = 0  # calls that wait for a worker: they count against the capacity
        self._draining = False
        self._emptied: list[Deferred[None]] = []

    def __len__(self) -> int:
        return len(self._calls)

    # -- the daemon's life

    def drain(self) -> Deferred[None]:
        """Take no new calls; fires when the present ones have ended."""
        self._draining = True
        done: Deferred[None] = Deferred()
        self._emptied.append(done)
        self._tell_if_empty()
        return done

    @property
    def draining(self) -> bool:
        return self._draining

    def end_all(self, reason: Reason) -> None:
        for call in tuple(self._calls.values()):
            call.end(Ending(reason, Party.GATEWAY))

    def _tell_if_empty(self) -> None:
        if not self._calls and not self._making:
            emptied, self._emptied = self._emptied, []
            for done in emptied:
                done.callback(None)

    # -- DmCalls

    async def invite(
        self, client: Client, to: Address, thread: str | None, sdp: str | None
    ) -> CallId:
        who = client.principal
        target = self._resolve(to)
        verdict = self._judge(who.address, to if isinstance(target, NoRoute) else target)
        if not verdict.allowed and verdict.reason is not Reason.BUSY:
            raise _refusal(verdict)
        record = self._record(who.address, who.name, to, target, thread, "app_invite")
        reason = verdict.reason or self._unreachable(target)
        if reason is not None:
            return await self._stillborn(record, client, reason)
        call = await self._make(record, target)
        try:
            caller = AppCaller(call, client, self._outside.ringback)
            call.between(caller, self._callee(call, target, caller))
            await call.save()
            answer = None if sdp is None else await caller.offer(sdp)
        except BaseException:
            call.end(Ending(Reason.MEDIA_FAILED, Party.GATEWAY))
            raise
        self._after_result(lambda: self._set_off(call, caller, answer))
        return call.id

    def _set_off(self, call: Call, caller: AppCaller, answer: AppEvent | None) -> None:
        caller.introduce()
        if call.state is State.ENDED:
            if call.farewell is not None:
                caller.tell(call.farewell)
            return
        if answer is None:
            caller.expect_media()
        else:
            caller.tell(answer)
        call.start()

    async def accept(self, client: Client, call: CallId, sdp: str | None) -> None:
        found, side = self._mine(client, call)
        if side is Side.CALLER or not isinstance(found.callee, AppCallee):
            raise WrongState("call.accept", str(found.state))
        await found.callee.accept(client, sdp)

    async def decline(
        self, client: Client, call: CallId, reason: Literal["declined", "busy"]
    ) -> None:
        found, side = self._mine(client, call)
        if side is Side.CALLER or not isinstance(found.callee, AppCallee):
            raise WrongState("call.decline", str(found.state))
        found.callee.decline(reason)

    async def hangup(self, client: Client, call: CallId) -> None:
        found, side = self._mine(client, call)
        if found.state in (State.INVITING, State.RINGING):
            reason = Reason.DECLINED if side is Side.CALLEE else Reason.CANCELLED
        elif found.state is State.ACCEPTED:
            reason = Reason.CANCELLED
        else:
            reason = Reason.COMPLETED
        found.end(Ending(reason, Party(side)))

    async def mute(self, client: Client, call: CallId, muted: bool) -> None:
        found, side = self._mine(client, call)
        await found.bridge("call.mute").mute(side, muted)

    async def hold(self, client: Client, call: CallId, held: bool) -> None:
        found, side = self._mine(client, call)
        await found.bridge("call.hold").hold(side, held)

    async def dtmf(self, client: Client, call: CallId, digits: str, duration_ms: int) -> None:
        found, side = self._mine(client, call)
        await found.bridge("call.dtmf").dtmf(side, digits, duration_ms)

    async def media(self, client: Client, call: CallId, sdp: str) -> str:
        found, side = self._mine(client, call)
        party = found.caller if side is Side.CALLER else found.callee
        if not isinstance(party, AppCaller | AppCallee) or found.state is State.ENDED:
            raise WrongState("call.media", str(found.state))
        answer = await party.offer(sdp)
        return str(answer.params()["sdp"])

    async def transfer(self, client: Client, call: CallId, to: Address) -> None:
        found, side = self._mine(client, call)
        if not self._outside.settings.transfers:
            raise NotAllowed("transfers are switched off")
        transfer = Transfer(found, side, notify=False)
        await self._begin_transfer(transfer, found, side, to)
        await transfer.done

    def client_gone(self, client: ClientId) -> None:
        for call in tuple(self._calls.values()):
            if isinstance(call.caller, AppCaller) and call.caller.owns(client):
                call.end(Ending(Reason.NETWORK_LOST, Party.CALLER))
            if isinstance(call.callee, AppCallee) and call.callee.owns(client):
                call.callee.gone(client)

    def client_joined(self, client: Client) -> None:
        for call in self._calls.values():
            callee = call.callee
            if isinstance(callee, AppCallee) and callee.address == client.principal.address:
                callee.join(client)

    def _mine(self, client: Client, call: CallId) -> tuple[Call, Side]:
        found = self._calls.get(call)
        if found is not None and found.state is not State.ENDED:
            if isinstance(found.caller, AppCaller) and found.caller.owns(client.id):
                return found, Side.CALLER
            if isinstance(found.callee, AppCallee) and found.callee.owns(client.id):
                return found, Side.CALLEE
        raise NoSuchCall

    # -- IncomingCalls

    async def incoming(self, invite: IncomingInvite) -> Forward | Refuse:
        target = self._resolve(invite.target)
        shown = invite.target if isinstance(target, NoRoute) else target
        verdict = self._judge(invite.caller, shown)
        if not verdict.allowed and verdict.reason is not Reason.BUSY:
            log.info("invite_refused", caller=str(invite.caller), rule=verdict.rule)
            return _refuse(verdict.reason or Reason.GATEWAY_ERROR, verdict.retry_after_s)
        record = self._record(
            invite.caller, invite.caller_name, invite.target, target, None, "sip_invite"
        )
        log.info(
            "invite_admitted",
            call=record.call,
            caller=str(invite.caller),
            callee=str(invite.target),
            sip_call_id=invite.sip_call_id,
            source=str(invite.source),
            transport=invite.transport,
        )
        reason = verdict.reason or self._unreachable(target)
        if reason is not None:
            await self._stillborn(record, None, reason)
            return _refuse(reason)
        try:
            call = await self._make(record, target)
        except GatewayError as e:
            log.warning("call_not_made", call=record.call, error=str(e))
            return Refuse(e.sip_code, str(e), retry_after_s=10)
        caller = SipCaller(call, invite.caller)
        call.between(caller, self._callee(call, target, caller))
        leg = caller.invited
        try:
            offer = await call.anchorage.taken(leg, invite.offer)
            await together(call.save(), call.lease.expect_sip_leg(leg))
        except CancelledError:
            caller.never_came()
            call.end(Ending(Reason.CANCELLED, Party.CALLER))
            raise
        except GatewayError as e:
            log.warning("call_not_made", call=record.call, error=str(e))
            caller.never_came()
            unusable = isinstance(e, SdpUnusable)
            reason = Reason.MEDIA_FAILED if unusable else Reason.GATEWAY_ERROR
            call.end(Ending(reason, Party.GATEWAY))
            return _refuse(reason)
        call.expect_caller()
        return Forward(call.lease.sip, leg, offer)

    def refer(self, leg: LegId, referral: Referral) -> Refuse | None:
        found = self._calls.get(CallId(leg.rpartition(".")[0]))
        side = None if found is None else found.side_of(leg)
        if found is None or side is None or not self._outside.settings.transfers:
            return Refuse(403)
        other: tuple[Call, Side] | None = None
        if referral.replaces is not None:
            call = self._calls.get(CallId(referral.replaces.rpartition(".")[0]))
            at = None if call is None else call.side_of(referral.replaces)
            theirs = None if call is None or at is None else call.at(at).address
            if call is None or at is None or call is found or theirs != found.at(side).address:
                return Refuse(403)
            other = call, at
        try:
            transfer = Transfer(found, side, notify=True)
        except WrongState:
            return Refuse(491)
        log.info("referred", call=found.id, by=str(found.at(side).address), to=str(referral.target))
        if other is not None:
            found.run("transfer", self._attended(transfer, *other))
        else:
            found.run("transfer", self._begin_transfer(transfer, found, side, referral.target))
        transfer.done.addErrback(_told_by_notify)
        return None

    async def _attended(self, transfer: Transfer, other: Call, side: Side) -> None:
        try:
            await transfer.into(other, side)
        except GatewayError as e:
            transfer.failed(e)

    async def _begin_transfer(
        self, transfer: Transfer, call: Call, side: Side, to: Address
    ) -> None:
        """Call the target for the one who stays, as the one who leaves would have."""
        try:
            leaving, staying = call.at(side), call.at(side.other)
            target = self._resolve(to)
            verdict = self._judge(leaving.address, to if isinstance(target, NoRoute) else target)
            reason = verdict.reason or self._unreachable(target)
            name = call.record.caller_name if side is Side.CALLEE else call.record.callee_name
            record = self._record(staying.address, name, to, target, call.record.thread, "transfer")
            if reason is not None:
                await self._stillborn(record, None, reason)
                raise _transfer_refusal(reason, verdict)
            made = await self._make(record, target)
        except GatewayError as e:
            transfer.failed(e)
            return
        caller = transfer.caller_for(made)
        made.between(caller, self._callee(made, target, caller))
        await made.save()
        made.start()

    # -- making a call

    def _resolve(self, to: Address) -> Target:
        return resolve(to, self._outside.domain, self._outside.locations.is_account)

    def _judge(self, caller: Address, callee: Address) -> Verdict:
        attempt = Attempt(
            caller=caller,
            callee=callee,
            caller_calls=self._parties[str(caller)],
            callee_calls=0 if isinstance(callee, ServiceAddress) else self._parties[str(callee)],
            all_calls=len(self._calls) + self._making,
            draining=self._draining,
        )
        return judge(attempt, self._outside.settings)

    def _unreachable(self, target: Target) -> Reason | None:
        match target:
            case UserAddress(handle=handle):
                reachable = bool(self._outside.clients.clients_of(handle))
            case SipAddress():
                reachable = bool(self._outside.locations.contacts(target))
            case ServiceAddress():
                reachable = True
            case NoRoute():
                reachable = False
        return None if reachable else Reason.UNREACHABLE

    def _record(
        self,
        caller: Address,
        caller_name: str,
        to: Address,
        target: Target,
        thread: str | None,
        means: Literal["app_invite", "sip_invite", "transfer"],
    ) -> CallRecord:
        callee = to if isinstance(target, NoRoute) else target
        name = ""
        match callee:
            case SipAddress():
                name = self._outside.locations.display_name(callee)
            case UserAddress(handle=handle):
                name = next(
                    (c.principal.name for c in self._outside.clients.clients_of(handle)), ""
                )
            case _:
                pass
        now = self._outside.clock.seconds()
        return CallRecord(
            call=CallId(self._new_id()),
            direction=_direction(caller, callee),
            caller=caller,
            caller_name=caller_name,
            callee=callee,
            callee_name=name,
            created_at=now,
            thread=thread,
            caller_accepted=Acceptance(now, means, caller),
        )

    async def _make(self, record: CallRecord, target: Target) -> Call:
        """A call with a worker lent to it; it is counted from now until it is gone."""
        contacts = self._contacts(target)
        legs = 1 if isinstance(target, ServiceAddress) else 1 + max(1, len(contacts))
        call = Call(self._outside, record, self._gone)
        self._making += 1
        try:
            call.set_out(await self._outside.pool.lend(record.call, legs, call.legs))
        except BaseException:
            self._outside.meters.call_ended(record.direction, Reason.GATEWAY_ERROR, 0)
            raise
        finally:
            self._making -= 1
            self._tell_if_empty()
        self._calls[call.id] = call
        self._parties.update((str(record.caller), str(record.callee)))
        return call

    def _contacts(self, target: Target) -> tuple[Contact, ...]:
        if not isinstance(target, SipAddress):
            return ()
        # a worker holds the whole call: the caller's leg and one for each contact
        room = self._outside.legs_per_worker - 1
        return tuple(self._outside.locations.contacts(target))[:room]

    def _callee(self, call: Call, target: Target, caller: Caller) -> Callee:
        match target:
            case UserAddress():
                return AppCallee(call, target)
            case SipAddress():
                return SipCallee(call, target, self._contacts(target))
            case ServiceAddress():
                return EchoCallee(call, target, caller)
            case NoRoute():
                raise AssertionError("a call without a route is never made")

    def _gone(self, call: Call) -> None:
        del self._calls[call.id]
        for party in (str(call.record.caller), str(call.record.callee)):
            self._parties[party] -= 1
            if self._parties[party] <= 0:
                del self._parties[party]
        self._tell_if_empty()

    async def _stillborn(self, record: CallRecord, client: Client | None, reason: Reason) -> CallId:
        """A call that ends as it begins: recorded, counted, and told."""
        now = self._outside.clock.seconds()
        ended = replace(record, ended_at=now, reason=reason, ended_by=Party.GATEWAY)
        self._outside.meters.call_began(record.direction)
        self._outside.meters.call_ended(record.direction, reason, 0)
        await self._outside.records.save(ended)
        log.info("call_ended", call=record.call, reason=str(reason), by="gateway", duration_s=0)
        if client is not None:
            event = Ended(call=record.call, reason=reason, by=Party.GATEWAY, duration_s=0, at=now)
            self._after_result(lambda: self._outside.clients.notify(client.id, event))
        return record.call

    def _after_result(self, act: Callable[[], None]) -> None:
        """On the next turn, so that the client has the call's id before its first event."""
        self._outside.clock.callLater(0, act)


def _direction(caller: Address, callee: Address) -> Direction:
    origin = "app" if isinstance(caller, UserAddress) else "sip"
    match callee:
        case UserAddress():
            end = "app"
        case ServiceAddress():
            end = "service"
        case _:
            end = "sip"
    return Direction(f"{origin}_to_{end}")


def _told_by_notify(failure: Failure) -> None:
    """Who asked by REFER has been told; anything but a failed transfer is a fault of ours."""
    if not isinstance(failure.value, GatewayError):
        log.error("transfer_broke", traceback=failure.getTraceback())


def _transfer_refusal(reason: Reason, verdict: Verdict) -> GatewayError:
    if not verdict.allowed and reason is not Reason.BUSY:
        return _refusal(verdict)
    return MediaFailed(f"the target cannot be called: {reason}")


def _refusal(verdict: Verdict) -> GatewayError:
    match verdict.reason:
        case Reason.RATE_LIMITED:
            return RateLimited(verdict.text, verdict.retry_after_s or 1)
        case Reason.NOT_ALLOWED:
            return NotAllowed(verdict.text)
        case _:
            return NoCapacity(verdict.text)


def _refuse(reason: Reason, retry_after_s: int | None = None) -> Refuse:
    said = to_sip(reason)
    code = 503 if retry_after_s is not None else said.code
    text = "Service Unavailable" if code == 503 else said.text
    return Refuse(code, text, retry_after_s)
