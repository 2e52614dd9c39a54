"""What people who are not of age may do.

Whoever meets one of these rules is told what every other refusal says: no band is ever revealed.
"""

from __future__ import annotations

from typing import Final

from gateway.hours import Hours, midnight
from gateway.policy.chain import REFUSED, Attempt, Verdict
from gateway.policy.people import Claims, Person
from gateway.settings import AgeSection, MinorRules
from gateway.settings.routing import DAYS
from gateway.values import Reason, UserAddress

NIGHT: Final = "night"
MINUTES: Final = "minutes"


def rules_of(person: Person, age: AgeSection) -> MinorRules | None:
    """``None`` for whoever is of age, and for what is no person of the app."""
    if not isinstance(person.address, UserAddress):
        return None
    return age.rules(person.claims.age)


def minor_calls(attempt: Attempt, age: AgeSection) -> Verdict | None:
    """The caller is a minor."""
    caller = attempt.facts.caller
    rules = rules_of(caller, age)
    if rules is None or not attempt.between_people:
        return None
    if attempt.dialled is not None and not rules.phone:
        return _refused("age_phone")
    if rules.contacts_only and not caller.knows:
        return _refused("age_contacts")
    if _night(rules, caller.claims, age, attempt.now):
        return _refused("age_night")
    if _left_s(rules, caller) == 0:
        return _refused("age_minutes")
    return None


def minor_is_called(attempt: Attempt, age: AgeSection) -> Verdict | None:
    """The callee is a minor: who may call them."""
    rules = rules_of(attempt.facts.callee, age)
    if rules is None or not attempt.between_people:
        return None
    if attempt.by_phone and not rules.phone:
        return _refused("age_phone")
    if not rules.strangers and not attempt.known and attempt.means != "pin":
        return _refused("age_strangers")
    return None


def minor_is_away(attempt: Attempt, age: AgeSection) -> Verdict | None:
    """The callee is a minor: when they may be called.  It looks as if they did not answer."""
    callee = attempt.facts.callee
    rules = rules_of(callee, age)
    if rules is None or not attempt.between_people:
        return None
    if _night(rules, callee.claims, age, attempt.now):
        return Verdict(NIGHT, Reason.UNAVAILABLE)
    if _left_s(rules, callee) == 0:
        return Verdict(MINUTES, Reason.UNAVAILABLE)
    return None


def minutes_left(attempt: Attempt, age: AgeSection) -> float | None:
    """The seconds that the day still has for the call, of both sides."""
    if not attempt.between_people:
        return None
    left = []
    for person in (attempt.facts.caller, attempt.facts.callee):
        rules = rules_of(person, age)
        if rules is not None and (seconds := _left_s(rules, person)) is not None:
            left.append(seconds)
    return min(left, default=None)


def day_began(person: Person, age: AgeSection, now: float) -> float | None:
    """From when on talk counts for this person; ``None``: it is not bounded."""
    rules = rules_of(person, age)
    if rules is None or rules.minutes_per_day is None:
        return None
    return midnight(now, person.claims.timezone or age.timezone)


def _left_s(rules: MinorRules, person: Person) -> float | None:
    if rules.minutes_per_day is None:
        return None
    return max(0.0, rules.minutes_per_day * 60 - person.talked_s)


def _night(rules: MinorRules, claims: Claims, age: AgeSection, now: float) -> bool:
    """By the token's zone: what they have set themselves must not move the night."""
    if rules.night_from is None or rules.night_to is None:
        return False
    zone = claims.timezone or age.timezone
    return Hours.between(DAYS, rules.night_from, rules.night_to, zone).hold(now)


def _refused(rule: str) -> Verdict:
    return Verdict(rule, Reason.NOT_ALLOWED, REFUSED)
