"""Whom an address means here: a pure judgement over what this gateway serves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.routing.numbers import Spelling, spell
from gateway.values import (
    HANDLE,
    Address,
    ServiceAddress,
    SipAddress,
    TelAddress,
    UserAddress,
)

SERVICES = frozenset({"echo"})


@dataclass(frozen=True, slots=True)
class NoRoute:
    """Nobody here; ``why`` is for the log."""

    why: str


Target = UserAddress | SipAddress | ServiceAddress | NoRoute


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


def resolve(to: Address, domain: str, is_account: Callable[[SipAddress], bool]) -> Target:
    """The person, account or service that ``to`` means.

    In our own domain an account's name is that account, a service's name that service, and
    any other handle a person in the app.  Foreign domains and telephone numbers have no
    route: this gateway relays for nobody.
    """
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
