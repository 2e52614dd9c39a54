"""Adding another person to a call, and what moderators ask of a group."""

from __future__ import annotations

from dataclasses import replace

from gateway.calls.call import Call
from gateway.calls.empty_side import EmptyCaller
from gateway.calls.events import AppEvent, Connected, Left
from gateway.calls.group import Group
from gateway.calls.hearing import Seat
from gateway.calls.judging import Asked
from gateway.calls.machine import Side
from gateway.calls.making import Making
from gateway.calls.reasons import Ending
from gateway.calls.refusals import refusal
from gateway.calls.sides import CallSide, Room
from gateway.errors import NotAllowed, WrongState
from gateway.values import Address, Client, Party, Reason, ServiceAddress


class GroupCaller(EmptyCaller):
    """The group, in the call that is to add another: it has accepted, and plays nothing."""

    def __init__(self, room: Room, address: Address, group: Group, making: Making) -> None:
        super().__init__(room, address)
        self._group = group
        self._making = making

    def tell(self, event: AppEvent) -> None:
        if isinstance(event, Connected):
            self._making.after_result(lambda: self._group.introduce(self.room.id))


class Adding:
    def __init__(self, making: Making) -> None:
        self._making = making
        self._outside = making.outside

    async def add(self, client: Client, call: Call, side: Side, to: Address) -> None:
        """Judged as a call of whoever asks and of all who are in it; done when it rings."""
        self._ready(call)
        who = client.principal
        target = self._making.directory.resolve(to, who.address, who.region, who.groups)
        if isinstance(target, ServiceAddress):
            raise NotAllowed("a service cannot be added to a call")
        asked = Asked(who.address, to, target, "added", principal=who)
        parties = _parties(call)
        if any(address in (to, target) for address, _ in parties):
            raise NotAllowed("they are in the call already")
        others = [
            Asked(address, to, target, "added", trunk=trunk)
            for address, trunk in parties
            if address != who.address
        ]
        found = await self._making.judging.addition(asked, others)
        if found.refused:
            raise refusal(found.verdict)
        self._ready(call)  # it may have ended, or be a group by now
        group = self._group(call)
        seat = group.seat(call.id, side)
        thread = call.record.thread
        record = self._making.record(asked, who.name, thread, found.verdict)
        record = replace(record, group=group.id)
        if group.has(record.callee):
            raise NotAllowed("they are in the call already")
        adder = call.at(side)
        reason = self._making.stopped(found)
        if reason is not None:
            await self._making.stillborn(record, None, reason)
            self._making.after_result(lambda: _not_come(adder, record.callee, reason))
            return
        guest = await self._making.make(record, found, beside=group.host)
        caller = GroupCaller(guest, who.address, group, self._making)
        callee = self._making.directory.callee(guest, found.target, caller, found.silent)
        guest.between(caller, callee)
        group.ask(guest, seat)
        try:
            await guest.save()
        except BaseException:
            guest.end(Ending(Reason.GATEWAY_ERROR, Party.GATEWAY))
            raise
        guest.media_up(Side.CALLER)
        guest.start()

    def _ready(self, call: Call) -> None:
        if not self._outside.settings.groups:
            raise NotAllowed("group calls are switched off")
        bridge = call.bridge("call.add")
        if call.transfer is not None:
            raise WrongState("call.add", "transferring")
        if call.company is None and (bridge.is_held or call.caller.far_holds):
            raise WrongState("call.add", "held")
        if call.company is None and call.callee.far_holds:
            raise WrongState("call.add", "held")

    def _group(self, call: Call) -> Group:
        if isinstance(call.company, Group):
            return call.company
        return Group(call, self._outside.meters, self._making.left)

    async def whisper(self, client: Client, call: Call, side: Side, to: Address | None) -> None:
        group, seat = self._moderated(client, call, side, "call.whisper")
        await group.whisper(seat, to)

    async def mute_all(self, client: Client, call: Call, side: Side, muted: bool) -> None:
        group, seat = self._moderated(client, call, side, "call.mute_all")
        await group.mute_all(seat, muted)

    async def listen(self, call: Call, side: Side, listening: bool) -> None:
        group, seat = self._place(call, side, "call.listen")
        await group.listen(seat, listening)

    def _moderated(self, client: Client, call: Call, side: Side, doing: str) -> tuple[Group, Seat]:
        group, seat = self._place(call, side, doing)
        groups = client.principal.groups
        group.may_moderate(seat, groups, self._outside.settings.moderator_groups)
        return group, seat

    def _place(self, call: Call, side: Side, doing: str) -> tuple[Group, Seat]:
        call.bridge(doing)
        if not isinstance(call.company, Group):
            raise WrongState(doing, "not a group")
        return call.company, call.company.seat(call.id, side)


def _parties(call: Call) -> list[tuple[Address, str | None]]:
    """Everybody who is in the call, each with the trunk by which they have come."""
    if isinstance(call.company, Group):
        group = call.company
        trunk = {id(group.host.caller): group.host.trunk}
        return [(side.address, trunk.get(id(side))) for _, side in group.parties()]
    return [(call.caller.address, call.trunk), (call.callee.address, None)]


def _not_come(adder: CallSide, address: Address, reason: Reason) -> None:
    adder.tell(Left(call=adder.room.id, address=address, reason=reason))
