"""The chain of rules that judges a call before it is made; each verdict says which rule spoke."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.settings import CallsSection
from gateway.values import Address, Reason


@dataclass(frozen=True, slots=True)
class Attempt:
    """What the rules know of a call that is about to be made."""

    caller: Address
    callee: Address
    caller_calls: int
    """Calls that the caller is in now."""
    callee_calls: int
    all_calls: int
    draining: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """``reason`` is ``None`` for a call that may be made; ``retry_after_s`` goes with a limit."""

    rule: str
    reason: Reason | None = None
    text: str = ""
    retry_after_s: int | None = None

    @property
    def allowed(self) -> bool:
        return self.reason is None


Rule = Callable[[Attempt, CallsSection], Verdict | None]


def draining(attempt: Attempt, _limits: CallsSection) -> Verdict | None:
    if not attempt.draining:
        return None
    return Verdict("draining", Reason.GATEWAY_ERROR, "the gateway takes no new calls", 30)


def capacity(attempt: Attempt, limits: CallsSection) -> Verdict | None:
    if attempt.all_calls < limits.max_calls:
        return None
    return Verdict("capacity", Reason.GATEWAY_ERROR, "no capacity for another call", 10)


def not_oneself(attempt: Attempt, _limits: CallsSection) -> Verdict | None:
    if str(attempt.caller) != str(attempt.callee):
        return None
    return Verdict("not_oneself", Reason.NOT_ALLOWED, "a call to oneself")


def caller_calls(attempt: Attempt, limits: CallsSection) -> Verdict | None:
    if attempt.caller_calls < limits.calls_per_user:
        return None
    return Verdict("caller_calls", Reason.RATE_LIMITED, "calls at once", 10)


def callee_calls(attempt: Attempt, limits: CallsSection) -> Verdict | None:
    if attempt.callee_calls < limits.calls_per_user:
        return None
    return Verdict("callee_calls", Reason.BUSY, "the callee is in too many calls")


CHAIN: Sequence[Rule] = (draining, capacity, not_oneself, caller_calls, callee_calls)


def judge(attempt: Attempt, limits: CallsSection, chain: Sequence[Rule] = CHAIN) -> Verdict:
    """The first rule that objects; the verdict ``allowed`` when none does."""
    for rule in chain:
        verdict = rule(attempt, limits)
        if verdict is not None:
            return verdict
    return Verdict("allowed")
