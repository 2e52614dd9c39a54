"""Which countries may not call each other, and which numbers may be dialled."""

from __future__ import annotations

from gateway.policy.chain import REFUSED, Attempt, Dialled, Verdict
from gateway.policy.people import Person
from gateway.settings import NumberRule, RegionsSection
from gateway.values import Reason


def apart(attempt: Attempt, regions: RegionsSection) -> Verdict | None:
    """A telephone is where its number is; who is nowhere that is known may call anywhere."""
    caller = attempt.facts.caller.claims.region or attempt.caller_country
    callee = attempt.facts.callee.claims.region or _country(attempt.dialled)
    if caller is None or callee is None or not attempt.between_people:
        return None
    if not {f"{caller}-{callee}", f"{callee}-{caller}"}.intersection(regions.apart):
        return None
    return Verdict("region", Reason.NOT_ALLOWED, REFUSED)


def numbers(attempt: Attempt, regions: RegionsSection) -> Verdict | None:
    dialled = attempt.dialled
    if dialled is None or not regions.numbers:
        return None
    if any(_permits(rule, attempt.facts.caller, dialled) for rule in regions.numbers):
        return None
    return Verdict("number", Reason.NOT_ALLOWED, "this number may not be called")


def _permits(rule: NumberRule, caller: Person, dialled: Dialled) -> bool:
    if rule.groups and not caller.claims.groups.intersection(rule.groups):
        return False
    if rule.classes and not set(rule.classes).intersection(dialled.classes):
        return False
    return not rule.countries or dialled.country in rule.countries


def _country(dialled: Dialled | None) -> str | None:
    return None if dialled is None else dialled.country
