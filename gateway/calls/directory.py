"""Whom an address means, whether they can be reached, and the side of a call that rings them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from gateway.calls.call import Call
from gateway.calls.callees import AppCallee, EchoCallee, SipCallee
from gateway.calls.dial_in import DialInCallee
from gateway.calls.group_callee import GroupCallee
from gateway.calls.outside import Outside
from gateway.calls.sides import Callee, Caller, Room
from gateway.calls.silent_callee import Silence, SilentCallee
from gateway.calls.trunk_callee import TrunkCallee, Way
from gateway.errors import Unlocatable
from gateway.routing.dialplan import plan
from gateway.routing.enum import enum_ways
from gateway.routing.numbers import Spelling
from gateway.routing.plans import Dialled, Plan, TrunkCaller, TrunkChoice
from gateway.routing.targets import Group, NoRoute, Target, Telephone, resolve
from gateway.values import (
    Address,
    Contact,
    NumberClass,
    Reason,
    ServiceAddress,
    SipAddress,
    TelAddress,
    UserAddress,
)

log = structlog.get_logger()

SHORTEST_TURN_S = 5.0


class Directory:
    """``put_through(call, handle)`` calls a person for the one in a call with dial-in."""

    def __init__(
        self, outside: Outside, put_through: Callable[[Call, str], Coroutine[Any, Any, None]]
    ) -> None:
        self._outside = outside
        self._put_through = put_through
        self._silence = Silence(outside.clock.callLater, outside.chance)

    def resolve(
        self,
        to: Address,
        caller: Address,
        region: str | None = None,
        groups: frozenset[str] = frozenset(),
        trunk: str | None = None,
    ) -> Target:
        outside = self._outside

        def dial(number: Spelling) -> Plan:
            who = TrunkCaller(trunk) if trunk is not None else _person(caller)
            asked = Dialled(number, who, region, groups)
            return plan(asked, outside.dial_plan, outside.clock.seconds(), outside.chance)

        def is_user(handle: str) -> bool:
            return bool(outside.clients.clients_of(handle))

        book = outside.dial_plan
        known = book.routes or book.numbers or book.emergency_trunk
        return resolve(
            to, outside.domain, outside.locations.is_account, is_user, dial if known else None
        )

    def unreachable(self, target: Target) -> Reason | None:
        match target:
            case UserAddress(handle=handle):
                reachable = bool(self._outside.clients.clients_of(handle))
            case SipAddress():
                reachable = bool(self._outside.locations.contacts(target))
            case ServiceAddress():
                reachable = True
            case Telephone():
                reachable = True
            case Group(members=members):
                reachable = any(self.unreachable(m) is None for m in members)
            case NoRoute(reason=reason):
                return reason
        return None if reachable else Reason.UNREACHABLE

    def contacts(self, target: Target) -> tuple[Contact, ...]:
        if not isinstance(target, SipAddress):
            return ()
        # a worker holds the whole call: the caller's leg and one for each contact
        room = self._outside.legs_per_worker - 1
        return tuple(self._outside.locations.contacts(target))[:room]

    def legs(self, target: Target) -> int:
        """Of a call to it, the caller's included: at most what one worker holds."""
        match target:
            case ServiceAddress(name="dial-in"):
                return 2  # one for the joint with whoever the PIN reaches
            case ServiceAddress():
                return 1
            case Group(members=members, in_turn=in_turn):
                each = [self.legs(m) - 1 for m in members]
                wanted = 1 + (max(each) if in_turn else sum(each))
            case _:
                wanted = 1 + max(1, len(self.contacts(target)))
        return max(2, min(wanted, self._outside.legs_per_worker))

    def callee(
        self,
        call: Call,
        target: Target,
        caller: Caller,
        silent: frozenset[Address] = frozenset(),
    ) -> Callee:
        """``silent`` are those who are not to notice: the call rings, and nowhere."""
        match target:
            case Telephone(number=number) if TelAddress(number) in silent:
                return SilentCallee(call, TelAddress(number), self._silence)
            case ServiceAddress(name="dial-in"):
                outside = self._outside
                through = partial(self._put_through, call)
                later = outside.clock.callLater
                return DialInCallee(
                    call, target, caller, outside.dialin, outside.pins, through, later
                )
            case ServiceAddress():
                return EchoCallee(call, target, caller)
            case Telephone(number=number, choices=choices):
                ways = [self._way(number, choice) for choice in choices]
                outside = self._outside
                address = TelAddress(number)
                first = None
                if (
                    outside.enum is not None
                    and ways
                    and NumberClass.EMERGENCY not in target.classes
                ):
                    first = partial(self._by_enum, call, ways[0])
                return TrunkCallee(call, address, ways, outside.carriers, outside.attestor, first)
            case Group(number=number, members=members, in_turn=in_turn):
                ring_s = self._outside.settings.ring_s
                turn_s = max(SHORTEST_TURN_S, ring_s / len(members)) if in_turn else 0.0
                people = [m for m in members if isinstance(m, UserAddress | SipAddress)]
                room = self._outside.legs_per_worker - 1
                most = room if in_turn else max(1, room // max(1, len(people)))
                makes = [partial(self._member, member, most, silent=silent) for member in people]
                later = self._outside.clock.callLater
                return GroupCallee(call, TelAddress(number), makes, turn_s, later)
            case NoRoute():
                raise AssertionError("a call without a route is never made")
            case _:
                return self._member(target, self._outside.legs_per_worker - 1, call, silent)

    def _member(
        self,
        who: UserAddress | SipAddress,
        contacts: int,
        room: Room,
        silent: frozenset[Address],
    ) -> Callee:
        if who in silent:
            return SilentCallee(room, who, self._silence)
        if isinstance(who, UserAddress):
            return AppCallee(room, who)
        return SipCallee(room, who, self.contacts(who)[:contacts])

    async def _by_enum(self, call: Call, like: Way) -> tuple[Way, ...]:
        """Ways that DNS names, as whom the dial plan's first one calls."""
        enum = self._outside.enum
        if enum is None:
            return ()
        try:
            uris = await enum.locator.enum(like.number)
        except Unlocatable as e:
            log.warning("enum_failed", call=call.id, why=str(e))
            return ()
        ways, steps = enum_ways(uris, enum.domains)
        for step in steps:
            log.info("enum", call=call.id, found=step.text, taken=step.matched)
        return tuple(replace(like, trunk=w.trunk, number=w.number) for w in ways)

    def _way(self, number: str, choice: TrunkChoice) -> Way:
        trunk = self._outside.carriers.trunk(choice.trunk)
        early = (choice.early_media or trunk.early_media) == "pass"
        return Way(
            trunk=choice.trunk,
            number=number,
            caller_id=choice.caller_id or "",
            confirm=choice.confirm is not None,
            announcements=early,
            attestation=choice.attestation,
        )


def shown(to: Address, target: Target) -> Address:
    """Whom the record names as the callee."""
    match target:
        case NoRoute():
            return to
        case Telephone(number=number) | Group(number=number):
            return TelAddress(number)
        case _:
            return target


def _person(caller: Address) -> UserAddress | SipAddress:
    """Who dials; a service, which transfers a telephone to a person, dials nothing itself."""
    if isinstance(caller, UserAddress | SipAddress):
        return caller
    return SipAddress("anonymous", "anonymous.invalid")
