"""What the callee allows, and what the gateway does for all callees: who may ring, and when.

A rule that speaks of the callee's own wishes at this moment (blocks, do not disturb, quiet hours)
refuses with ``unavailable``: the caller cannot tell it from no answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from gateway.hours import Hours
from gateway.policy.chain import REFUSED, Attempt, Verdict
from gateway.policy.passes import HeldPass, usable
from gateway.settings import PeopleSection
from gateway.values import Reason, UserAddress

OWN_BLOCK: Final = "own_block"
BLOCKED: Final = "blocked"
ALLOW_FROM: Final = "allow_from"
DO_NOT_DISTURB: Final = "do_not_disturb"
QUIET_HOURS: Final = "quiet_hours"


@dataclass(frozen=True, slots=True)
class FirstContact:
    """How often the caller, no contact of the callee, rang of late without an answer."""

    rings: int


@dataclass(frozen=True, slots=True)
class Banned:
    """Which side may not call at all, as an upheld report says."""

    caller: bool = False
    callee: bool = False


def banned(attempt: Attempt) -> Verdict | None:
    found = attempt.facts.part(Banned)
    if found is None or not (found.caller or found.callee):
        return None
    return Verdict("banned", Reason.NOT_ALLOWED, REFUSED)


def stranger(attempt: Attempt) -> bool:
    """Whether this would be a first contact: somebody in the app is called by no contact."""
    callee = isinstance(attempt.facts.callee.address, UserAddress)
    return callee and attempt.between_people and not attempt.known and attempt.means != "pin"


def own_block(attempt: Attempt) -> Verdict | None:
    if not attempt.facts.caller.blocks:
        return None
    return Verdict(OWN_BLOCK, Reason.NOT_ALLOWED, "you have blocked whom you call")


def blocked(attempt: Attempt) -> Verdict | None:
    if not attempt.facts.callee.blocks:
        return None
    return Verdict(BLOCKED, Reason.UNAVAILABLE)


def allow_from(attempt: Attempt) -> Verdict | None:
    wanted = attempt.facts.callee.preferences.allow_from
    if not attempt.between_people or attempt.means == "pin" or wanted == "everyone":
        return None
    if wanted == "contacts" and attempt.known:
        return None
    if usable(attempt) is not None:
        return None
    return Verdict(ALLOW_FROM, Reason.NOT_ALLOWED, REFUSED)


def needed_pass(attempt: Attempt) -> HeldPass | None:
    """The pass that lets this call through: one that needs none uses none up."""
    facts = attempt.facts
    others = tuple(part for part in facts.parts if not isinstance(part, HeldPass))
    bare = replace(attempt, facts=replace(facts, parts=others))
    return None if allow_from(bare) is None else usable(attempt)


def allow_phone(attempt: Attempt) -> Verdict | None:
    allowed = attempt.facts.callee.preferences.allow_phone
    if allowed or not attempt.by_phone or attempt.means == "pin":
        return None
    return Verdict("allow_phone", Reason.NOT_ALLOWED, REFUSED)


def anonymous(attempt: Attempt, people: PeopleSection) -> Verdict | None:
    refused = people.anonymous == "refuse" and attempt.anonymous
    if not refused or not attempt.between_people or attempt.means == "pin":
        return None
    return Verdict("anonymous", Reason.NOT_ALLOWED, REFUSED)


def unverified(attempt: Attempt, people: PeopleSection) -> Verdict | None:
    """A passed signature counts; who was judged as they came in is not judged again later."""
    if people.unverified == "allow" or attempt.trunk is None or attempt.means != "sip_invite":
        return None
    found = attempt.verification
    if not attempt.between_people or (found is not None and found.status == "passed"):
        return None
    return Verdict("unverified", Reason.NOT_ALLOWED, REFUSED)


def first_contact(attempt: Attempt, people: PeopleSection) -> Verdict | None:
    found = attempt.facts.part(FirstContact)
    if not people.stranger_rings or found is None or not stranger(attempt):
        return None
    if found.rings < people.stranger_rings:
        return None
    return Verdict("first_contact", Reason.NOT_ALLOWED, REFUSED)


def do_not_disturb(attempt: Attempt) -> Verdict | None:
    if not attempt.facts.callee.preferences.do_not_disturb or not attempt.between_people:
        return None
    return Verdict(DO_NOT_DISTURB, Reason.UNAVAILABLE)


def quiet_hours(attempt: Attempt) -> Verdict | None:
    callee = attempt.facts.callee
    wishes = callee.preferences
    if not wishes.quiet_hours or not attempt.between_people:
        return None
    if wishes.quiet_breakthrough == "favourites" and attempt.favoured:
        return None
    zone = wishes.timezone or callee.claims.timezone or "UTC"
    quiet = (Hours.between(q.days, q.from_, q.to, zone) for q in wishes.quiet_hours)
    if not any(hours.hold(attempt.now) for hours in quiet):
        return None
    return Verdict(QUIET_HOURS, Reason.UNAVAILABLE)
