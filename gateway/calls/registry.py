"""All calls: how each is made, found and counted.

Offers ``DmCalls``, ``IncomingCalls`` and ``server_ports.ServerCalls``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import structlog
from twisted.internet.defer import CancelledError, Deferred

from gateway.calls.adding import Adding
from gateway.calls.call import Call
from gateway.calls.callees import AppCallee
from gateway.calls.callers import AppCaller, SipCaller, TrunkCaller
from gateway.calls.console_ports import CallView
from gateway.calls.directory import Directory
from gateway.calls.events import AppEvent
from gateway.calls.judging import Asked
from gateway.calls.machine import Side, State
from gateway.calls.making import Making
from gateway.calls.outside import Outside
from gateway.calls.ports import Forward, IncomingInvite, Referral, Refuse
from gateway.calls.reasons import Ending
from gateway.calls.record import CallRecord
from gateway.calls.refusals import refusal, refuse
from gateway.calls.rung_caller import RungCaller
from gateway.calls.tasks import together
from gateway.calls.transferring import Transferring
from gateway.calls.views import view
from gateway.errors import (
    GatewayError,
    NoSuchCall,
    NotAllowed,
    SdpUnusable,
    WrongState,
)
from gateway.values import (
    Address,
    CallId,
    Client,
    ClientId,
    LegId,
    Party,
    Principal,
    Reason,
    UserAddress,
    Verification,
)

log = structlog.get_logger()


class CallRegistry:
    def __init__(self, outside: Outside, new_id: Callable[[], str] | None = None) -> None:
        self._outside = outside
        self._directory = Directory(outside, self._put_through)
        self._making = Making(outside, self._directory, new_id)
        self._calls = self._making.calls
        self._judging = self._making.judging
        self._transfers = Transferring(self._making)
        self._adding = Adding(self._making)

    def __len__(self) -> int:
        return len(self._calls)

    # -- the daemon's life

    def drain(self) -> Deferred[None]:
        """Take no new calls; fires when the present ones have ended."""
        return self._making.drain()

    def refuse_new(self, refuse: bool) -> None:
        """Take no new calls, or take them again."""
        self._making.draining = refuse

    @property
    def draining(self) -> bool:
        return self._making.draining

    def end_all(self, reason: Reason) -> None:
        for call in tuple(self._calls.values()):
            call.end(Ending(reason, Party.GATEWAY))

    # -- DmCalls

    async def invite(
        self, client: Client, to: Address, thread: str | None, sdp: str | None
    ) -> CallId:
        who = client.principal
        target = self._directory.resolve(to, who.address, who.region, who.groups)
        asked = Asked(who.address, to, target, "app_invite", principal=who)
        found = await self._judging.judge(asked)
        if found.refused:
            raise refusal(found.verdict)
        record = self._making.record(asked, who.name, thread, found.verdict)
        reason = self._making.stopped(found)
        if reason is not None:
            return (await self._making.stillborn(record, client, reason)).call
        call = await self._making.make(record, found)
        try:
            caller = AppCaller(call, client, self._outside.ringback)
            call.between(caller, self._directory.callee(call, found.target, caller, found.silent))
            await call.save()
            answer = None if sdp is None else await caller.offer(sdp)
        except BaseException:
            call.end(Ending(Reason.MEDIA_FAILED, Party.GATEWAY))
            raise
        self._making.after_result(lambda: self._set_off(call, caller, answer))
        return call.id

    def _set_off(self, call: Call, caller: AppCaller, answer: AppEvent | None) -> None:
        caller.introduce()
        if call.state is State.ENDED:
            if call.farewell is not None:
                caller.tell(call.farewell)
            return
        here = self._outside.clients.clients_of(caller.client.principal.handle)
        if caller.client.id not in (client.id for client in here):
            # gone for good while the call was judged and made
            call.end(Ending(Reason.NETWORK_LOST, Party.CALLER))
            return
        if answer is None:
            caller.expect_media()
        else:
            caller.tell(answer)
        call.start()

    async def accept(self, client: Client, call: CallId, sdp: str | None) -> None:
        found, side = self._mine(client, call)
        if side is Side.CALLER and isinstance(found.caller, RungCaller):
            await found.caller.accept(client, sdp)
            return
        part = _part(found, client.id)
        if side is Side.CALLER or part is None:
            raise WrongState("call.accept", str(found.state))
        await part.accept(client, sdp)

    async def decline(
        self, client: Client, call: CallId, reason: Literal["declined", "busy"]
    ) -> None:
        found, side = self._mine(client, call)
        if side is Side.CALLER and isinstance(found.caller, RungCaller):
            found.caller.decline(reason)
            return
        part = _part(found, client.id)
        if side is Side.CALLER or part is None:
            raise WrongState("call.decline", str(found.state))
        part.decline(reason)

    async def hangup(self, client: Client, call: CallId) -> None:
        found, side = self._mine(client, call)
        if found.state in (State.INVITING, State.RINGING):
            reason = Reason.DECLINED if side is Side.CALLEE else Reason.CANCELLED
        elif found.state is State.ACCEPTED:
            reason = Reason.CANCELLED
        else:
            reason = Reason.COMPLETED
        found.leave(side, Ending(reason, Party(side)))

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
        party = found.caller if side is Side.CALLER else _part(found, client.id)
        if not isinstance(party, AppCaller | AppCallee) or found.state is State.ENDED:
            raise WrongState("call.media", str(found.state))
        answer = await party.offer(sdp)
        return str(answer.params()["sdp"])

    async def transfer(self, client: Client, call: CallId, to: Address) -> None:
        found, side = self._mine(client, call)
        if not self._outside.settings.transfers:
            raise NotAllowed("transfers are switched off")
        await self._transfers.transfer(found, side, to)

    async def add(self, client: Client, call: CallId, to: Address) -> None:
        found, side = self._mine(client, call)
        await self._adding.add(client, found, side, to)

    async def whisper(self, client: Client, call: CallId, to: Address | None) -> None:
        found, side = self._mine(client, call)
        await self._adding.whisper(client, found, side, to)

    async def listen(self, client: Client, call: CallId, listening: bool) -> None:
        found, side = self._mine(client, call)
        await self._adding.listen(found, side, listening)

    async def mute_all(self, client: Client, call: CallId, muted: bool) -> None:
        found, side = self._mine(client, call)
        await self._adding.mute_all(client, found, side, muted)

    def client_gone(self, client: ClientId) -> None:
        for call in tuple(self._calls.values()):
            if isinstance(call.caller, AppCaller) and call.caller.owns(client):
                call.caller.gone(client)
            for part in call.callee.parts:
                part.gone(client)

    def client_joined(self, client: Client) -> None:
        for call in self._calls.values():
            if isinstance(call.caller, RungCaller):
                call.caller.join(client)
            for part in call.callee.parts:
                if part.address == client.principal.address:
                    part.join(client)

    def _mine(self, client: Client, call: CallId) -> tuple[Call, Side]:
        found = self._calls.get(call)
        if found is not None and found.state is not State.ENDED:
            if isinstance(found.caller, AppCaller) and found.caller.owns(client.id):
                return found, Side.CALLER
            if _part(found, client.id) is not None:
                return found, Side.CALLEE
        raise NoSuchCall

    # -- ServerCalls

    async def place(self, caller: UserAddress, to: Address, thread: str | None) -> CallRecord:
        clients = self._outside.clients.clients_of(caller.handle)
        who = clients[-1].principal if clients else Principal(caller.handle, caller.handle)
        target = self._directory.resolve(to, caller, who.region, who.groups)
        asked = Asked(caller, to, target, "app_invite", principal=who if clients else None)
        found = await self._judging.judge(asked)
        if found.refused:
            raise refusal(found.verdict)
        record = self._making.record(asked, who.name, thread, found.verdict)
        record = replace(record, caller_accepted=None)
        reason = self._making.stopped(found) if clients else Reason.UNREACHABLE
        if reason is not None:
            return await self._making.stillborn(record, None, reason)
        call = await self._making.make(record, found)
        met = record.callee, record.callee_name
        rung = RungCaller(call, clients, *met, self._outside.ringback)
        call.between(rung, self._directory.callee(call, found.target, rung, found.silent))
        try:
            await call.save()
        except BaseException:
            call.end(Ending(Reason.GATEWAY_ERROR, Party.GATEWAY))
            raise
        rung.alert()
        return call.record

    def end_by_server(self, call: CallId, reason: Reason | None) -> CallRecord:
        found = self._calls.get(call)
        if found is None or found.state is State.ENDED:
            raise NoSuchCall
        usual = Reason.COMPLETED if found.state is State.CONNECTED else Reason.CANCELLED
        found.end(Ending(reason or usual, Party.GATEWAY))
        return found.record

    def views(self) -> Sequence[CallView]:
        """Calls that have not ended, oldest first; see ``console_ports.LiveCalls``."""
        return [view(c) for c in self._calls.values() if c.state is not State.ENDED]

    def room(self) -> tuple[int, int]:
        return len(self._calls), self._outside.settings.max_calls

    def active(self) -> Sequence[CallRecord]:
        return [c.record for c in self._calls.values() if c.state is not State.ENDED]

    # -- IncomingCalls

    async def incoming(self, invite: IncomingInvite) -> Forward | Refuse:
        target = self._directory.resolve(invite.target, invite.caller, trunk=invite.trunk)
        identity = await self._identity(invite)
        refused = self._refused_identity(identity)
        if refused is not None:
            why = identity.why if identity else ""
            log.info("identity_refused", caller=str(invite.caller), why=why)
            return refused
        asked = Asked(
            invite.caller,
            invite.target,
            target,
            "sip_invite",
            trunk=invite.trunk,
            verification=identity,
            # a trunk brings the calls of many from one address
            source=invite.source.host if invite.trunk is None else None,
        )
        found = await self._judging.judge(asked)
        if found.refused:
            verdict = found.verdict
            return refuse(verdict.reason or Reason.GATEWAY_ERROR, verdict.retry_after_s)
        record = self._making.record(asked, invite.caller_name, None, found.verdict)
        log.info(
            "invite_admitted",
            call=record.call,
            caller=str(invite.caller),
            callee=str(invite.target),
            sip_call_id=invite.sip_call_id,
            source=str(invite.source),
            transport=invite.transport,
        )
        reason = self._making.stopped(found)
        if reason is not None:
            await self._making.stillborn(record, None, reason)
            return refuse(reason)
        if invite.trunk is not None and not self._outside.carriers.begin(invite.trunk):
            log.info("trunk_full", call=record.call, trunk=invite.trunk)
            return Refuse(503, retry_after_s=10)
        try:
            call = await self._making.make(record, found, invite.trunk)
        except BaseException as e:
            if invite.trunk is not None:
                self._outside.carriers.end(invite.trunk)
            if not isinstance(e, GatewayError):
                raise
            log.warning("call_not_made", call=record.call, error=str(e))
            return Refuse(e.sip_code, str(e), retry_after_s=10)
        if identity is not None:
            call.verified = identity.status == "passed" and identity.attest == "A"
        caller = self._sip_caller(call, invite)
        call.between(caller, self._directory.callee(call, found.target, caller, found.silent))
        leg = caller.invited
        try:
            tones = invite.trunk is not None and (
                self._outside.carriers.trunk(invite.trunk).hears_tones
            )
            offer = await call.anchorage.taken(leg, invite.offer, tones=tones)
            await together(call.save(), self._expected(call, leg, invite.trunk))
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
            return refuse(reason)
        call.expect_caller()
        return Forward(call.lease.sip, leg, offer)

    def refer(self, leg: LegId, referral: Referral) -> Refuse | None:
        return self._transfers.refer(leg, referral)

    async def _put_through(self, call: Call, handle: str) -> None:
        """Call a person for the telephone that gave a PIN of theirs."""
        await self._transfers.transfer(call, Side.CALLEE, UserAddress(handle), "pin")

    async def _identity(self, invite: IncomingInvite) -> Verification | None:
        """What a trunk's signature is worth; ``None`` where none is asked for."""
        check = self._outside.identity_check
        if check is None or invite.trunk is None:
            return None
        orig = str(invite.caller).removeprefix("tel:")
        now = self._outside.clock.seconds()
        return await check.verify(invite.identity, orig, invite.to, now, invite.date)

    def _refused_identity(self, found: Verification | None) -> Refuse | None:
        check = self._outside.identity_check
        return None if check is None or found is None else check.refusal(found)

    def _sip_caller(self, call: Call, invite: IncomingInvite) -> SipCaller:
        if invite.trunk is None:
            return SipCaller(call, invite.caller)
        return TrunkCaller(call, invite.caller, invite.trunk, self._outside.carriers)

    async def _expected(self, call: Call, leg: LegId, trunk: str | None) -> None:
        if trunk is None:
            await call.lease.expect_sip_leg(leg)
        else:
            await call.lease.expect_sip_leg(leg, self._outside.carriers.profile(trunk))


def _part(call: Call, client: ClientId) -> AppCallee | None:
    """Whoever of those called this client stands for."""
    for part in call.callee.parts:
        if isinstance(part, AppCallee) and part.owns(client):
            return part
    return None
