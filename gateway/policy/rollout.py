"""Who has calls at all."""

from __future__ import annotations

import hashlib

from gateway.policy.chain import REFUSED, Attempt, Verdict
from gateway.policy.people import Claims, Person
from gateway.settings import RolloutSection
from gateway.values import Reason, ServiceAddress, UserAddress


def includes(rollout: RolloutSection, handle: str, claims: Claims) -> bool:
    """Whether this person has calls."""
    if not rollout.enabled:
        return False
    if handle in rollout.allow:
        return True
    if rollout.regions and claims.region not in rollout.regions:
        return False
    if rollout.groups and not claims.groups.intersection(rollout.groups):
        return False
    return place(handle, rollout.salt) < rollout.percent


def place(handle: str, salt: str) -> float:
    """0 up to 100: steady for a person, evenly spread over people, other with another salt."""
    digest = hashlib.sha256(f"{salt}\n{handle}".encode()).digest()
    return int.from_bytes(digest[:6]) / (1 << 48) * 100


def rollout(attempt: Attempt) -> Verdict | None:
    """People outside are as if they were not there; telephones and services always are."""
    section = attempt.facts.part(RolloutSection)
    if section is None:
        return None
    if not _in(section, attempt.facts.caller):
        return Verdict("rollout", Reason.NOT_ALLOWED, REFUSED)
    if not _in(section, attempt.facts.callee):
        return Verdict("rollout", Reason.UNREACHABLE, "there is nobody")
    return None


def _in(section: RolloutSection, person: Person) -> bool:
    match person.address:
        case UserAddress(handle=handle):
            return includes(section, handle, person.claims)
        case ServiceAddress(name="dial-in"):
            return True  # whoever has come in by it is judged themselves
        case _:
            return section.enabled
