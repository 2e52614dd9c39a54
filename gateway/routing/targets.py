"""Whom an address means here: a pure judgement over what this gateway serves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.routing.dialplan import Plan, TrunkChoice
from gateway.routing.numbers import is_dialable
from gateway.values import (
    HANDLE,
    Address,
    Reason,
    ServiceAddress,
    SipAddress,
    TelAddress,
    UserAddress,
)

SERVICES = frozenset({"echo", "dial-in"})


@dataclass(frozen=True, slots=True)
class NoRoute:
    """Nobody here; ``why`` is for the log and, where it is refused, for the caller."""

    why: str
    reason: Reason = Reason.UNREACHABLE


@dataclass(frozen=True, slots=True)
class Telephone:
    """A number beyond the gateway, and the ways to it in order."""

    number: str
    choices: tuple[TrunkChoice, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Several who are reached by one number of ours, together or in turn."""

    number: str
    members: tuple[UserAddress | SipAddress | ServiceAddress, ...]
    in_turn: bool


Target = UserAddress | SipAddress | ServiceAddress | Telephone | Group | NoRoute


def resolve(
    to: Address,
    domain: str,
    is_account: Callable[[SipAddress], bool],
    dial: Callable[[str], Plan] | None = None,
) -> Target:
    """Whom ``to`` means: a person, an account, a service, or a telephone.

    In our own domain an account's name is that account, a service's name that service, a number
    what the dial plan makes of it, and any other handle a person in the app.  Foreign domains
    have no route: this gateway relays for nobody.
    """
    match to:
        case UserAddress() | ServiceAddress():
            return to
        case TelAddress(number=number):
            if dial is None:
                return NoRoute("no route for telephone numbers")
            return _planned(dial(number), domain, is_account)
        case SipAddress(user=user, host=host):
            if host != domain.lower():
                return NoRoute("a foreign domain")
            if is_account(to):
                return to
            if user in SERVICES:
                return ServiceAddress(user)
            if dial is not None and is_dialable(user):
                return _planned(dial(user), domain, is_account)
            if HANDLE.fullmatch(user):
                return UserAddress(user)
            return NoRoute("no such name")


def _planned(plan: Plan, domain: str, is_account: Callable[[SipAddress], bool]) -> Target:
    if plan.refusal is not None:
        return NoRoute(plan.refusal.text, plan.refusal.reason)
    if plan.choices:
        return Telephone(plan.number, plan.choices)
    inside = tuple(resolve(address, domain, is_account) for address in plan.inside)
    members = tuple(m for m in inside if isinstance(m, UserAddress | SipAddress | ServiceAddress))
    if len(members) == 1:
        return members[0]
    if not members:
        return NoRoute(f"nobody has the number {plan.number}")
    return Group(plan.number, members, plan.in_turn)
