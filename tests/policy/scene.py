"""Two people, and calls between them that the rules are asked about."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from gateway.policy.chain import Attempt, Dialled, Facts
from gateway.policy.people import Claims, Person, Preferences, QuietHours
from gateway.values import NumberClass, TelAddress, Verification, parse_address

WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ALICE, BOB = (Person(parse_address(f"user:{name}")) for name in ("alice", "bob"))
STRANGER = Person(parse_address("tel:+4915112345678"))


def at(when: str, zone: str = "UTC", fold: int = 0) -> float:
    """``YYYY-MM-DD HH:MM`` on the wall there; ``fold`` 1 is the second time of a repeated hour."""
    return datetime.fromisoformat(when).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


NOON = at("2026-11-23 12:00")


def person(base: Person = BOB, set_zone: str | None = None, **known: Any) -> Person:
    """Fields of a person, of their claims and of their preferences alike.

    ``timezone`` is that of the token, ``set_zone`` the one that they have set.
    """

    def taken(of: Any) -> dict[str, Any]:
        return {k: known.pop(k) for k in tuple(known) if k in of.__dataclass_fields__}

    mine = taken(Person)
    claims, wishes = replace(base.claims, **taken(Claims)), taken(Preferences)
    assert not known, known
    return replace(
        base,
        claims=claims,
        preferences=replace(base.preferences, timezone=set_zone, **wishes),
        **mine,
    )


def attempt(caller: Person = ALICE, callee: Person = BOB, *parts: object, **more: Any) -> Attempt:
    usual: dict[str, Any] = {
        "caller": caller.address,
        "callee": callee.address,
        "caller_calls": 0,
        "callee_calls": 0,
        "all_calls": 0,
        "draining": False,
        "now": NOON,
        "facts": Facts(caller, callee, parts),
    }
    return Attempt(**{**usual, **more})


def phone_call(callee: Person = BOB, *parts: object, **more: Any) -> Attempt:
    """From a telephone, by a trunk."""
    return attempt(STRANGER, callee, *parts, **{"trunk": "carrier", "means": "sip_invite", **more})


def dial(number: str = "+15005550006", country: str | None = "US", **more: Any) -> Attempt:
    """By Alice, out to a telephone."""
    classes = more.pop("classes", (NumberClass.MOBILE,))
    caller = more.pop("caller", ALICE)
    callee = Person(TelAddress(number))
    return attempt(caller, callee, dialled=Dialled(number, classes, country), **more)


def quiet(first: str, end: str, *days: Any) -> tuple[QuietHours, ...]:
    return (QuietHours(days or WEEK, first, end),)  # type: ignore[arg-type]  # WEEK is of days


PASSED = Verification("passed", attest="A")
FAILED = Verification("failed", code=438)
NONE = Verification("none")
