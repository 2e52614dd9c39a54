"""Whom an address means here: a pure judgement over what this gateway serves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.routing.numbers import Spelling, spell
from gateway.routing.plans import Inside, Outward, Plan, Refusal, TrunkChoice
from gateway.values import (
    HANDLE,
    Address,
    NumberClass,
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
    classes: tuple[NumberClass, ...] = ()
    because: tuple[str, ...] = ()
    """What in the dial plan had a say."""


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
    is_user: Callable[[str], bool],
    dial: Callable[[Spelling], Plan] | None = None,
) -> Target:
    """Whom ``to`` means: a person, an account, a service, or a telephone.

    In our own domain an account's name is that account, a service's name that service, a number
    what the dial plan makes of it, and any other handle a person in the app.  Foreign domains
    have no route: this gateway relays for nobody.
    """
    number = dialled(to, domain, is_account, is_user)
    if number is not None and dial is not None:
        return _planned(dial(number), domain, is_account, is_user)
    match to:
        case UserAddress() | ServiceAddress():
            return to
        case TelAddress():
            return NoRoute("no route for telephone numbers")
        case SipAddress(user=user, host=host):
            if host != domain.lower():
                return NoRoute("a foreign domain")
            if is_account(to):
                return to
            if user in SERVICES:
                return ServiceAddress(user)
            if HANDLE.fullmatch(user):
                return UserAddress(user)
            return NoRoute("no such name")


def dialled(
    to: Address,
    domain: str,
    is_account: Callable[[SipAddress], bool],
    is_user: Callable[[str], bool],
) -> Spelling | None:
    """What ``to`` dials where it means a telephone number, for the dial plan; else ``None``.

    In our own domain a number is dialled when no account, service or person has that name.
    """
    match to:
        case TelAddress(number=number):
            return spell(number)
        case SipAddress(user=user, host=host) if host == domain.lower():
            if is_account(to) or user in SERVICES or is_user(user):
                return None
            return spell(user)
        case _:
            return None


def _planned(
    plan: Plan,
    domain: str,
    is_account: Callable[[SipAddress], bool],
    is_user: Callable[[str], bool],
) -> Target:
    match plan.outcome:
        case Refusal(reason=reason, text=text):
            return NoRoute(text, reason)
        case Outward(choices=choices):
            because = tuple(f"{s.stage}: {s.text}" for s in plan.steps if s.matched)
            return Telephone(plan.number, choices, plan.classes, because)
        case Inside(to=to, order=order):
            found = (resolve(address, domain, is_account, is_user) for address in to)
            members = tuple(
                m for m in found if isinstance(m, UserAddress | SipAddress | ServiceAddress)
            )
    if len(members) == 1:
        return members[0]
    if not members:
        return NoRoute(f"nobody has the number {plan.number}")
    return Group(plan.number, members, order == "in_turn")
