"""Transfers as they are asked for: by a REFER, by an app client, by dial-in."""

from __future__ import annotations

from typing import Literal

import structlog

from gateway.calls.call import Call
from gateway.calls.judging import Asked
from gateway.calls.machine import Side
from gateway.calls.making import Making
from gateway.calls.ports import Referral, Refuse
from gateway.calls.refusals import told_by_notify, transfer_refusal
from gateway.calls.transfers import Transfer
from gateway.errors import GatewayError, WrongState
from gateway.values import Address, CallId, LegId

log = structlog.get_logger()


class Transferring:
    def __init__(self, making: Making) -> None:
        self._making = making
        self._outside = making.outside

    async def transfer(
        self, call: Call, side: Side, to: Address, means: Literal["transfer", "pin"] = "transfer"
    ) -> None:
        """Done when whoever stays hears the target."""
        transfer = Transfer(call, side, notify=False)
        await self._begin(transfer, call, side, to, means)
        await transfer.done

    def refer(self, leg: LegId, referral: Referral) -> Refuse | None:
        found = self._making.calls.get(CallId(leg.rpartition(".")[0]))
        side = None if found is None else found.side_of(leg)
        if found is None or side is None or not self._outside.settings.transfers:
            return Refuse(403)
        if not found.at(side).may_transfer:
            return Refuse(403)
        other: tuple[Call, Side] | None = None
        if referral.replaces is not None:
            call = self._making.calls.get(CallId(referral.replaces.rpartition(".")[0]))
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
            found.run("transfer", self._begin(transfer, found, side, referral.target))
        transfer.done.addErrback(told_by_notify)
        return None

    async def _attended(self, transfer: Transfer, other: Call, side: Side) -> None:
        try:
            await transfer.into(other, side)
        except GatewayError as e:
            transfer.failed(e)

    async def _begin(
        self,
        transfer: Transfer,
        call: Call,
        side: Side,
        to: Address,
        means: Literal["transfer", "pin"] = "transfer",
    ) -> None:
        """Call the target for the one who stays, as the one who leaves would have."""
        try:
            leaving, staying = call.at(side), call.at(side.other)
            target = self._making.directory.resolve(to, leaving.address)
            found = await self._making.judging.transfer(call, side, to, target, means)
            name = call.record.caller_name if side is Side.CALLEE else call.record.callee_name
            asked = Asked(staying.address, to, found.target, means)
            record = self._making.record(asked, name, call.record.thread, found.verdict)
            reason = found.verdict.reason if found.refused else self._making.stopped(found)
            if reason is not None:
                await self._making.stillborn(record, None, reason)
                raise transfer_refusal(reason, found)
            made = await self._making.make(record, found)
        except GatewayError as e:
            transfer.failed(e)
            return
        caller = transfer.caller_for(made)
        made.between(
            caller, self._making.directory.callee(made, found.target, caller, found.silent)
        )
        await made.save()
        made.start()
