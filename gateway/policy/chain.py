"""The chain of rules that judges a call before it is made; each verdict says which rule spoke."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from gateway.policy.people import Person
from gateway.settings import CallsSection
from gateway.values import (
    Address,
    NumberClass,
    Reason,
    ServiceAddress,
    SipAddress,
    TelAddress,
    Verification,
)

T = TypeVar("T")

ANONYMOUS: Final = SipAddress("anonymous", "anonymous.invalid")
"""Whoever hides who they are (RFC 3323 §4.1.1.3)."""
REFUSED: Final = "this call is not allowed"
"""What a caller is told of every rule that is the callee's, or about age: always the same."""


@dataclass(frozen=True, slots=True)
class Dialled:
    """The telephone number that is called, where it is one beyond the gateway."""

    number: str
    classes: tuple[NumberClass, ...]
    country: str | None

    @property
    def emergency(self) -> bool:
        return NumberClass.EMERGENCY in self.classes


@dataclass(frozen=True, slots=True)
class Facts:
    """What was gathered of both sides beforehand.

    ``parts`` hold what further rules need: at most one value of a kind.
    """

    caller: Person
    callee: Person
    parts: tuple[object, ...] = ()

    def part(self, kind: type[T]) -> T | None:
        return next((p for p in self.parts if isinstance(p, kind)), None)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What the rules know of a call that is about to be made, at ``now`` (s since the epoch)."""

    caller: Address
    callee: Address
    caller_calls: int
    """Calls that the caller is in now, over all of their channels."""
    callee_calls: int
    all_calls: int
    draining: bool
    now: float
    facts: Facts
    means: str = "app_invite"
    """By what the caller asks for it, as ``record.Means``."""
    trunk: str | None = None
    """By which the caller comes in."""
    verification: Verification | None = None
    """Of a trunk's signature, where it was asked for."""
    dialled: Dialled | None = None
    caller_country: str | None = None
    """Where the caller's number is, for a telephone."""

    @property
    def emergency(self) -> bool:
        return self.dialled is not None and self.dialled.emergency

    @property
    def between_people(self) -> bool:
        """Not with a service, nor of one person with a device of their own."""
        caller, callee = self.facts.caller.address, self.facts.callee.address
        service = isinstance(caller, ServiceAddress) or isinstance(callee, ServiceAddress)
        return caller != callee and not service

    @property
    def by_phone(self) -> bool:
        """The caller is a telephone, or comes in by a trunk as one."""
        return self.trunk is not None or isinstance(self.caller, TelAddress) or self.anonymous

    @property
    def anonymous(self) -> bool:
        return self.caller == ANONYMOUS

    @property
    def known(self) -> bool:
        """The caller is a contact of the callee; a number that is perhaps forged is nobody's."""
        forged = self.verification is not None and self.verification.status == "failed"
        return self.facts.callee.knows and not forged

    @property
    def favoured(self) -> bool:
        return self.known and self.facts.callee.favours


@dataclass(frozen=True, slots=True)
class Verdict:
    """``reason`` is ``None`` for a call that may be made; ``retry_after_s`` goes with a limit.

    ``unavailable`` is never told: that call rings nowhere, and ends as one that nobody answers.
    """

    rule: str
    reason: Reason | None = None
    text: str = ""
    retry_after_s: int | None = None
    alarm: bool = False
    """It looks like fraud: the caller's telephone calls are held, and the operator is told."""

    @property
    def allowed(self) -> bool:
        return self.reason is None

    @property
    def silent(self) -> bool:
        return self.reason is Reason.UNAVAILABLE


Rule = Callable[[Attempt], Verdict | None]
Bound = Callable[[Attempt], float | None]
"""How many seconds the call may last, where a rule bounds it."""


@dataclass(frozen=True, slots=True)
class Chain:
    """The first rule that objects decides; the narrowest bound holds."""

    rules: tuple[Rule, ...]
    bounds: tuple[Bound, ...] = ()

    def judge(self, attempt: Attempt) -> Verdict:
        """The verdict ``allowed`` when no rule objects."""
        for rule in self.rules:
            verdict = rule(attempt)
            if verdict is not None:
                return verdict
        return Verdict("allowed")

    def longest_s(self, attempt: Attempt) -> float | None:
        found = [s for s in (bound(attempt) for bound in self.bounds) if s is not None]
        return min(found, default=None)


def draining(attempt: Attempt) -> Verdict | None:
    if not attempt.draining:
        return None
    return Verdict("draining", Reason.GATEWAY_ERROR, "the gateway takes no new calls", 30)


def capacity(attempt: Attempt, limits: CallsSection) -> Verdict | None:
    if attempt.all_calls < limits.max_calls:
        return None
    return Verdict("capacity", Reason.GATEWAY_ERROR, "no capacity for another call", 10)


def not_oneself(attempt: Attempt) -> Verdict | None:
    if str(attempt.caller) != str(attempt.callee):
        return None
    return Verdict("not_oneself", Reason.NOT_ALLOWED, "a call to oneself")


def caller_calls(attempt: Attempt, limits: CallsSection) -> Verdict | None:
    """Those who hide who they are are many; their trunk's ``max_calls`` bounds them."""
    if attempt.caller_calls < limits.calls_per_user or attempt.anonymous:
        return None
    return Verdict("caller_calls", Reason.RATE_LIMITED, "calls at once", 10)


def callee_calls(attempt: Attempt, limits: CallsSection) -> Verdict | None:
    if attempt.callee_calls < limits.calls_per_user:
        return None
    return Verdict("callee_calls", Reason.BUSY, "the callee is in too many calls")
